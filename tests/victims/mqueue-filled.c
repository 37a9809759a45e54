// SPDX-License-Identifier: Apache-2.0
/* Messages that wait in POSIX queues: order, priorities, empty and longest ones, a full queue with a sender that waits. */
/* needs: grep -qw mqueue /proc/filesystems */
/* verified: from the first */
#include "tests/victims/victim.h"

#include <mqueue.h>

static const struct {
	unsigned int priority;
	const char *text;
} sent[] = {
	{ 3, "first of 3" }, { 0, "first of 0" }, { 32767, "highest" }, { 3, "second of 3" },
	{ 0, "" }, { 3, "third of 3" }, { 0, "last" },
};
static const int order[] = { 2, 0, 3, 5, 1, 4, 6 };

static void sender(void *arg)
{
	CHECK_SYS(mq_send(*(mqd_t *)arg, "waited", 6, 1));
}

int main(void)
{
	struct mq_attr attr = { .mq_maxmsg = 8, .mq_msgsize = 8192 };
	mqd_t queue = CHECK_SYS(mq_open("/filled", O_RDWR | O_CREAT | O_EXCL, 0600, &attr)), full;
	static char long_one[8192], buf[8192];
	unsigned int priority;
	pid_t pid;

	memset(long_one, 'x', sizeof(long_one));
	for (size_t i = 0; i < 7; i++)
		CHECK_SYS(mq_send(queue, sent[i].text, strlen(sent[i].text), sent[i].priority));
	CHECK_SYS(mq_send(queue, long_one, sizeof(long_one), 0));
	attr.mq_maxmsg = 1;
	full = CHECK_SYS(mq_open("/full", O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
	CHECK_SYS(mq_send(full, "only", 4, 0));
	pid = victim_fork(sender, &full);
	victim_ready();
	CHECK_SYS(mq_getattr(queue, &attr));
	CHECK_EQ(attr.mq_curmsgs, 8);
	for (size_t i = 0; i < 7; i++) {
		const char *text = sent[order[i]].text;

		CHECK_EQ(mq_receive(queue, buf, sizeof(buf), &priority), (ssize_t)strlen(text));
		CHECK_MEM(buf, text, strlen(text));
		CHECK_EQ(priority, sent[order[i]].priority);
	}
	CHECK_EQ(mq_receive(queue, buf, sizeof(buf), &priority), 8192);
	CHECK_MEM(buf, long_one, sizeof(buf));
	CHECK_EQ(mq_receive(full, buf, sizeof(buf), &priority), 4);
	CHECK_MEM(buf, "only", 4);
	victim_join(pid);
	CHECK_EQ(mq_receive(full, buf, sizeof(buf), &priority), 6);
	CHECK_EQ(priority, 1u);
	CHECK_SYS(mq_unlink("/filled"));
	CHECK_SYS(mq_unlink("/full"));
	victim_pass();
}
