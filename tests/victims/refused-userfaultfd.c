// SPDX-License-Identifier: Apache-2.0
/* A userfaultfd without memory registered is refused as a descriptor. */
/* run: --seccomp unconfined */
/* refused: pid 2 (refused-userfau) fd 3: userfaultfd is not carried; start the program without it (of a virtual machine: without lazy memory) */
#include "tests/victims/victim.h"

int main(void)
{
	int fd = CHECK_SYS((int)syscall(SYS_userfaultfd, O_CLOEXEC | 1));

	CHECK_EQ(fd, 3);
	victim_ready();
	CHECK_SYS(close(fd));
	victim_pass();
}
