// SPDX-License-Identifier: Apache-2.0
/* What processes take back of semaphores when they end: up and down, to both limits; threads have it in common. */
/* build: -lpthread */
/* undisturbed: by checkpoint -R */
#include "tests/victims/victim.h"

#include <pthread.h>
#include <sys/sem.h>

static int set, *up;

static void change(int semaphore, int by)
{
	struct sembuf op = { (unsigned short)semaphore, (short)by, SEM_UNDO | IPC_NOWAIT };

	CHECK_SYS(semop(set, &op, 1));
}

static void *from_thread(void *arg)
{
	change(0, 2);
	return NULL;
}

static void child(void *arg)
{
	pthread_t thread;

	change(0, 3);
	change(1, -4);
	change(3, 32767);
	semctl(set, 3, SETVAL, 0); /* forgets it */
	change(4, 32767);
	change(5, -32767);
	CHECK_EQ(pthread_create(&thread, NULL, from_thread, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	*up = 1;
	victim_wait();
}

static void neutral(void *arg)
{
	change(2, 1);
	change(2, -1);
	*up = 2;
	victim_wait();
}

static void expect(const int *values)
{
	unsigned short got[6];

	CHECK_SYS(semctl(set, 0, GETALL, got));
	for (int i = 0; i < 6; i++)
		CHECK_EQ(got[i], values[i]);
}

int main(void)
{
	unsigned short values[6] = { 10, 10, 0, 0, 0, 32767 };
	pid_t one, other;

	up = CHECK_SYS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	set = CHECK_SYS(semget(IPC_PRIVATE, 6, 0600));
	CHECK_SYS(semctl(set, 0, SETALL, values));
	one = victim_fork(child, NULL);
	VICTIM_UNTIL(*up == 1);
	other = victim_fork(neutral, NULL);
	VICTIM_UNTIL(*up == 2);
	expect((int[]){ 15, 6, 0, 0, 32767, 0 });
	victim_ready();
	victim_join(one);
	victim_join(other);
	expect((int[]){ 10, 10, 0, 0, 0, 32767 });
	victim_pass();
}
