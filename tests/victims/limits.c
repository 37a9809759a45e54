// SPDX-License-Identifier: Apache-2.0
/* Resource limits, soft and hard, of a process that has lowered them. */
#include "tests/victims/victim.h"

#include <sys/resource.h>

static void lower(int which, rlim_t soft, rlim_t hard)
{
	struct rlimit limit = { soft, hard };

	CHECK_SYS(setrlimit(which, &limit));
}

static void check(int which, rlim_t soft, rlim_t hard)
{
	struct rlimit limit;

	CHECK_SYS(getrlimit(which, &limit));
	CHECK_EQ(limit.rlim_cur, soft);
	CHECK_EQ(limit.rlim_max, hard);
}

int main(void)
{
	struct rlimit stack;

	CHECK_SYS(getrlimit(RLIMIT_STACK, &stack));
	lower(RLIMIT_NOFILE, 33, 77);
	lower(RLIMIT_CORE, 0, 4096);
	lower(RLIMIT_FSIZE, 12345, 23456);
	lower(RLIMIT_SIGPENDING, 5, 6);
	lower(RLIMIT_CPU, 1000, 2000);
	victim_ready();
	check(RLIMIT_NOFILE, 33, 77);
	check(RLIMIT_CORE, 0, 4096);
	check(RLIMIT_FSIZE, 12345, 23456);
	check(RLIMIT_SIGPENDING, 5, 6);
	check(RLIMIT_CPU, 1000, 2000);
	check(RLIMIT_STACK, stack.rlim_cur, stack.rlim_max);
	CHECK_ERRNO(dup2(1, 33), EBADF);
	victim_pass();
}
