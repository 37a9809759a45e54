/* SPDX-License-Identifier: Apache-2.0 */
/* needs: uname -r | awk -F. '$1 > 6 || $1 == 6 && $2 >= 10 { ok = 1 } END { exit !ok }' */
/* mseal(2): the content is there, the seal holds. */
#include "tests/victims/mem.h"

#define SYS_MSEAL 462

int main(void)
{
	char *at = map_anonymous(8 * PAGE, PROT_READ | PROT_WRITE);

	fill(at, 4 * PAGE, 1);
	CHECK_SYS(mprotect(at, 4 * PAGE, PROT_READ));
	CHECK_SYS(syscall(SYS_MSEAL, at, 4 * PAGE, 0));
	victim_ready();
	check_filled(at, 4 * PAGE, 1);
	CHECK(has_flag(at, "sl"));
	CHECK_ERRNO(mprotect(at, PAGE, PROT_READ | PROT_WRITE), EPERM);
	CHECK_ERRNO(munmap(at, PAGE), EPERM);
	CHECK_SYS(munmap(at + 4 * PAGE, 4 * PAGE));
	victim_pass();
}
