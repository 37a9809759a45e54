// SPDX-License-Identifier: Apache-2.0
/* Message queues with messages of several types, an empty one, and a process that waits for a message. */
#include "tests/victims/victim.h"

#include <sys/msg.h>

struct message {
	long type;
	char text[4096];
};

static void waiter(void *arg)
{
	struct message m;
	ssize_t n;

	while ((n = msgrcv(*(int *)arg, &m, sizeof(m.text), 77, 0)) < 0)
		if (errno != EINTR)
			VICTIM_FAIL("msgrcv: %s", strerror(errno));
	CHECK_EQ(n, 5);
	CHECK_MEM(m.text, "hello", 5);
}

static void put(int id, long type, size_t len)
{
	struct message m = { .type = type };

	memset(m.text, (int)('a' + type), len);
	CHECK_SYS(msgsnd(id, &m, len, IPC_NOWAIT));
}

static void get(int id, long want, long type, size_t len)
{
	struct message m;

	CHECK_EQ(msgrcv(id, &m, sizeof(m.text), want, IPC_NOWAIT), (ssize_t)len);
	CHECK_EQ(m.type, type);
	for (size_t i = 0; i < len; i++)
		CHECK_EQ(m.text[i], (char)('a' + type));
}

int main(void)
{
	int id = CHECK_SYS(msgget(42, IPC_CREAT | 0622)), empty = CHECK_SYS(msgget(IPC_PRIVATE, 0600));
	struct message m = { 77, "hello" };
	struct msqid_ds ds;
	pid_t pid;

	put(id, 3, 100);
	put(id, 1, 0);
	put(id, 3, 4096);
	put(id, 2, 1);
	CHECK_SYS(msgctl(id, IPC_STAT, &ds));
	ds.msg_qbytes = 9000;
	CHECK_SYS(msgctl(id, IPC_SET, &ds));
	pid = victim_fork(waiter, &empty);
	victim_ready();
	CHECK_EQ(msgget(42, 0), id);
	CHECK_SYS(msgctl(id, IPC_STAT, &ds));
	CHECK_EQ(ds.msg_qnum, 4u);
	CHECK_EQ(ds.msg_qbytes, 9000u);
	CHECK_EQ(ds.msg_perm.mode & 0777, 0622);
	get(id, 2, 2, 1);
	get(id, 0, 3, 100);
	get(id, -2, 1, 0);
	get(id, 0, 3, 4096);
	CHECK_ERRNO(msgrcv(id, &m, sizeof(m.text), 0, IPC_NOWAIT), ENOMSG);
	m = (struct message){ 77, "hello" };
	CHECK_SYS(msgsnd(empty, &m, 5, 0));
	victim_join(pid);
	victim_pass();
}
