// SPDX-License-Identifier: Apache-2.0
/* membarrier(2): what was registered may be used, what was not may not. */
#include "tests/victims/victim.h"

#include <linux/membarrier.h>

int main(void)
{
	CHECK_SYS(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	victim_ready();
	CHECK_SYS(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	CHECK_ERRNO(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0), EPERM);
	victim_pass();
}
