/* SPDX-License-Identifier: Apache-2.0 */
/* args: one two */
/* Arguments, environment, auxiliary vector and program as /proc shows them; a title written over them. */
#include "tests/victims/mem.h"

#include <sys/auxv.h>

static size_t slurp(const char *name, char *to, size_t max)
{
	int fd = CHECK_SYS(open(name, O_RDONLY));
	size_t n = 0;
	ssize_t r;

	while ((r = CHECK_SYS(read(fd, to + n, max - n))) > 0)
		n += r;
	CHECK_SYS(close(fd));
	return n;
}

static const char *const names[] = { "/proc/self/cmdline", "/proc/self/environ", "/proc/self/auxv" };
static char before[3][32768], after[3][32768];
static size_t n_before[3], n_after[3];

static void child(void *arg)
{
	char **argv = arg, text[256];

	/* The way daemons show what they do. */
	memset(argv[0], 0, argv[2] + strlen(argv[2]) - argv[0]);
	strcpy(argv[0], "a title");
	victim_wait();
	slurp(names[0], text, sizeof(text));
	CHECK_STR(text, "a title");
}

int main(int argc, char **argv)
{
	char exe[256] = "", exe_after[256] = "", stat[1024], stat_after[1024];
	unsigned long random[2];
	pid_t pid = victim_fork(child, argv);

	CHECK_EQ(argc, 3);
	CHECK_SYS(setenv("NEW", "value", 1));
	memcpy(random, (void *)getauxval(AT_RANDOM), 16);
	CHECK_SYS(readlink("/proc/self/exe", exe, 255));
	for (int i = 0; i < 3; i++)
		n_before[i] = slurp(names[i], before[i], sizeof(before[i]));
	stat[slurp("/proc/self/stat", stat, 1023)] = '\0';
	victim_ready();

	for (int i = 0; i < 3; i++) {
		n_after[i] = slurp(names[i], after[i], sizeof(after[i]));
		CHECK_EQ(n_after[i], n_before[i]);
		CHECK_MEM(after[i], before[i], n_before[i]);
	}
	CHECK_SYS(readlink("/proc/self/exe", exe_after, 255));
	CHECK_STR(exe_after, exe);
	CHECK_STR(argv[1], "one");
	CHECK_STR(argv[2], "two");
	CHECK_STR(getenv("NEW"), "value");
	CHECK_MEM((void *)getauxval(AT_RANDOM), random, 16);
	stat_after[slurp("/proc/self/stat", stat_after, 1023)] = '\0';
	/* Fields 26 to 28 and 45 to 51: where code, stack, data, heap, arguments and environment are. */
	char *a = strrchr(stat, ')') + 2, *b = strrchr(stat_after, ')') + 2;

	for (int field = 3; field <= 51; field++) {
		const char *x = strsep(&a, " "), *y = strsep(&b, " ");

		if ((field >= 26 && field <= 28) || field >= 45)
			CHECK_STR(y, x);
	}
	/* Its program is what execs again. */
	CHECK_SYS(access("/proc/self/exe", X_OK));
	victim_join(pid);
	victim_pass();
}
