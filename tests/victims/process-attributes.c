// SPDX-License-Identifier: Apache-2.0
/* What a process has once: OOM score, core dump filter, dumpable, write-xor-execute. */
#include "tests/victims/victim.h"

#include <sys/prctl.h>

static void put(const char *path, const char *text)
{
	int fd = CHECK_SYS(open(path, O_WRONLY | O_CLOEXEC));

	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	CHECK_SYS(close(fd));
}

static void check(const char *path, const char *expected)
{
	int fd = CHECK_SYS(open(path, O_RDONLY | O_CLOEXEC));
	char text[64] = "";

	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	CHECK_STR(text, expected);
	CHECK_SYS(close(fd));
}

static void child(void *arg)
{
	(void)arg;
	CHECK_SYS(prctl(PR_SET_DUMPABLE, 0));
	victim_wait();
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
}

int main(void)
{
	pid_t pid = victim_fork(child, NULL);
	bool mdwe;

	put("/proc/self/oom_score_adj", "456");
	put("/proc/self/coredump_filter", "0x7");
	mdwe = !prctl(65 /* PR_SET_MDWE, of Linux 6.3 */, 1, 0, 0, 0);
	if (!mdwe)
		CHECK_EQ(errno, EINVAL);
	victim_ready();
	check("/proc/self/oom_score_adj", "456\n");
	check("/proc/self/coredump_filter", "00000007\n");
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
	if (mdwe) {
		CHECK_EQ(prctl(66, 0, 0, 0, 0), 1);
		CHECK_ERRNO(mprotect(CHECK_SYS(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
				     4096, PROT_READ | PROT_EXEC), EACCES);
	}
	victim_join(pid);
	victim_pass();
}
