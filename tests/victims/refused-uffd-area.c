/* SPDX-License-Identifier: Apache-2.0 */
/* Memory registered with userfaultfd is refused by its address, the descriptor by its number. */
/* run: --seccomp unconfined */
/* refused: pid 2 (refused-uffd-ar) fd 3: userfaultfd is not carried; start the program without it (of a virtual machine: without lazy memory) */
/* refused: pid 2 (refused-uffd-ar): memory at 200000000000: memory under userfaultfd is not carried; start the program without it */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "tests/victims/mem.h"

int main(void)
{
	char *at = CHECK_MAP(mmap((void *)0x200000000000, 4 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	int fd = CHECK_SYS((int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)at, 4 * PAGE },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };

	CHECK_EQ(fd, 3);
	CHECK_SYS(ioctl(fd, UFFDIO_API, &api));
	CHECK_SYS(ioctl(fd, UFFDIO_REGISTER, &reg));
	victim_ready();
	CHECK_SYS(close(fd));
	victim_pass();
}
