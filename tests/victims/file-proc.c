/* SPDX-License-Identifier: Apache-2.0 */
/* Files of /proc and /sys that are open for reading, of other processes too; and a setting for writing. */
#include "tests/victims/victim.h"

static void child(void *arg)
{
	victim_wait();
}

int main(void)
{
	pid_t pid = victim_fork(child, NULL);
	int meminfo = CHECK_SYS(open("/proc/meminfo", O_RDONLY));
	int self = CHECK_SYS(open("/proc/self", O_RDONLY | O_DIRECTORY));
	int status, adj = CHECK_SYS(open("/proc/self/oom_score_adj", O_RDWR));
	int sys = CHECK_SYS(open("/sys/kernel", O_RDONLY | O_DIRECTORY));
	char text[4096] = "", path[64];

	int symbols = CHECK_SYS(open("/proc/kallsyms", O_RDONLY));

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = CHECK_SYS(open(path, O_RDONLY));
	CHECK_EQ(read(meminfo, text, 10), 10);
	victim_ready();
	/* Addresses of the kernel stay hidden from a pod without CAP_SYSLOG. */
	CHECK_EQ(pread(symbols, text, 16, 0), 16);
	CHECK_MEM(text, "0000000000000000", 16);
	CHECK_EQ(lseek(meminfo, 0, SEEK_CUR), 10);
	CHECK_EQ(pread(meminfo, text, 9, 0), 9);
	CHECK_MEM(text, "MemTotal:", 9);
	CHECK(read(status, text, sizeof(text) - 1) > 0);
	CHECK(strstr(text, "file-proc"));
	CHECK_SYS(faccessat(self, "maps", F_OK, 0));
	CHECK_SYS(faccessat(sys, "mm", F_OK, 0));
	CHECK_EQ(write(adj, "77", 2), 2);
	memset(text, 0, sizeof(text));
	CHECK_EQ(pread(adj, text, 8, 0), 3);
	CHECK_STR(text, "77\n");
	victim_join(pid);
	victim_pass();
}
