/* SPDX-License-Identifier: Apache-2.0 */
/* Shared anonymous memory: between relatives, in parts, at two addresses, of every protection. */
#include "tests/victims/mem.h"

#define SIZE (64 * PAGE)

static _Atomic int *turn;

static void take_turn(int mine)
{
	VICTIM_UNTIL(*turn == mine);
}

static void grandchild(void *arg)
{
	char *shared = arg;

	victim_wait();
	take_turn(1);
	CHECK_STR(shared + 10 * PAGE, "from the first");
	strcpy(shared + 11 * PAGE, "from the last");
	*turn = 2;
}

static void child(void *arg)
{
	char *shared = arg, *end = shared + SIZE;
	pid_t pid = victim_fork(grandchild, shared);

	/* A hole, a part that may only be read, and a part at another place. */
	CHECK_SYS(munmap(shared + 20 * PAGE, 10 * PAGE));
	CHECK_SYS(mprotect(shared + 30 * PAGE, 10 * PAGE, PROT_READ));
	end = CHECK_MAP(mremap(shared + 40 * PAGE, 24 * PAGE, 24 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			       map_anonymous(24 * PAGE, PROT_NONE)));
	victim_wait();
	take_turn(2);
	CHECK_STR(shared + 11 * PAGE, "from the last");
	CHECK_EQ(fault(shared + 20 * PAGE, false), SIGSEGV);
	CHECK_EQ(fault(shared + 30 * PAGE, true), SIGSEGV);
	CHECK_EQ(fault(shared + 40 * PAGE, false), SIGSEGV);
	check_filled(shared + 30 * PAGE, PAGE, 30);
	check_filled(end + PAGE, PAGE, 41);
	CHECK_SYS(mprotect(shared + 30 * PAGE, 10 * PAGE, PROT_READ | PROT_WRITE));
	strcpy(shared + 30 * PAGE, "writable again");
	strcpy(end + 23 * PAGE, "from afar");
	victim_join(pid);
	*turn = 3;
}

int main(void)
{
	char *shared = CHECK_MAP(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				      -1, 0)), *none, *orphan;
	pid_t pid;

	turn = CHECK_MAP(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (int i = 20; i < 64; i++)
		fill(shared + i * PAGE, PAGE, i);
	none = CHECK_MAP(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	fill(none, 4 * PAGE, 99);
	CHECK_SYS(mprotect(none, 4 * PAGE, PROT_NONE));
	/* The object is larger than what is left mapped of it. */
	orphan = CHECK_MAP(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	fill(orphan, 8 * PAGE, 100);
	CHECK_SYS(munmap(orphan, 4 * PAGE));
	pid = victim_fork(child, shared);
	victim_ready();

	strcpy(shared + 10 * PAGE, "from the first");
	*turn = 1;
	take_turn(3);
	CHECK_STR(shared + 30 * PAGE, "writable again");
	CHECK_STR(shared + 63 * PAGE, "from afar");
	check_filled(shared + 20 * PAGE, PAGE, 20);
	victim_join(pid);
	CHECK_EQ(fault(none, false), SIGSEGV);
	CHECK_SYS(mprotect(none, 4 * PAGE, PROT_READ | PROT_WRITE));
	check_filled(none, 4 * PAGE, 99);
	/* The first half is still there: seen when the mapping grows again. */
	orphan = CHECK_MAP(mremap(orphan + 4 * PAGE, 0, 4 * PAGE, MREMAP_MAYMOVE));
	CHECK_EQ(fault(orphan, false), 0);
	victim_pass();
}
