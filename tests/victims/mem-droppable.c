/* SPDX-License-Identifier: Apache-2.0 */
/* needs: uname -r | awk -F. '$1 > 6 || $1 == 6 && $2 >= 11 { ok = 1 } END { exit !ok }' */
/* MAP_DROPPABLE (where the vdso keeps the state of getrandom): the area stays; its content may be lost, and is. */
#include "tests/victims/mem.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif

int main(void)
{
	char *at = CHECK_MAP(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0));

	memset(at, 0, 4 * PAGE);
	victim_ready();
	CHECK(has_flag(at, "dp") && has_flag(at, "wf") && has_flag(at, "dd") && has_flag(at, "nr"));
	check_zero(at, 4 * PAGE);
	memset(at, 'x', 4 * PAGE);
	CHECK_ERRNO(madvise(at, PAGE, MADV_KEEPONFORK), EINVAL);
	victim_pass();
}
