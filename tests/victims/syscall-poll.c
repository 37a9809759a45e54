// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* Waiting for descriptors with a time limit, in every way: the limit is neither missed nor shortened nor begun anew. */
#include "tests/victims/victim.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>

#define SPAN 6000
#define EARLY 2000 /* ms of it are over before the first checkpoint: what begins anew is late by them */
#define N 8

static const volatile int64_t *stalls;
static volatile int up;
static int fds[2], answer[2];

static void *work(void *arg)
{
	struct timespec t = { SPAN / 1000, 0 };
	struct timeval v = { SPAN / 1000, 0 };
	struct pollfd p = { fds[0], POLLIN, 0 }, q = { answer[0], POLLIN, 0 };
	int64_t began = victim_now_ms(), passed;
	struct epoll_event event = { .events = EPOLLIN };
	int ep = CHECK_SYS(epoll_create1(0));
	fd_set set;
	long r = -1;

	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	CHECK_SYS(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &event));
	__atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
	switch ((intptr_t)arg) {
	case 0:
		r = syscall(SYS_poll, &p, 1, SPAN);
		break;
	case 1:
		r = syscall(SYS_poll, NULL, 0, SPAN);
		break;
	case 2:
		r = syscall(SYS_ppoll, &p, 1, &t, NULL, 8);
		break;
	case 3:
		r = syscall(SYS_select, fds[0] + 1, &set, NULL, NULL, &v);
		break;
	case 4:
		r = syscall(SYS_pselect6, fds[0] + 1, &set, NULL, NULL, &t, NULL);
		break;
	case 5:
		r = syscall(SYS_epoll_wait, ep, &event, 1, SPAN);
		break;
	case 6:
		r = syscall(SYS_epoll_pwait, ep, &event, 1, SPAN, NULL, 8);
		break;
	case 7: /* ready in time, long before its limit */
		r = syscall(SYS_poll, &q, 1, 100000);
		CHECK_EQ(r, 1);
		CHECK_EQ(q.revents, POLLIN);
		return arg;
	}
	passed = victim_now_ms() - began;
	CHECK_EQ(r, 0);
	if (passed < SPAN - 1 || passed > SPAN + EARLY - 500 + *stalls)
		VICTIM_FAIL("wait %d took %lld ms", (int)(intptr_t)arg, (long long)passed);
	return arg;
}

int main(void)
{
	pthread_t threads[N];

	stalls = victim_watch_stalls();
	CHECK_SYS(pipe(fds));
	CHECK_SYS(pipe(answer));
	for (intptr_t i = 0; i < N; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	VICTIM_UNTIL(up == N);
	victim_sleep_ms(EARLY);
	victim_ready();
	CHECK_EQ(write(answer[1], "x", 1), 1);
	for (int i = 0; i < N; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	victim_pass();
}
