/* SPDX-License-Identifier: Apache-2.0 */
/* run: --seccomp unconfined */
/* needs: python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(447, 0) < 0)' */
/* memfd_secret(2), which nobody but its owner can read, is refused. */
/* refused: pid 2 (refused-secret): memory (/secretmem (deleted)): secret memory (memfd_secret) is not carried; it cannot be read */
#include "tests/victims/mem.h"

int main(void)
{
	int fd = CHECK_SYS((int)syscall(447, 0));
	char *at;

	CHECK_SYS(ftruncate(fd, PAGE));
	at = CHECK_MAP(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK_SYS(close(fd));
	strcpy(at, "secret");
	victim_ready();
	CHECK_STR(at, "secret");
	victim_pass();
}
