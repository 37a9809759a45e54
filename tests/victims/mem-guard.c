/* SPDX-License-Identifier: Apache-2.0 */
/* needs: uname -r | awk -F. '$1 > 6 || $1 == 6 && $2 >= 15 { ok = 1 } END { exit !ok }' */
/* Guard pages of madvise(2): in the middle, at the ends, over content, in files, and gone when removed. */
#include "tests/victims/mem.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#define PAGES 64

static void check(char *at, bool file)
{
	for (int i = 0; i < PAGES; i++) {
		bool guard = i == 0 || i == 10 || i == 11 || i == PAGES - 1;

		CHECK_EQ(fault(at + i * PAGE, false), guard ? SIGSEGV : 0);
		CHECK_EQ(fault(at + i * PAGE, true), guard ? SIGSEGV : 0);
	}
	check_filled(at + 9 * PAGE, PAGE, 9);
	CHECK_SYS(madvise(at + 10 * PAGE, PAGE, MADV_GUARD_REMOVE));
	if (file)
		check_filled(at + 10 * PAGE, PAGE, 10);
	else
		check_zero(at + 10 * PAGE, PAGE);
	CHECK_EQ(fault(at + 11 * PAGE, false), SIGSEGV);
}

static void guard(char *at)
{
	for (int i = 0; i < PAGES; i++)
		fill(at + i * PAGE, PAGE, i);
	CHECK_SYS(madvise(at, PAGE, MADV_GUARD_INSTALL));
	CHECK_SYS(madvise(at + 10 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL));
	CHECK_SYS(madvise(at + (PAGES - 1) * PAGE, PAGE, MADV_GUARD_INSTALL));
}

static void child(void *arg)
{
	victim_wait();
	check(arg, false);
}

int main(void)
{
	char *private = map_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE), *code, *shared, *file;
	int fd = CHECK_SYS(open("/var/tmp/mem-guard", O_RDWR | O_CREAT, 0644));
	pid_t pid;

	guard(private);
	pid = victim_fork(child, private);
	code = map_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	guard(code);
	shared = CHECK_MAP(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	guard(shared);
	CHECK_SYS(ftruncate(fd, PAGES * PAGE));
	file = CHECK_MAP(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	guard(file);
	victim_ready();
	check(private, false);
	check(code, false);
	check(shared, true);
	check(file, true);
	victim_join(pid);
	victim_pass();
}
