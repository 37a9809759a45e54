/* SPDX-License-Identifier: Apache-2.0 */
/* The heap grows and shrinks after restore; the main stack and a MAP_GROWSDOWN area grow, each to its limit. */
#include "tests/victims/mem.h"

#include <sys/resource.h>

#define LIMIT (3UL << 20)

/* Uses `left` bytes of stack, at least. */
static __attribute__((noinline)) int dig(long left)
{
	volatile char room[PAGE];

	room[0] = 1;
	room[PAGE - 1] = 2;
	return left > (long)PAGE ? dig(left - (long)PAGE) + room[0] : room[PAGE - 1];
}

static void too_deep(void *arg)
{
	dig(2 * LIMIT);
}

int main(void)
{
	struct rlimit limit = { LIMIT, LIMIT };
	char *old = CHECK_MAP(sbrk(0)), *grows, *gap;
	char canary[64];
	int status;
	pid_t pid;

	CHECK_SYS(setrlimit(RLIMIT_STACK, &limit));
	CHECK_SYS(brk(old + 100 * PAGE + 123));
	fill(old + 50 * PAGE - (uintptr_t)old % PAGE, 50 * PAGE, 5);
	gap = map_anonymous(1 << 20, PROT_NONE);
	CHECK_SYS(munmap(gap, 1 << 20));
	grows = CHECK_MAP(mmap(gap + (1 << 20) - 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0));
	fill(grows, 2 * PAGE, 6);
	strcpy(canary, "on the stack");
	CHECK(dig(300 * 1024) > 0); /* it has grown once */
	victim_ready();

	CHECK_STR(canary, "on the stack");
	CHECK_EQ((long)sbrk(0), (long)(old + 100 * PAGE + 123));
	check_filled(old + 50 * PAGE - (uintptr_t)old % PAGE, 50 * PAGE, 5);
	CHECK_STR(find_area(old).name, "[heap]");
	CHECK_SYS(brk(old + 200 * PAGE));
	check_zero(old + 101 * PAGE - (uintptr_t)old % PAGE, 99 * PAGE);
	old[200 * PAGE - 1] = 'x';
	CHECK_SYS(brk(old + 60 * PAGE));
	check_filled(old + 50 * PAGE - (uintptr_t)old % PAGE, 10 * PAGE, 5);
	CHECK_EQ(fault(old + 70 * PAGE, false), SIGSEGV);
	CHECK_SYS(brk(old + 100 * PAGE));
	check_zero(old + 61 * PAGE - (uintptr_t)old % PAGE, 39 * PAGE);

	CHECK_STR(find_area(canary).name, "[stack]");
	CHECK(has_flag(canary, "gd"));
	CHECK(dig(LIMIT - (400 << 10)) > 0);
	CHECK(find_area(canary).end - find_area(canary).start > LIMIT - (500 << 10));
	pid = victim_fork(too_deep, NULL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSEGV);

	CHECK(has_flag(grows, "gd"));
	for (int i = 1; i <= 20; i++)
		grows[-i * (long)PAGE] = i;
	check_filled(grows, 2 * PAGE, 6);
	CHECK_EQ(find_area(grows).start, (unsigned long)grows - 20 * PAGE);
	victim_pass();
}
