// SPDX-License-Identifier: Apache-2.0
/* build: -pthread -lrt */
/* POSIX timers of the CPU time of single threads: each goes on counting for its own, and for no other. */
#include "tests/victims/victim.h"

#include <pthread.h>

enum { FIRST, SECOND, N_THREADS };

static struct worker {
	pthread_t thread;
	timer_t timer;
	volatile pid_t tid;
	volatile bool over;
	int start[2]; /* pipe */
	volatile int fired;
} workers[N_THREADS];

static void on_signal(int sig, siginfo_t *info, void *context)
{
	struct worker *w = info->si_value.sival_ptr;

	w->fired++;
	/* The signal of the second timer is its thread's alone. */
	if (sig == SIGUSR2)
		CHECK_EQ(gettid(), w->tid);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	char byte;

	w->tid = gettid();
	CHECK_EQ(read(w->start[0], &byte, 1), 1);
	while (w->fired < 3)
		; /* counted by its timer */
	w->over = true;
	return NULL;
}

static void make_timer(struct worker *w, int sig, long ms)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig, .sigev_value.sival_ptr = w };
	struct itimerspec t = { { 0, ms * 1000000 }, { 0, ms * 1000000 } };
	clockid_t clock;

	if (sig == SIGUSR2) {
		event.sigev_notify = SIGEV_THREAD_ID;
		event._sigev_un._tid = w->tid;
	}
	CHECK_EQ(pthread_getcpuclockid(w->thread, &clock), 0);
	CHECK_SYS(timer_create(clock, &event, &w->timer));
	CHECK_SYS(timer_settime(w->timer, 0, &t, NULL));
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct itimerspec t;

	CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
	CHECK_SYS(sigaction(SIGUSR2, &action, NULL));
	for (int i = 0; i < N_THREADS; i++) {
		CHECK_SYS(pipe(workers[i].start));
		CHECK_EQ(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
		VICTIM_UNTIL(workers[i].tid);
	}
	/* Far more than the first thread uses up while it waits. */
	make_timer(&workers[FIRST], SIGUSR1, 900);
	make_timer(&workers[SECOND], SIGUSR2, 300);
	victim_ready();
	for (int i = 0; i < N_THREADS; i++) {
		CHECK_EQ(workers[i].fired, 0);
		CHECK_SYS(timer_gettime(workers[i].timer, &t));
		CHECK_EQ(t.it_interval.tv_nsec, i == FIRST ? 900000000 : 300000000);
		CHECK(t.it_value.tv_nsec > t.it_interval.tv_nsec / 3 &&
		      t.it_value.tv_nsec <= t.it_interval.tv_nsec);
	}
	CHECK_EQ(write(workers[SECOND].start[1], "", 1), 1);
	VICTIM_UNTIL(workers[SECOND].over);
	CHECK_EQ(workers[FIRST].fired, 0);
	CHECK_EQ(write(workers[FIRST].start[1], "", 1), 1);
	VICTIM_UNTIL(workers[FIRST].over);
	CHECK_EQ(workers[SECOND].fired, 3);
	victim_pass();
}
