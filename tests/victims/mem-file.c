/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are mapped: privately with written pages, shared, shorter than the mapping, deleted, devices. */
#include "tests/victims/mem.h"

static char path[256];

/* A file of `pages` filled pages and `more` bytes; its descriptor. */
static int make(const char *name, size_t pages, size_t more, int seed)
{
	int fd;

	snprintf(path, sizeof(path), "/var/tmp/mem-file-%s", name);
	fd = CHECK_SYS(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644));
	for (size_t i = 0; i < pages; i++) {
		char page[PAGE];

		fill(page, PAGE, seed + i);
		CHECK_EQ(write(fd, page, PAGE), PAGE);
	}
	CHECK_SYS(ftruncate(fd, pages * PAGE + more));
	return fd;
}

static char *map_file(int fd, size_t pages, int prot, int flags)
{
	return CHECK_MAP(mmap(NULL, pages * PAGE, prot, flags, fd, 0));
}

static char *private, *hidden, *shorter, *shared, *both, *offset, *deleted, *read_only, *zero, *zero_shared,
	*program, *view;
static int keep; /* the file that is mapped at `shared` */

static void set_up(void)
{
	const int rw = PROT_READ | PROT_WRITE;
	int fd;

	fd = make("private", 16, 0, 100);
	private = map_file(fd, 16, rw, MAP_PRIVATE);
	strcpy(private + 3 * PAGE, "written over");
	memset(private + 5 * PAGE, 0, PAGE); /* a zero page that is not the file's */
	CHECK_SYS(close(fd));
	fd = make("hidden", 8, 0, 200);
	hidden = map_file(fd, 8, rw, MAP_PRIVATE);
	fill(hidden + 2 * PAGE, PAGE, 1);
	CHECK_SYS(mprotect(hidden, 8 * PAGE, PROT_NONE));
	CHECK_SYS(close(fd));
	fd = make("shorter", 2, 100, 300);
	shorter = map_file(fd, 8, rw, MAP_PRIVATE);
	strcpy(shorter + PAGE, "written over");
	strcpy(shorter + 2 * PAGE + 1000, "behind the end, in the last page");
	CHECK_SYS(close(fd));
	keep = make("shared", 8, 0, 400);
	shared = map_file(keep, 8, rw, MAP_SHARED);
	strcpy(shared + 4 * PAGE, "written through");
	fd = make("both", 4, 0, 500);
	both = map_file(fd, 4, rw, MAP_SHARED);
	offset = CHECK_MAP(mmap(NULL, 2 * PAGE, rw, MAP_PRIVATE, fd, 2 * PAGE));
	offset[0] = 'o';
	CHECK_SYS(close(fd));
	fd = make("deleted", 4, 0, 600);
	deleted = map_file(fd, 4, rw, MAP_SHARED);
	strcpy(deleted, "nobody else sees this");
	CHECK_SYS(unlink(path));
	CHECK_SYS(close(fd));
	CHECK_SYS(close(make("read-only", 2, 0, 700)));
	fd = CHECK_SYS(open(path, O_RDONLY));
	read_only = map_file(fd, 2, PROT_READ, MAP_SHARED);
	CHECK_SYS(close(fd));
	fd = CHECK_SYS(open("/dev/zero", O_RDWR));
	zero = map_file(fd, 4, rw, MAP_PRIVATE);
	strcpy(zero + PAGE, "not zero");
	zero_shared = map_file(fd, 4, rw, MAP_SHARED);
	strcpy(zero_shared + PAGE, "not zero either");
	CHECK_SYS(close(fd));
	/* A file of the host, seen through the overlay. */
	fd = CHECK_SYS(open("/proc/self/exe", O_RDONLY));
	program = map_file(fd, 1, rw, MAP_PRIVATE);
	program[100] = 'p';
	view = map_file(fd, 1, PROT_READ, MAP_SHARED);
	CHECK_SYS(close(fd));
}

int main(void)
{
	char page[PAGE];
	int ro;

	set_up();
	victim_ready();

	fill(page, PAGE, 102);
	CHECK_MEM(private + 2 * PAGE, page, PAGE);
	CHECK_STR(private + 3 * PAGE, "written over");
	check_zero(private + 5 * PAGE, PAGE);
	check_filled(private + 6 * PAGE, PAGE, 106);
	CHECK_EQ(fault(hidden, false), SIGSEGV);
	CHECK_SYS(mprotect(hidden, 8 * PAGE, PROT_READ));
	check_filled(hidden + 2 * PAGE, PAGE, 1);
	check_filled(hidden + 3 * PAGE, PAGE, 203);
	check_filled(shorter, PAGE, 300);
	CHECK_STR(shorter + PAGE, "written over");
	CHECK_STR(shorter + 2 * PAGE + 1000, "behind the end, in the last page");
	CHECK_EQ(fault(shorter + 3 * PAGE, false), SIGBUS);
	CHECK_EQ(fault(shorter + 7 * PAGE, true), SIGBUS);
	CHECK_EQ(pread(keep, page, 16, 4 * PAGE), 16);
	CHECK_STR(page, "written through");
	strcpy(shared + 5 * PAGE, "still going through");
	CHECK_EQ(pread(keep, page, 20, 5 * PAGE), 20);
	CHECK_STR(page, "still going through");
	CHECK_EQ(pwrite(keep, "back", 5, 6 * PAGE), 5);
	CHECK_STR(shared + 6 * PAGE, "back");
	CHECK_EQ(offset[0], 'o');
	strcpy(both + 3 * PAGE, "seen in both");
	CHECK_STR(offset + PAGE, "seen in both");
	both[2 * PAGE] = 'x';
	CHECK_EQ(offset[0], 'o');
	CHECK_STR(deleted, "nobody else sees this");
	check_filled(deleted + PAGE, PAGE, 601);
	CHECK(strstr(find_area(deleted).name, "/mem-file-deleted (deleted)"));
	CHECK_ERRNO(mprotect(read_only, PAGE, PROT_READ | PROT_WRITE), EACCES);
	check_filled(read_only, PAGE, 700);
	ro = CHECK_SYS(open("/var/tmp/mem-file-read-only", O_RDWR));
	CHECK_EQ(pwrite(ro, "changed", 8, 0), 8);
	CHECK_STR(read_only, "changed");
	CHECK_STR(zero + PAGE, "not zero");
	check_zero(zero + 2 * PAGE, PAGE);
	zero[3 * PAGE] = 'z';
	CHECK_STR(zero_shared + PAGE, "not zero either");
	check_zero(zero_shared + 2 * PAGE, PAGE);
	zero_shared[0] = 'z';
	CHECK_EQ(program[100], 'p');
	CHECK_MEM(program, "\177ELF", 4);
	CHECK_MEM(view, "\177ELF", 4);
	CHECK_STR(strrchr(find_area(view).name, '/'), "/mem-file");
	victim_pass();
}
