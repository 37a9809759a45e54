/* SPDX-License-Identifier: Apache-2.0 */
/* A main stack that is used to its last bytes: nothing is free at its end, and little more may grow. */
#include "tests/victims/mem.h"

#include <sys/resource.h>

#define LIMIT (1UL << 20)

static void at_the_end(void)
{
	victim_ready();
}

/* Goes down until `keep` bytes are left of the limit. */
static __attribute__((noinline)) long dig(unsigned long top, long keep)
{
	volatile char room[2048];
	unsigned long here = (unsigned long)room;
	long sum;

	memset((void *)room, (int)(here >> 12), sizeof(room));
	if (top - here + keep > LIMIT) {
		at_the_end();
		return 0;
	}
	sum = dig(top, keep);
	for (size_t i = 0; i < sizeof(room); i++)
		CHECK_EQ((unsigned char)room[i], (unsigned char)(here >> 12));
	return sum + 1;
}

int main(void)
{
	struct rlimit limit = { LIMIT, LIMIT };
	char mark[16] = "the first frame";

	CHECK_SYS(setrlimit(RLIMIT_STACK, &limit));
	CHECK(dig(find_area(mark).end, 16 << 10) > 100);
	CHECK_STR(mark, "the first frame");
	victim_pass();
}
