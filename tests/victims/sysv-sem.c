// SPDX-License-Identifier: Apache-2.0
/* Semaphore sets with ids, keys and values, and a process that waits for one. */
#include "tests/victims/victim.h"

#include <sys/sem.h>

static void waiter(void *arg)
{
	struct sembuf op = { 2, -5, 0 };

	while (semop(*(int *)arg, &op, 1) < 0)
		if (errno != EINTR)
			VICTIM_FAIL("semop: %s", strerror(errno));
}

int main(void)
{
	int gone = CHECK_SYS(semget(IPC_PRIVATE, 1, 0600)), id, again;
	unsigned short values[4] = { 7, 32767, 3, 0 }, got[4];
	struct sembuf op = { 2, 2, 0 };
	struct semid_ds ds;
	pid_t pid;

	id = CHECK_SYS(semget(0xabcdef01, 4, IPC_CREAT | 0606));
	CHECK_SYS(semctl(gone, 0, IPC_RMID));
	again = CHECK_SYS(semget(IPC_PRIVATE, 2, 0600));
	CHECK(again != gone);
	CHECK_SYS(semctl(id, 0, SETALL, values));
	pid = victim_fork(waiter, &id);
	VICTIM_UNTIL(semctl(id, 2, GETNCNT) == 1);
	victim_ready();
	CHECK_SYS(semctl(id, 0, GETALL, got));
	CHECK_MEM(got, values, sizeof(values));
	CHECK_SYS(semctl(id, 0, IPC_STAT, &ds));
	CHECK_EQ(ds.sem_perm.__key, (int)0xabcdef01);
	CHECK_EQ(ds.sem_perm.mode & 0777, 0606);
	CHECK_EQ(ds.sem_nsems, 4u);
	CHECK_SYS(semctl(again, 0, IPC_STAT, &ds));
	CHECK_EQ(ds.sem_nsems, 2u);
	VICTIM_UNTIL(semctl(id, 2, GETNCNT) == 1);
	CHECK_SYS(semop(id, &op, 1));
	victim_join(pid);
	CHECK_EQ(semctl(id, 2, GETVAL), 0);
	victim_pass();
}
