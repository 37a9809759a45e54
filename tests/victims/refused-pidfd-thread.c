/* SPDX-License-Identifier: Apache-2.0 */
/* A pidfd of a thread that is not the first of its process. */
/* build: -pthread */
/* needs: uname -r | awk -F. '$1 > 6 || $1 == 6 && $2 >= 9 { ok = 1 } END { exit !ok }' */
/* refused: pid 2 (refused-pidfd-t) fd 3: a pidfd of a thread (PIDFD_THREAD) is not carried; close it first */
#include "tests/victims/victim.h"

#include <poll.h>
#include <pthread.h>

static pid_t tid;

static void *work(void *arg)
{
	__atomic_store_n(&tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	victim_wait();
	return NULL;
}

int main(void)
{
	struct pollfd p = { .events = POLLIN };
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, work, NULL), 0);
	VICTIM_UNTIL(__atomic_load_n(&tid, __ATOMIC_SEQ_CST));
	p.fd = CHECK_SYS(syscall(SYS_pidfd_open, tid, O_EXCL)); /* PIDFD_THREAD */
	CHECK_EQ(p.fd, 3);
	victim_ready();
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(poll(&p, 1, 120000), 1);
	CHECK(p.revents & POLLIN);
	victim_pass();
}
