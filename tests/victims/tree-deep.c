/* SPDX-License-Identifier: Apache-2.0 */
/* Fifty generations, each the parent of the next, each in a process group of its own or its parent's. */
#include "victim.h"

#define DEPTH 50

static int *count;

int main(void)
{
	pid_t self, group, session, parent, child = 0;
	int depth = 0, status;

	count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(count != MAP_FAILED);
	while (depth < DEPTH) {
		child = CHECK_SYS(fork());
		if (child)
			break;
		depth++;
		if (depth % 3 == 0)
			CHECK_SYS(setpgid(0, 0));
	}
	self = getpid();
	parent = getppid();
	group = getpgid(0);
	session = getsid(0);
	__atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
	if (depth == 0) {
		VICTIM_UNTIL(__atomic_load_n(count, __ATOMIC_SEQ_CST) == DEPTH + 1);
		victim_ready();
	} else {
		victim_wait();
	}
	CHECK_EQ(getpid(), self);
	CHECK_EQ(getpgid(0), group);
	CHECK_EQ(getsid(0), session);
	CHECK_EQ(getppid(), parent);
	if (child) {
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), depth + 1);
	}
	if (depth)
		_exit(depth);
	victim_pass();
}
