// SPDX-License-Identifier: Apache-2.0
/* POSIX message queues: names, limits, owners, descriptions of them, a receiver that waits. */
/* needs: grep -qw mqueue /proc/filesystems */
/* verified: from the first */
#include "tests/victims/victim.h"

#include <mqueue.h>

static void receiver(void *arg)
{
	unsigned int priority;
	char buf[128];

	CHECK_EQ(mq_receive(*(mqd_t *)arg, buf, sizeof(buf), &priority), 4);
	CHECK_EQ(priority, 9u);
	CHECK_MEM(buf, "text", 4);
}

int main(void)
{
	struct mq_attr attr = { .mq_maxmsg = 5, .mq_msgsize = 128 };
	mqd_t queue = CHECK_SYS(mq_open("/victim", O_RDWR | O_CREAT | O_EXCL, 0640, &attr));
	mqd_t reader = CHECK_SYS(mq_open("/victim", O_RDONLY | O_NONBLOCK));
	struct stat st;
	char buf[128];
	pid_t pid;

	CHECK_SYS(mq_close(CHECK_SYS(mq_open("/other", O_RDWR | O_CREAT, 0600, NULL))));
	CHECK_SYS(fchown(queue, 5, 6));
	pid = victim_fork(receiver, &queue);
	victim_ready();
	CHECK_SYS(mq_getattr(reader, &attr));
	CHECK_EQ(attr.mq_maxmsg, 5);
	CHECK_EQ(attr.mq_msgsize, 128);
	CHECK_EQ(attr.mq_flags, O_NONBLOCK);
	CHECK_SYS(mq_getattr(queue, &attr));
	CHECK_EQ(attr.mq_flags, 0);
	CHECK_EQ(fcntl(queue, F_GETFL) & O_CLOEXEC, 0);
	CHECK_SYS(fstat(queue, &st));
	CHECK_EQ(st.st_uid, 5);
	CHECK_EQ(st.st_gid, 6);
	CHECK_EQ(st.st_mode & 0777, 0640);
	CHECK_SYS(mq_send(queue, "text", 4, 9));
	victim_join(pid);
	CHECK_ERRNO(mq_receive(reader, buf, sizeof(buf), NULL), EAGAIN);
	CHECK_ERRNO(mq_send(reader, "x", 1, 0), EBADF);
	CHECK_SYS(mq_unlink("/other"));
	CHECK_SYS(mq_unlink("/victim"));
	victim_pass();
}
