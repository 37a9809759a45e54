/* SPDX-License-Identifier: Apache-2.0 */
/* mlockall(MCL_FUTURE): what is mapped after the restore is locked too; a child made with MCL_ONFAULT. */
#include "tests/victims/mem.h"

static char *none, *old;

static void check(bool on_fault)
{
	unsigned char present[8];
	char *new = map_anonymous(8 * PAGE, PROT_READ | PROT_WRITE);

	CHECK(has_flag(new, "lo"));
	CHECK_SYS(mincore(new, 8 * PAGE, present));
	for (int i = 0; i < 8; i++)
		CHECK_EQ(present[i], !on_fault);
	CHECK(has_flag(old, "lo"));
	check_filled(old, PAGE, 1);
	CHECK(has_flag(none, "lo"));
	CHECK_EQ(fault(none, false), SIGSEGV);
	CHECK_SYS(munlockall());
	new = map_anonymous(8 * PAGE, PROT_READ | PROT_WRITE);
	CHECK(!has_flag(new, "lo"));
}

static void child(void *arg)
{
	CHECK_SYS(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
	victim_wait();
	check(true);
}

static void plain(void *arg)
{
	victim_wait();
	CHECK(!has_flag(map_anonymous(PAGE, PROT_READ), "lo"));
}

int main(void)
{
	pid_t pids[2];

	none = map_anonymous(4 * PAGE, PROT_NONE); /* what cannot be touched is locked all the same */
	old = map_anonymous(4 * PAGE, PROT_READ | PROT_WRITE);
	fill(old, PAGE, 1);
	CHECK_SYS(mlockall(MCL_CURRENT | MCL_FUTURE));
	pids[0] = victim_fork(child, NULL);
	pids[1] = victim_fork(plain, NULL);
	victim_ready();
	check(false);
	victim_join(pids[0]);
	victim_join(pids[1]);
	victim_pass();
}
