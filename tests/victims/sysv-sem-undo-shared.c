// SPDX-License-Identifier: Apache-2.0
/* refused: pid 3 (sysv-sem-undo-s): it shares its adjustments of System V semaphores (SEM_UNDO) with pid 2, which is not carried */
/* Processes that have their semaphore adjustments in common. */
#include "tests/victims/victim.h"

#include <sched.h>
#include <sys/sem.h>

int main(void)
{
	int id = CHECK_SYS(semget(IPC_PRIVATE, 1, 0600));
	struct sembuf op = { 0, 3, SEM_UNDO };
	pid_t pid;

	CHECK_SYS(semop(id, &op, 1));
	pid = (pid_t)CHECK_SYS(syscall(SYS_clone, CLONE_SYSVSEM | SIGCHLD, 0, 0, 0, 0));
	if (pid == 0) {
		victim_wait();
		CHECK_SYS(semop(id, &op, 1));
		_exit(0);
	}
	victim_ready();
	victim_join(pid);
	CHECK_EQ(semctl(id, 0, GETVAL), 6);
	victim_pass();
}
