/* SPDX-License-Identifier: Apache-2.0 */
/* A memfd that lives by its mappings alone: shared and private, of two processes, with holes and an odd end. */
#include "tests/victims/mem.h"

#define PAGES 300

static _Atomic int *turn;
static char *shared;

static void child(void *arg)
{
	victim_wait();
	VICTIM_UNTIL(*turn == 1);
	CHECK_STR(shared + 5 * PAGE, "from the parent");
	strcpy(shared + 6 * PAGE, "from the child");
	*turn = 2;
}

int main(void)
{
	int fd = CHECK_SYS(memfd_create("the name", MFD_CLOEXEC));
	char *private, *part, *sealed;
	pid_t pid;

	turn = CHECK_MAP(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	CHECK_SYS(ftruncate(fd, PAGES * PAGE + 17));
	shared = CHECK_MAP(mmap(NULL, (PAGES + 4) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	fill(shared, 2 * PAGE, 1);
	fill(shared + 200 * PAGE, 50 * PAGE, 2);
	strcpy(shared + PAGES * PAGE, "the last bytes");
	private = CHECK_MAP(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	memset(private, 0, PAGE); /* zeros over something */
	fill(private + 100 * PAGE, PAGE, 3);
	part = CHECK_MAP(mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, fd, 200 * PAGE));
	CHECK_SYS(close(fd));
	fd = CHECK_SYS(memfd_create("sealed", MFD_ALLOW_SEALING));
	CHECK_EQ(write(fd, "never changes", 14), 14);
	CHECK_SYS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
	sealed = CHECK_MAP(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	CHECK_SYS(close(fd));
	pid = victim_fork(child, NULL);
	victim_ready();

	check_filled(shared, 2 * PAGE, 1);
	check_zero(shared + 2 * PAGE, 198 * PAGE);
	check_filled(shared + 200 * PAGE, 50 * PAGE, 2);
	CHECK_STR(shared + PAGES * PAGE, "the last bytes");
	CHECK_EQ(fault(shared + (PAGES + 1) * PAGE, false), SIGBUS);
	check_zero(private, PAGE);
	check_filled(private + 100 * PAGE, PAGE, 3);
	check_filled(part, PAGE, 2);
	CHECK(strstr(find_area(shared).name, "memfd:the name (deleted)"));
	shared[200 * PAGE] ^= 1;
	CHECK_EQ(part[0], shared[200 * PAGE]);
	CHECK_EQ(private[200 * PAGE], shared[200 * PAGE]);
	shared[100 * PAGE] = 'x';
	check_filled(private + 100 * PAGE, PAGE, 3);
	CHECK_STR(sealed, "never changes");
	strcpy(shared + 5 * PAGE, "from the parent");
	*turn = 1;
	VICTIM_UNTIL(*turn == 2);
	CHECK_STR(shared + 6 * PAGE, "from the child");
	victim_join(pid);
	victim_pass();
}
