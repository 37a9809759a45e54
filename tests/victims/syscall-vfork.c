/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that any stop ends with EINTR, beside a process that is in the middle of vfork(2) every now and then: a stop that
 * finds it there is given up and tried again, and nobody is to notice the first one either.
 */
/* undisturbed: by checkpoint -R */
#include "victim.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sem.h>

static void forker(void *arg)
{
	char path[256];

	victim_path(path, "victim.go");
	while (access(path, F_OK) < 0) {
		pid_t pid = CHECK_SYS(vfork());

		if (!pid) {
			struct timespec t = { 0, 8000000 };

			nanosleep(&t, NULL);
			_exit(0);
		}
		victim_join(pid);
		victim_sleep_ms(24);
	}
}

static void waiter(void *arg)
{
	struct sembuf down = { 0, -1, 0 };

	CHECK_SYS(semop(*(int *)arg, &down, 1));
}

static void poller(void *arg)
{
	struct epoll_event e = { .events = EPOLLIN };
	int set = CHECK_SYS(epoll_create1(EPOLL_CLOEXEC));

	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, *(int *)arg, &e));
	CHECK_EQ(CHECK_SYS(epoll_wait(set, &e, 1, -1)), 1);
}

int main(void)
{
	int sem = CHECK_SYS(semget(IPC_PRIVATE, 1, 0600)), event = CHECK_SYS(eventfd(0, EFD_CLOEXEC));
	const uint64_t one = 1;
	struct sembuf up = { 0, 1, 0 };
	pid_t pids[3];

	pids[0] = victim_fork(waiter, &sem);
	pids[1] = victim_fork(poller, &event);
	pids[2] = victim_fork(forker, NULL);
	victim_ready();
	CHECK_SYS(semop(sem, &up, 1));
	CHECK_EQ(write(event, &one, sizeof(one)), sizeof(one));
	for (int i = 0; i < 3; i++)
		victim_join(pids[i]);
	CHECK_SYS(semctl(sem, 0, IPC_RMID));
	victim_pass();
}
