// SPDX-License-Identifier: Apache-2.0
/* A segment that was removed while it is attached goes with its last attachment, not before. */
#include "tests/victims/victim.h"

#include <sys/shm.h>

static void child(void *arg)
{
	victim_wait();
	CHECK_STR((char *)arg, "still here");
}

int main(void)
{
	int id = CHECK_SYS(shmget(IPC_PRIVATE, 4096, 0600));
	char *at = CHECK_SYS((char *)shmat(id, NULL, 0));
	struct shmid_ds ds;
	pid_t pid;

	strcpy(at, "still here");
	pid = victim_fork(child, at);
	CHECK_SYS(shmctl(id, IPC_RMID, NULL));
	victim_ready();
	CHECK_STR(at, "still here");
	victim_join(pid);
	CHECK_SYS(shmctl(id, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_nattch, 1u);
	CHECK_EQ(ds.shm_perm.mode & 01000, 01000);
	CHECK_SYS(shmdt(at));
	CHECK_EQ(shmctl(id, IPC_STAT, &ds), -1);
	victim_pass();
}
