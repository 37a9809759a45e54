// SPDX-License-Identifier: Apache-2.0
/* run: --seccomp unconfined */
/* build: -pthread */
/* Personality and access to the time stamp counter, which are of each thread. */
#include "tests/victims/victim.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/personality.h>
#include <sys/prctl.h>

static volatile int up;
static sigjmp_buf out;

static void on_segv(int sig)
{
	siglongjmp(out, sig);
}

static void *work(void *arg)
{
	CHECK_SYS(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
	CHECK_SYS(personality(UNAME26 | ADDR_NO_RANDOMIZE));
	up = 1;
	/* By the bare call: the C library's clock reads the counter. */
	while (syscall(SYS_access, "/run/victim.go", F_OK) < 0)
		syscall(SYS_poll, NULL, 0, 10);
	CHECK_EQ(personality(0xffffffff), UNAME26 | ADDR_NO_RANDOMIZE);
	if (sigsetjmp(out, 1) == 0) {
		__builtin_ia32_rdtsc();
		VICTIM_FAIL("the counter can be read");
	}
	return arg;
}

int main(void)
{
	pthread_t thread;

	signal(SIGSEGV, on_segv);
	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	VICTIM_UNTIL(up);
	victim_ready();
	CHECK_EQ(personality(0xffffffff), 0);
	__builtin_ia32_rdtsc();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	victim_pass();
}
