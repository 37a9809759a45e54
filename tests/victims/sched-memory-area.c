// SPDX-License-Identifier: Apache-2.0
/* run: --seccomp unconfined */
/* needs: test -r /proc/self/numa_maps */
/* refused: pid 2 (sched-memory-ar): it has set the memory policy of an area (mbind), which is not carried */
/* A memory policy of one area, on a host with one node too. */
#include "tests/victims/victim.h"

#define MPOL_BIND 2

int main(void)
{
	void *area = CHECK_SYS(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	unsigned long nodes = 1, got = 0;
	int mode = 0;

	CHECK_SYS(syscall(SYS_mbind, area, 4096, MPOL_BIND, &nodes, 64, 0));
	victim_ready();
	CHECK_SYS(syscall(SYS_get_mempolicy, &mode, &got, 64, area, 2 /* MPOL_F_ADDR */));
	CHECK_EQ(mode, MPOL_BIND);
	CHECK_EQ(got, nodes);
	victim_pass();
}
