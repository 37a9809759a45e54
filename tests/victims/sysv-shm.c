// SPDX-License-Identifier: Apache-2.0
/* Shared memory segments: attached by two, read-only, by nobody; ids, keys, owners, contents, detaching. */
#include "tests/victims/victim.h"

#include <sys/shm.h>

static void expect(int id, key_t key, size_t size, unsigned long attached)
{
	struct shmid_ds ds;

	CHECK_SYS(shmctl(id, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_perm.__key, key);
	CHECK_EQ(ds.shm_segsz, size);
	CHECK_EQ(ds.shm_nattch, attached);
}

static void child(void *arg)
{
	char *shared = arg;

	victim_wait();
	VICTIM_UNTIL(*(volatile char *)shared == 'p');
	shared[1] = 'c';
	CHECK_SYS(shmdt(shared));
}

int main(void)
{
	int gone = CHECK_SYS(shmget(IPC_PRIVATE, 4096, 0600));
	int both = CHECK_SYS(shmget(0x1234, 3 * 4096 + 17, IPC_CREAT | 0640));
	int alone = CHECK_SYS(shmget(IPC_PRIVATE, 70000, 0600)), again;
	char *shared = CHECK_SYS((char *)shmat(both, NULL, 0)), *read_only, *kept;
	struct shmid_ds ds;
	pid_t pid;

	/* A later id than the first. */
	CHECK_SYS(shmctl(gone, IPC_RMID, NULL));
	again = CHECK_SYS(shmget(IPC_PRIVATE, 4096, 0600));
	CHECK(again != gone);
	strcpy(shared + 2 * 4096, "in the third page");
	kept = CHECK_SYS((char *)shmat(alone, NULL, 0));
	strcpy(kept + 65536, "attached by nobody");
	CHECK_SYS(shmdt(kept));
	pid = victim_fork(child, shared);
	read_only = CHECK_SYS((char *)shmat(both, NULL, SHM_RDONLY));
	CHECK_SYS(shmctl(both, IPC_STAT, &ds));
	ds.shm_perm.uid = 1000;
	ds.shm_perm.gid = 1001;
	ds.shm_perm.mode = 0604;
	CHECK_SYS(shmctl(both, IPC_SET, &ds));
	victim_ready();
	expect(both, 0x1234, 3 * 4096 + 17, 3);
	expect(alone, IPC_PRIVATE, 70000, 0);
	expect(again, IPC_PRIVATE, 4096, 0);
	CHECK_EQ(shmget(0x1234, 0, 0), both);
	CHECK_SYS(shmctl(both, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_perm.uid, 1000u);
	CHECK_EQ(ds.shm_perm.gid, 1001u);
	CHECK_EQ(ds.shm_perm.cuid, 0u);
	CHECK_EQ(ds.shm_perm.mode & 0777, 0604);
	CHECK_STR(read_only + 2 * 4096, "in the third page");
	shared[0] = 'p';
	victim_join(pid);
	CHECK_EQ(read_only[1], 'c');
	CHECK_EQ(mprotect(read_only, 4096, PROT_READ | PROT_WRITE), -1);
	CHECK_SYS(shmdt(read_only));
	CHECK_SYS(shmdt(shared));
	expect(both, 0x1234, 3 * 4096 + 17, 0);
	kept = CHECK_SYS((char *)shmat(alone, NULL, 0));
	CHECK_STR(kept + 65536, "attached by nobody");
	victim_pass();
}
