/* SPDX-License-Identifier: Apache-2.0 */
/* build: -static -no-pie */
/* A static program at the place it was linked for, with its heap right behind. */
#include "tests/victims/mem.h"

static char data[3 * PAGE] = "initialised", bss[300 * PAGE];

int main(void)
{
	char *heap = malloc(100000);

	data[PAGE] = 'd';
	fill(bss, sizeof(bss), 3);
	memset(heap, 'h', 100000);
	victim_ready();
	CHECK((uintptr_t)data < 0x10000000);
	CHECK_STR(data, "initialised");
	CHECK_EQ(data[PAGE], 'd');
	check_filled(bss, sizeof(bss), 3);
	CHECK_EQ(heap[99999], 'h');
	CHECK(malloc(100000));
	victim_pass();
}
