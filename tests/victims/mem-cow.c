/* SPDX-License-Identifier: Apache-2.0 */
/* run: --cap-add SYS_ADMIN */
/*
 * Memory shared since fork: two children and a grandchild have most of 16 MB in common, each with changes of its
 * own. After restore it is still the same pages, and writes stay apart.
 */
#include "tests/victims/mem.h"

#define PAGES 4096UL
#define MINE(who) ((who) * 64)	 /* where each writes 16 pages of its own */

static char *area, *plain;
static _Atomic int *counted, *done;
static int who;

static void change(void)
{
	for (int i = 0; i < 16; i++)
		fill(area + (MINE(who) + i) * PAGE, PAGE, 10000 * who + i);
}

/* Everything but what `who` and its ancestors changed before the fork is the first one's. */
static void check(int me, int parent)
{
	for (unsigned long i = 0; i < PAGES; i++) {
		unsigned long owner = i / 64, in = i % 64;

		/* Unmapped and protected parts: see the grandchild. */
		if (me == 3 && i >= 3000 && i < 3100)
			continue;
		if (owner >= 1 && owner <= 3 && in < 16 && (owner == (unsigned long)me ||
							    owner == (unsigned long)parent))
			check_filled(area + i * PAGE, PAGE, 10000 * owner + in);
		else if (me == 3 && i >= 3200 && i < 3210)
			check_zero(area + i * PAGE, PAGE);
		else
			check_filled(area + i * PAGE, PAGE, i);
	}
}

/* How many pages are the same page frames in a process and its parent. */
static size_t count_common(pid_t a, pid_t b)
{
	static uint64_t x[PAGES], y[PAGES];
	size_t n = 0;

	read_pagemap(a, area, x, PAGES);
	read_pagemap(b, area, y, PAGES);
	for (size_t i = 0; i < PAGES; i++)
		n += x[i] >> 63 && x[i] == y[i];
	return n;
}

static void finish(int parent)
{
	VICTIM_UNTIL(*counted == 3);
	check(who, parent);
	/* All write into pages they have in common, then look whether anybody else's write shows. */
	for (int i = 0; i < 100; i++)
		area[(1000 + i) * PAGE + who] = (char)(100 + who);
	++*done;
	VICTIM_UNTIL(*done == 4);
	for (int i = 0; i < 100; i++) {
		char page[PAGE];

		fill(page, PAGE, 1000 + i);
		page[who] = (char)(100 + who);
		CHECK_MEM(area + (1000 + i) * PAGE, page, PAGE);
	}
}

static void grandchild(void *arg)
{
	who = 3;
	change();
	/* Parts that it has no more, has otherwise, or has emptied. */
	CHECK_SYS(munmap(area + 3000 * PAGE, 50 * PAGE));
	CHECK_SYS(mprotect(area + 3050 * PAGE, 50 * PAGE, PROT_READ));
	CHECK_SYS(madvise(area + 3200 * PAGE, 10 * PAGE, MADV_DONTNEED));
	CHECK_MAP(mmap(plain, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	fill(plain + PAGE, PAGE, 5);
	victim_wait();
	CHECK_EQ(fault(area + 3000 * PAGE, false), SIGSEGV);
	CHECK_EQ(fault(area + 3049 * PAGE, false), SIGSEGV);
	CHECK_EQ(fault(area + 3050 * PAGE, true), SIGSEGV);
	for (int i = 3050; i < 3100; i++)
		check_filled(area + i * PAGE, PAGE, i);
	check_zero(plain, PAGE);
	check_filled(plain + PAGE, PAGE, 5);
	check_filled(plain + 10 * PAGE, 54 * PAGE, 4);
	CHECK(count_common(getpid(), getppid()) > PAGES - 16 - 16 - 100 - 50 - 60);
	++*counted;
	finish(1);
}

static void child(void *arg)
{
	pid_t pid = 0;

	who = *(int *)arg;
	change();
	if (who == 1)
		pid = victim_fork(grandchild, NULL);
	victim_wait();
	CHECK(count_common(getpid(), getppid()) > PAGES - 16 - 16 - 100 - 16);
	++*counted;
	finish(0);
	if (pid)
		victim_join(pid);
}

int main(void)
{
	int one = 1, two = 2;
	pid_t pids[2];

	area = map_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
	plain = map_anonymous(64 * PAGE, PROT_READ | PROT_WRITE);
	counted = CHECK_MAP(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	done = counted + 1;
	for (unsigned long i = 0; i < PAGES; i++)
		fill(area + i * PAGE, PAGE, i);
	fill(plain + 10 * PAGE, 54 * PAGE, 4);
	pids[0] = victim_fork(child, &one);
	pids[1] = victim_fork(child, &two);
	victim_ready();
	finish(0);
	victim_join(pids[0]);
	victim_join(pids[1]);
	victim_pass();
}
