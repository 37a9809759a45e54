/* SPDX-License-Identifier: Apache-2.0 */
/* What madvise(2) and mlock(2) set stays, and does what it says. */
#include "tests/victims/mem.h"

#define MEGABYTE (1UL << 20)

static const struct {
	int advice;
	const char *flag;
} advices[] = {
	{ MADV_DONTFORK, "dc" }, { MADV_DONTDUMP, "dd" }, { MADV_WIPEONFORK, "wf" },
	{ MADV_HUGEPAGE, "hg" }, { MADV_NOHUGEPAGE, "nh" }, { MADV_MERGEABLE, "mg" },
	{ MADV_RANDOM, "rr" }, { MADV_SEQUENTIAL, "sr" },
};
#define N (sizeof(advices) / sizeof(advices[0]))

static char *area[N], *two, *locked, *on_fault, *huge;

/* After the restore: a child made then obeys. */
static void child(void *arg)
{
	check_zero(area[2], 2 * PAGE);
	check_filled(area[1], PAGE, 1);
	CHECK_EQ(fault(area[0], false), SIGSEGV);
	CHECK_EQ(fault(two, false), SIGSEGV);
}

/* Was made before the checkpoint. */
static void early_child(void *arg)
{
	child(NULL);
	fill(area[2], PAGE, 50);
	victim_wait();
	check_filled(area[2], PAGE, 50);
	check_zero(area[2] + PAGE, PAGE);
	check_filled(area[1], PAGE, 1);
	CHECK_EQ(fault(area[0], false), SIGSEGV);
	CHECK(has_flag(area[2], "wf"));
}

int main(void)
{
	pid_t pid;

	for (size_t i = 0; i < N; i++) {
		area[i] = map_anonymous(4 * MEGABYTE, PROT_READ | PROT_WRITE);
		fill(area[i], PAGE, i);
		CHECK_SYS(madvise(area[i], 2 * MEGABYTE, advices[i].advice));
	}
	two = map_anonymous(4 * PAGE, PROT_READ | PROT_WRITE);
	fill(two, PAGE, 20);
	CHECK_SYS(madvise(two, 4 * PAGE, MADV_DONTFORK));
	CHECK_SYS(madvise(two, 4 * PAGE, MADV_DONTDUMP));
	CHECK_SYS(madvise(two, 4 * PAGE, MADV_NOHUGEPAGE));
	locked = map_anonymous(16 * PAGE, PROT_READ | PROT_WRITE);
	fill(locked, PAGE, 21);
	CHECK_SYS(mlock(locked + 4 * PAGE, 8 * PAGE));
	on_fault = map_anonymous(16 * PAGE, PROT_READ | PROT_WRITE);
	CHECK_SYS(mlock2(on_fault, 16 * PAGE, MLOCK_ONFAULT));
	fill(on_fault + PAGE, PAGE, 22);
	/* Huge pages, for real: one aligned piece of an advised area, written whole. */
	huge = map_anonymous(8 * MEGABYTE, PROT_READ | PROT_WRITE);
	huge = (char *)(((uintptr_t)huge + 2 * MEGABYTE - 1) & ~(2 * MEGABYTE - 1));
	CHECK_SYS(madvise(huge, 4 * MEGABYTE, MADV_HUGEPAGE));
	fill(huge, 4 * MEGABYTE, 23);
	pid = victim_fork(early_child, NULL);
	victim_ready();

	for (size_t i = 0; i < N; i++) {
		CHECK(has_flag(area[i], advices[i].flag));
		CHECK_EQ(find_area(area[i]).end, (unsigned long)area[i] + 2 * MEGABYTE);
		CHECK(!has_flag(area[i] + 2 * MEGABYTE, advices[i].flag));
		check_filled(area[i], PAGE, i);
		check_zero(area[i] + PAGE, PAGE);
	}
	victim_join(pid); /* pages that it shares count half in what is locked */
	CHECK(has_flag(two, "dc") && has_flag(two, "dd") && has_flag(two, "nh"));
	CHECK_EQ(find_area(locked + 4 * PAGE).locked, 32);
	CHECK_EQ(find_area(locked + 4 * PAGE).rss, 32);
	CHECK(!has_flag(locked, "lo") && !has_flag(locked + 12 * PAGE, "lo"));
	check_filled(locked, PAGE, 21);
	CHECK(has_flag(on_fault, "lo"));
	CHECK_EQ(find_area(on_fault).locked, 4);
	check_filled(on_fault + PAGE, PAGE, 22);
	check_filled(huge, 4 * MEGABYTE, 23);
	victim_join(victim_fork(child, NULL));
	check_filled(area[2], PAGE, 2);
	victim_pass();
}
