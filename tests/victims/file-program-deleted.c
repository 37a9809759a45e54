/* SPDX-License-Identifier: Apache-2.0 */
/* The running program itself was deleted, and the C library was replaced under it as an upgrade does. */
#include "tests/victims/victim.h"

static void copy_program(const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "cp --preserve=mode /proc/%d/exe %s", getpid(), to);
	CHECK_EQ(system(command), 0);
}

static void path_of_libc(char path[256])
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "/libc.so.6\n")) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(path, 256, "%s", strchr(line, '/'));
			fclose(f);
			return;
		}
	VICTIM_FAIL("no libc mapped");
}

static void check_link(const char *link, const char *expected)
{
	char text[256] = "";

	CHECK_SYS(readlink(link, text, sizeof(text) - 1));
	CHECK_STR(text, expected);
}

static void child(void *arg)
{
	victim_wait();
}

int main(int argc, char **argv)
{
	char libc[256], command[1200];
	pid_t pid;

	if (argc == 1) {
		copy_program("/var/tmp/program");
		execl("/var/tmp/program", "program", "again", NULL);
		VICTIM_FAIL("exec");
	}
	CHECK_SYS(unlink("/var/tmp/program"));
	path_of_libc(libc);
	snprintf(command, sizeof(command), "cp -p '%s' '%s.new' && mv '%s.new' '%s'", libc, libc, libc, libc);
	CHECK_EQ(system(command), 0);
	check_link("/proc/self/exe", "/var/tmp/program (deleted)");
	pid = victim_fork(child, NULL);
	victim_ready();
	check_link("/proc/self/exe", "/var/tmp/program (deleted)");
	victim_join(pid);
	/* Code of it that was never run before still comes from the same file. */
	CHECK_EQ(strtod("12.5", NULL) * 2, 25);
	copy_program("/var/tmp/saved");
	CHECK_EQ(system("grep -q 'never in another file' /var/tmp/saved"), 0);
	victim_pass();
}
