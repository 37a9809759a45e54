/* SPDX-License-Identifier: Apache-2.0 */
/* The rings of io_uring are refused where they are mapped, also when the descriptor is closed. */
/* run: --seccomp unconfined */
/* needs: [ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0)" = 0 ] */
/* refused: pid 2 (refused-io-urin): memory (anon_inode:[io_uring]): io_uring is not carried yet; start the program without it */
#include "tests/victims/mem.h"

int main(void)
{
	char params[120] = { 0 };
	int fd = CHECK_SYS((int)syscall(SYS_io_uring_setup, 4, params));

	CHECK_MAP(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK_SYS(close(fd));
	victim_ready();
	victim_pass();
}
