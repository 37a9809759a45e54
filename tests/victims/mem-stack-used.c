/* SPDX-License-Identifier: Apache-2.0 */
/* A main stack that had grown and is not used as deep any more: what is below the stack pointer is no free page. */
#include "tests/victims/mem.h"

static __attribute__((noinline)) int dig(long left)
{
	volatile char room[PAGE];

	memset((void *)room, 'x', sizeof(room));
	return left > (long)PAGE ? dig(left - (long)PAGE) + room[0] : room[PAGE - 1];
}

int main(void)
{
	char mark[16] = "the first frame";

	CHECK(dig(500 << 10) > 0);
	victim_ready();
	CHECK_STR(mark, "the first frame");
	CHECK(dig(800 << 10) > 0);
	CHECK_STR(mark, "the first frame");
	victim_pass();
}
