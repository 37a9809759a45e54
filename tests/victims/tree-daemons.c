/* SPDX-License-Identifier: Apache-2.0 */
/* Daemons as the book says: fork, setsid, fork, the parents end. */
#include "victim.h"

#include <sys/mman.h>

#define N 10

struct daemon {
	pid_t pid, session;
	int state;
};

static void daemon_run(struct daemon *d)
{
	d->pid = getpid();
	VICTIM_UNTIL(getppid() == 1);
	d->session = getsid(0);
	CHECK(d->session != d->pid);
	__atomic_store_n(&d->state, 1, __ATOMIC_SEQ_CST);
	victim_wait();
	CHECK_EQ(getpid(), d->pid);
	CHECK_EQ(getppid(), 1);
	CHECK_EQ(getsid(0), d->session);
	CHECK_EQ(getpgid(0), d->session);
	__atomic_store_n(&d->state, 2, __ATOMIC_SEQ_CST);
	/* Its end must wake podckpt-init as any child's would: tested by the pod coming to its end. */
	victim_sleep_ms(300);
	_exit(0);
}

int main(void)
{
	struct daemon *d = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(d != MAP_FAILED);
	for (int i = 0; i < N; i++) {
		pid_t first = CHECK_SYS(fork());

		if (!first) {
			CHECK_SYS(setsid());
			if (CHECK_SYS(fork()))
				_exit(0);
			daemon_run(&d[i]);
		}
		victim_join(first);
	}
	for (int i = 0; i < N; i++)
		VICTIM_UNTIL(__atomic_load_n(&d[i].state, __ATOMIC_SEQ_CST) == 1);
	victim_ready();
	for (int i = 0; i < N; i++)
		VICTIM_UNTIL(__atomic_load_n(&d[i].state, __ATOMIC_SEQ_CST) == 2);
	victim_pass();
}
