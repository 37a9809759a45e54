/* SPDX-License-Identifier: Apache-2.0 */
/* Private anonymous memory of every protection, with content and without, sparse, moved, and code in it. */
#include "tests/victims/mem.h"

#define TERABYTE (1UL << 40)
#define MEGABYTE (1UL << 20)

static const unsigned char add_code[] = { 0x8d, 0x04, 0x37, 0xc3 }; /* lea (%rdi,%rsi),%eax; ret */

/* Nothing costs nothing. (Part of a larger area, so this asks the pages.) */
static void check_untouched(const char *area)
{
	uint64_t entries[MEGABYTE / PAGE];

	read_pagemap(getpid(), area, entries, MEGABYTE / PAGE);
	for (size_t i = 0; i < MEGABYTE / PAGE; i++)
		CHECK_EQ(entries[i] >> 63, 0);
	check_zero(area, MEGABYTE);
}

int main(void)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, PROT_READ | PROT_EXEC,
				     PROT_READ | PROT_WRITE | PROT_EXEC };
	char *area[6], *sparse, *untouched, *zeros, *big, *moved, *hidden;
	int (*add)(int, int), readable[6];

	for (int i = 0; i < 6; i++) {
		area[i] = map_anonymous(8 * PAGE, PROT_READ | PROT_WRITE);
		fill(area[i] + PAGE, 3 * PAGE, i);
		CHECK_SYS(mprotect(area[i], 8 * PAGE, prots[i]));
		/* With protection keys, what can be executed only cannot be read. */
		readable[i] = fault(area[i] + PAGE, false);
		CHECK(readable[i] == 0 || !(prots[i] & (PROT_READ | PROT_WRITE)));
	}
	sparse = CHECK_MAP(mmap(NULL, TERABYTE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	sparse[0] = 'a';
	sparse[TERABYTE / 3] = 'b';
	sparse[TERABYTE - 1] = 'c';
	/* As virtual machines of languages do it: all reserved, a little in use. */
	hidden = CHECK_MAP(mmap(NULL, TERABYTE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK_SYS(mprotect(hidden + TERABYTE / 2, MEGABYTE, PROT_READ | PROT_WRITE));
	strcpy(hidden + TERABYTE / 2 + 5000, "in the middle of it");
	untouched = map_anonymous(MEGABYTE, PROT_READ | PROT_WRITE);
	zeros = map_anonymous(MEGABYTE, PROT_READ | PROT_WRITE);
	memset(zeros, 1, MEGABYTE);
	memset(zeros, 0, MEGABYTE);
	big = map_anonymous(64 * MEGABYTE, PROT_READ | PROT_WRITE);
	fill(big, 64 * MEGABYTE, 77);
	moved = map_anonymous(16 * PAGE, PROT_READ | PROT_WRITE);
	fill(moved, 16 * PAGE, 78);
	moved = CHECK_MAP(mremap(moved, 16 * PAGE, 64 * PAGE, MREMAP_MAYMOVE));
	fill(moved + 60 * PAGE, PAGE, 79);
	add = (void *)map_anonymous(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	memcpy((void *)add, add_code, sizeof(add_code));
	victim_ready();

	for (int i = 0; i < 6; i++) {
		struct area a = find_area(area[i]);

		CHECK_EQ(a.start, (unsigned long)area[i]);
		CHECK_EQ(a.perms[0], prots[i] & PROT_READ ? 'r' : '-');
		CHECK_EQ(a.perms[1], prots[i] & PROT_WRITE ? 'w' : '-');
		CHECK_EQ(a.perms[2], prots[i] & PROT_EXEC ? 'x' : '-');
		CHECK_EQ(fault(area[i] + PAGE, false), readable[i]);
		if (prots[i])
			CHECK_EQ(fault(area[i] + PAGE, true), prots[i] & PROT_WRITE ? 0 : SIGSEGV);
		CHECK_SYS(mprotect(area[i], 8 * PAGE, PROT_READ | PROT_WRITE));
		check_zero(area[i], PAGE);
		check_filled(area[i] + PAGE, 3 * PAGE, i);
		check_zero(area[i] + 4 * PAGE, 4 * PAGE);
	}
	CHECK_EQ(sparse[0], 'a');
	CHECK_EQ(sparse[TERABYTE / 3], 'b');
	CHECK_EQ(sparse[TERABYTE - 1], 'c');
	CHECK_EQ(sparse[TERABYTE / 3 + PAGE], 0);
	CHECK(has_flag(sparse, "nr"));
	sparse[TERABYTE / 7] = 'd';
	CHECK_STR(hidden + TERABYTE / 2 + 5000, "in the middle of it");
	CHECK_EQ(fault(hidden, false), SIGSEGV);
	CHECK_EQ(fault(hidden + TERABYTE / 2 + MEGABYTE, false), SIGSEGV);
	CHECK_SYS(mprotect(hidden + TERABYTE - MEGABYTE, MEGABYTE, PROT_READ | PROT_WRITE));
	hidden[TERABYTE - 1] = 'e';
	check_untouched(untouched);
	check_zero(zeros, MEGABYTE);
	check_filled(big, 64 * MEGABYTE, 77);
	check_filled(moved, 16 * PAGE, 78);
	check_zero(moved + 16 * PAGE, 44 * PAGE);
	check_filled(moved + 60 * PAGE, PAGE, 79);
	CHECK_EQ(add(20, 22), 42);
	((unsigned char *)add)[0] = 0xb8; /* mov $imm,%eax */
	memcpy((char *)add + 1, "\x07\0\0\0\xc3", 5);
	CHECK_EQ(add(0, 0), 7);
	victim_pass();
}
