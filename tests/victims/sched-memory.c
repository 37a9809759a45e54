// SPDX-License-Identifier: Apache-2.0
/* run: --cap-add sys_nice */
/* needs: [ -e /proc/self/numa_maps ] */
/* A NUMA memory policy of the thread. */
#include "tests/victims/victim.h"

#define MPOL_BIND 2

int main(void)
{
	unsigned long mask[16] = { 1 }, now[16] = { 0 };
	int mode = -1;

	CHECK_SYS(syscall(SYS_set_mempolicy, MPOL_BIND, mask, 1024));
	victim_ready();
	CHECK_SYS(syscall(SYS_get_mempolicy, &mode, now, 1024, NULL, 0));
	CHECK_EQ(mode, MPOL_BIND);
	CHECK_MEM(now, mask, sizeof(mask));
	victim_pass();
}
