/* SPDX-License-Identifier: Apache-2.0 */
/* System V shared memory of huge pages that nobody has attached, of a size that is no multiple of theirs. */
/* run: --cap-add */
/* run: IPC_LOCK */
/* refused at the stop: System V shared memory 0 consists of huge pages (SHM_HUGETLB), which is not carried yet; remove it first */
#include "tests/victims/victim.h"

#include <sys/shm.h>

int main(void)
{
	const size_t size = (2UL << 20) + 4096;
	int id = CHECK_SYS(shmget(IPC_PRIVATE, size, IPC_CREAT | SHM_HUGETLB | SHM_NORESERVE | 0600));
	struct shmid_ds ds;

	CHECK_EQ(id, 0);
	victim_ready();
	CHECK_SYS(shmctl(id, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_segsz, size);
	CHECK_EQ(ds.shm_nattch, 0);
	CHECK_SYS(shmctl(id, IPC_RMID, NULL));
	victim_pass();
}
