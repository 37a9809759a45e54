// SPDX-License-Identifier: Apache-2.0
/* What a process undoes when it ends cannot be seen, so it is refused. */
/* refused: pid 2 (sysv-sem-undo): it may have adjustments of System V semaphores (SEM_UNDO), which are not carried; end it first */
#include "tests/victims/victim.h"

#include <sys/sem.h>

int main(void)
{
	int id = CHECK_SYS(semget(IPC_PRIVATE, 1, 0600));
	struct sembuf op = { 0, 3, SEM_UNDO };

	CHECK_SYS(semop(id, &op, 1));
	victim_ready();
	CHECK_EQ(semctl(id, 0, GETVAL), 3);
	victim_pass();
}
