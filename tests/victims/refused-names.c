/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions whose names lead nowhere any more, and names of what has no name. */
/* needs: grep -qw mqueue /proc/filesystems */
/* refused: pid 2 (refused-names) fd 3: '/proc/3/comm' is of a process that has ended; close it first */
/* refused: pid 2 (refused-names) fd 4: a message queue that was removed is not carried; close it first */
/* refused: pid 2 (refused-names) fd 5: '/run/victim.link', a symlink, was deleted; close it first */
/* refused: pid 2 (refused-names) fd 6: the FIFO '/run/victim.taken' was deleted, and its name is taken or its directory gone; close it first */
/* refused: pid 2 (refused-names) fd 7: the FIFO '/run/victim.dir/fifo' was deleted, and its name is taken or its directory gone; close it first */
/* refused: pid 2 (refused-names) fd 10: a pipe opened with O_PATH is not carried; close it first */
#include "tests/victims/victim.h"

#include <mqueue.h>

static void nothing(void *arg)
{
	victim_wait();
}

int main(void)
{
	char path[64], text[64] = "";
	struct mq_attr attr;
	int pipes[2];
	pid_t pid;

	/* 3: a file of /proc of a process that has ended. */
	pid = victim_fork(nothing, NULL);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	CHECK_EQ(CHECK_SYS(open(path, O_RDONLY)), 3);
	CHECK_SYS(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);

	/* 4: a message queue that was removed. */
	CHECK_EQ(CHECK_SYS(mq_open("/gone", O_RDWR | O_CREAT | O_NONBLOCK, 0600, NULL)), 4);
	CHECK_SYS(mq_send(4, "text", 4, 0));
	CHECK_SYS(mq_unlink("/gone"));

	/* 5: a symbolic link that was deleted. */
	CHECK_SYS(symlink("to", "/run/victim.link"));
	CHECK_EQ(CHECK_SYS(open("/run/victim.link", O_PATH | O_NOFOLLOW)), 5);
	CHECK_SYS(unlink("/run/victim.link"));

	/* 6: a FIFO that was deleted, and another one made in its place. */
	CHECK_SYS(mkfifo("/run/victim.taken", 0600));
	CHECK_EQ(CHECK_SYS(open("/run/victim.taken", O_RDWR | O_NONBLOCK)), 6);
	CHECK_SYS(unlink("/run/victim.taken"));
	CHECK_SYS(mkfifo("/run/victim.taken", 0600));

	/* 7: the same, but for the directory. */
	CHECK_SYS(mkdir("/run/victim.dir", 0700));
	CHECK_SYS(mkfifo("/run/victim.dir/fifo", 0600));
	CHECK_EQ(CHECK_SYS(open("/run/victim.dir/fifo", O_RDWR | O_NONBLOCK)), 7);
	CHECK_SYS(unlink("/run/victim.dir/fifo"));
	CHECK_SYS(rmdir("/run/victim.dir"));

	/* 8 and 9: a pipe, 10: its name. */
	CHECK_SYS(pipe(pipes));
	CHECK_EQ(CHECK_SYS(open("/proc/self/fd/8", O_PATH)), 10);

	victim_ready();
	CHECK_ERRNO(read(3, text, sizeof(text)), ESRCH);
	CHECK_SYS(mq_getattr(4, &attr));
	CHECK_EQ(attr.mq_curmsgs, 1);
	CHECK_EQ(readlinkat(5, "", text, sizeof(text)), 2);
	CHECK_STR(text, "to");
	for (int fd = 6; fd <= 7; fd++) {
		CHECK_EQ(write(fd, "x", 1), 1);
		CHECK_EQ(read(fd, text, 2), 1);
	}
	CHECK_EQ(write(9, "y", 1), 1);
	CHECK_EQ(read(8, text, 2), 1);
	CHECK_EQ(CHECK_SYS(open("/proc/self/fd/10", O_RDONLY | O_NONBLOCK)), 11);
	victim_pass();
}
