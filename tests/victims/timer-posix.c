// SPDX-License-Identifier: Apache-2.0
/* POSIX timers: their numbers with gaps between, what they send, what remains of them. */
#include "tests/victims/victim.h"

#define EARLY 1000 /* ms that pass before the first checkpoint: what begins anew is late by them */

static volatile sig_atomic_t fired, value;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	fired++;
	value = info->si_value.sival_int;
	CHECK_EQ(info->si_code, SI_TIMER);
}

/* The kernel's numbers, not the C library's. */
static int make(int clock, int notify, int sig, int v)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = sig,
				  .sigev_value.sival_int = v };
	int id = -1;

	CHECK_SYS(syscall(SYS_timer_create, clock, &event, &id));
	return id;
}

static int64_t left_ms(int id, int64_t *interval)
{
	struct itimerspec t;

	CHECK_SYS(syscall(SYS_timer_gettime, id, &t));
	*interval = t.it_interval.tv_sec * 1000 + t.it_interval.tv_nsec / 1000000;
	return t.it_value.tv_sec * 1000 + t.it_value.tv_nsec / 1000000;
}

int main(void)
{
	struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct itimerspec far = { { 0, 0 }, { 5000, 0 } }, soon = { { 0, 50000000 }, { 700, 0 } },
			  again = { { 0, 20000000 }, { 0, 20000000 } };
	int64_t before, after, least, most, left, interval;
	int ids[6], next;
	sigset_t set, pending;

	for (int i = 0; i < 6; i++)
		ids[i] = make(i == 4 ? CLOCK_BOOTTIME : CLOCK_MONOTONIC,
			      i == 3 ? SIGEV_NONE : SIGEV_SIGNAL, SIGRTMIN + i, 1000 + i);
	CHECK_SYS(syscall(SYS_timer_delete, ids[1]));
	CHECK_SYS(sigaction(SIGRTMIN, &a, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	sigprocmask(SIG_BLOCK, &set, NULL);
	before = victim_now_ms();
	CHECK_SYS(syscall(SYS_timer_settime, ids[2], 0, &far, NULL));
	CHECK_SYS(syscall(SYS_timer_settime, ids[3], 0, &far, NULL));
	CHECK_SYS(syscall(SYS_timer_settime, ids[4], 0, &soon, NULL));
	CHECK_SYS(syscall(SYS_timer_settime, ids[5], 0, &again, NULL));
	after = victim_now_ms();
	VICTIM_UNTIL(sigpending(&pending) == 0 && sigismember(&pending, SIGRTMIN + 5));

	victim_sleep_ms(EARLY);

	victim_ready();

	CHECK_ERRNO(syscall(SYS_timer_delete, ids[1]), EINVAL);
	CHECK_EQ(left_ms(ids[0], &interval), 0);
	for (int i = 2; i < 5; i++) {
		int64_t whole = i == 4 ? 700000 : 5000000;

		most = whole + after - victim_now_ms();
		left = left_ms(ids[i], &interval);
		least = whole + before - victim_now_ms();
		CHECK_EQ(interval, i == 4 ? 50 : 0);
		if (left < least - EARLY / 2 || left > most + EARLY / 2)
			VICTIM_FAIL("%lld ms are left of %lld, not %lld to %lld", (long long)left,
				    (long long)whole, (long long)least, (long long)most);
	}
	left_ms(ids[5], &interval);
	CHECK_EQ(interval, 20);
	/* It fires, with its own value, and goes on firing. */
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	for (int i = 0; i < 3; i++) {
		siginfo_t info;

		CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 5);
		CHECK_EQ(info.si_code, SI_TIMER);
		CHECK_EQ(info.si_value.sival_int, 1005);
	}
	again.it_interval.tv_nsec = 0;
	CHECK_SYS(syscall(SYS_timer_settime, ids[0], 0, &again, NULL));
	VICTIM_UNTIL(fired);
	CHECK_EQ(value, 1000);
	/* New ones get numbers of their own. */
	next = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	for (int i = 0; i < 6; i++)
		if (i != 1)
			CHECK(next != ids[i]);
	victim_pass();
}
