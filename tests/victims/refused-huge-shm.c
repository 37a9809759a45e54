/* SPDX-License-Identifier: Apache-2.0 */
/* System V shared memory of huge pages, of which none is touched: attached, and by a descriptor. */
/* run: --cap-add */
/* run: all */
/* refused: pid 2 (refused-huge-sh) fd 3: shared memory of huge pages (SHM_HUGETLB) is not carried yet; close it first */
/* refused: pid 2 (refused-huge-sh): memory (/SYSV00000000 (deleted)): huge pages of a pool (MAP_HUGETLB) are not carried yet; use transparent ones (madvise MADV_HUGEPAGE) instead */
#include "tests/victims/victim.h"

#include <sys/shm.h>

#define SIZE (2UL << 20)

int main(void)
{
	int id = CHECK_SYS(shmget(IPC_PRIVATE, SIZE, IPC_CREAT | SHM_HUGETLB | SHM_NORESERVE | 0600));
	char *at = shmat(id, NULL, 0), path[96];
	struct shmid_ds ds;
	struct stat st;

	CHECK(at != (void *)-1);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (long)at, (long)at + SIZE);
	CHECK_EQ(CHECK_SYS(open(path, O_RDWR)), 3);
	victim_ready();
	CHECK_SYS(fstat(3, &st));
	CHECK_EQ(st.st_size, SIZE);
	CHECK_SYS(shmctl(id, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_nattch, 1);
	CHECK_SYS(shmdt(at));
	CHECK_SYS(shmctl(id, IPC_RMID, NULL));
	victim_pass();
}
