// SPDX-License-Identifier: Apache-2.0
/* io_uring is refused in words that say what to do. */
/* run: --seccomp unconfined */
/* needs: [ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0)" = 0 ] */
/* refused: pid 2 (refused-io-urin) fd 3: io_uring is not carried yet; start the program without it */
#include "tests/victims/victim.h"

int main(void)
{
	char params[120] = { 0 };
	int fd = CHECK_SYS((int)syscall(SYS_io_uring_setup, 4, params));

	CHECK_EQ(fd, 3);
	victim_ready();
	CHECK_SYS(close(fd));
	victim_pass();
}
