// SPDX-License-Identifier: Apache-2.0
/* Calls whose time the kernel forgets when they are interrupted: each ends when it would have, none with EINTR. */
#include "tests/victims/victim.h"

#include <linux/aio_abi.h>
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#define SPAN 8000
#define EARLY 2000 /* ms of it are over before the first checkpoint: what begins anew is late by them */
#define N 8

/* The limit is in memory that nobody can write to, and stays what it was. */
static const volatile int64_t *stalls;
static const struct timespec span = { SPAN / 1000, 0 };

static void child(void *arg)
{
	int64_t began, passed, most = SPAN + EARLY - 500;
	struct timeval timeout = { SPAN / 1000, 0 };
	struct sembuf op = { 0, -1, 0 };
	struct epoll_event event;
	struct io_event done;
	aio_context_t context = 0;
	struct iovec room;
	int fds[2], set, sem;
	sigset_t mask;
	char c;

	set = CHECK_SYS(epoll_create1(0));
	sem = CHECK_SYS(semget(IPC_PRIVATE, 1, 0600));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	CHECK_SYS(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)));
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	CHECK_SYS(sigprocmask(SIG_BLOCK, &mask, NULL));
	room = (struct iovec){ &c, 1 };
	began = victim_now_ms();
	switch ((intptr_t)arg) {
	case 0:
		CHECK_EQ(epoll_wait(set, &event, 1, SPAN), 0);
		break;
	case 1:
		CHECK_EQ(syscall(SYS_epoll_pwait2, set, &event, 1, &span, NULL, 8), 0);
		break;
	case 2:
		CHECK_ERRNO(sigtimedwait(&mask, NULL, &span), EAGAIN);
		break;
	case 3:
		CHECK_ERRNO(semtimedop(sem, &op, 1, &span), EAGAIN);
		break;
	case 6:
	case 7:
		CHECK_SYS(syscall(SYS_io_setup, 1, &context));
		CHECK_EQ(syscall((intptr_t)arg == 6 ? SYS_io_getevents : SYS_io_pgetevents, context, 1, 1, &done, &span,
				 NULL), 0);
		break;
	/* These begin anew. */
	case 4:
		CHECK_ERRNO(recv(fds[0], &c, 1, 0), EAGAIN);
		most = 10 * SPAN;
		break;
	case 5:
		CHECK_ERRNO(readv(fds[0], &room, 1), EAGAIN);
		most = 10 * SPAN;
		break;
	}
	passed = victim_now_ms() - began;
	if (passed < SPAN - 1 || passed > most + *stalls)
		VICTIM_FAIL("call %d took %lld ms", (int)(intptr_t)arg, (long long)passed);
	CHECK_EQ(span.tv_sec, SPAN / 1000);
}

int main(void)
{
	pid_t pids[N];

	stalls = victim_watch_stalls();
	for (intptr_t i = 0; i < N; i++)
		pids[i] = victim_fork(child, (void *)i);
	victim_sleep_ms(EARLY);
	victim_ready();
	for (int i = 0; i < N; i++)
		victim_join(pids[i]);
	victim_pass();
}
