/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that shares neither descriptors nor directory nor semaphore adjustments with its process. */
/* build: -pthread */
/* run: --seccomp */
/* run: unconfined */
/* refused: pid 2 (refused-thread-): thread 3 has a descriptor table of its own, which is not carried */
/* refused: pid 2 (refused-thread-): thread 3 has a working directory of its own, which is not carried */
/* refused: pid 2 (refused-thread-): thread 3 has adjustments of System V semaphores (SEM_UNDO) of its own, which is not carried */
#include "tests/victims/victim.h"

#include <pthread.h>
#include <sched.h>
#include <sys/sem.h>

static int set, up;

static void *work(void *arg)
{
	struct sembuf back = { .sem_op = 1, .sem_flg = SEM_UNDO };
	char path[64];

	CHECK_SYS(unshare(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM));
	CHECK_EQ(CHECK_SYS(open("/dev/null", O_RDONLY)), 3);
	CHECK_SYS(chdir("/run"));
	CHECK_SYS(semop(set, &back, 1));
	__atomic_store_n(&up, 1, __ATOMIC_SEQ_CST);
	victim_wait();
	CHECK_SYS(fcntl(3, F_GETFD));
	CHECK(getcwd(path, sizeof(path)));
	CHECK_STR(path, "/run");
	return NULL;
}

int main(void)
{
	struct sembuf own = { .sem_op = 5, .sem_flg = SEM_UNDO };
	char path[64];
	pthread_t t;

	set = CHECK_SYS(semget(IPC_PRIVATE, 1, 0600));
	CHECK_SYS(semop(set, &own, 1));
	CHECK_EQ(pthread_create(&t, NULL, work, NULL), 0);
	VICTIM_UNTIL(__atomic_load_n(&up, __ATOMIC_SEQ_CST));
	victim_ready();
	CHECK_EQ(pthread_join(t, NULL), 0);
	/* What the thread undid at its end, and what it had no part in */
	VICTIM_UNTIL(semctl(set, 0, GETVAL) == 5);
	CHECK_ERRNO(fcntl(3, F_GETFD), EBADF);
	CHECK(getcwd(path, sizeof(path)));
	CHECK_STR(path, "/var/tmp");
	CHECK_SYS(semctl(set, 0, IPC_RMID));
	victim_pass();
}
