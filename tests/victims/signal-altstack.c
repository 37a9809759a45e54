// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* An alternate signal stack, unused in a thread and in use in another: its handler runs on it meanwhile. */
#include "tests/victims/victim.h"

#include <pthread.h>

static char stack[2][65536] __attribute__((aligned(16)));
static volatile int in_handler, handled;

static void on_signal(int sig)
{
	volatile char here = (char)sig;
	stack_t now;

	CHECK((char *)&here >= stack[1] && (char *)&here < stack[1] + sizeof(stack[1]));
	CHECK_SYS(sigaltstack(NULL, &now));
	CHECK_EQ(now.ss_flags, SS_ONSTACK);
	in_handler = 1;
	victim_wait();
	CHECK_SYS(sigaltstack(NULL, &now));
	CHECK_EQ(now.ss_flags, SS_ONSTACK);
	CHECK(now.ss_sp == stack[1]);
	CHECK_EQ(here, sig);
	handled = 1;
}

static void *work(void *arg)
{
	stack_t s = { .ss_sp = stack[1], .ss_size = sizeof(stack[1]) };

	CHECK_SYS(sigaltstack(&s, NULL));
	raise(SIGUSR1);
	CHECK_SYS(sigaltstack(NULL, &s));
	CHECK_EQ(s.ss_flags, 0);
	CHECK(s.ss_sp == stack[1]);
	return arg;
}

int main(void)
{
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	stack_t s = { .ss_sp = stack[0], .ss_size = 40000, .ss_flags = (int)(1U << 31) }, now;
	pthread_t thread;

	CHECK_SYS(sigaltstack(&s, NULL));
	CHECK_SYS(sigaction(SIGUSR1, &a, NULL));
	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	VICTIM_UNTIL(in_handler);

	victim_ready();

	CHECK_SYS(sigaltstack(NULL, &now));
	CHECK(now.ss_sp == stack[0]);
	CHECK_EQ(now.ss_size, 40000);
	CHECK_EQ((unsigned int)now.ss_flags, 1U << 31); /* SS_AUTODISARM */
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(handled, 1);
	victim_pass();
}
