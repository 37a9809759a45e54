/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of a POSIX queue can only be read by taking them out. So a helper takes all of them and sends
 * them back in the order they came, which leaves priorities and ages as they were. Being stopped, no process
 * of the pod sees the queue in between; those that wait for it do so again when they go on.
 */
#include "libct/kind/mqueue-messages.h"

#include <string.h>
#include <sys/syscall.h>

#include "libct/base/cleanup.h"
#include "libct/task/helper.h"

struct message {
	size_t at, len;
	unsigned int priority;
};

/* In memory that the helper shares with us: this, the messages, their bytes. */
struct copy {
	int error;
	size_t size, count;
	struct message messages[];
};

static char *bytes_of(struct copy *c, size_t count)
{
	return (char *)&c->messages[count];
}

static int send_one(int fd, const void *text, size_t len, unsigned int priority)
{
	return SYS_RET(syscall(SYS_mq_timedsend, fd, text, len, priority, NULL));
}

/* In the helper: without malloc(3) and its like. */
static int take_and_return(int fd, struct copy *c, size_t count, size_t message_size)
{
	char *bytes = bytes_of(c, count);
	size_t used = 0;
	int r = 0;

	while (r == 0 && c->count < count) {
		struct message *m = &c->messages[c->count];
		long len = SYS_RET(syscall(SYS_mq_timedreceive, fd, bytes + used, message_size,
					   &m->priority, NULL));

		if (len < 0) {
			r = (int)len;
			break;
		}
		m->at = used;
		m->len = (size_t)len;
		used += m->len;
		c->count++;
	}
	for (size_t i = 0; i < c->count; i++) {
		const struct message *m = &c->messages[i];
		int e = send_one(fd, bytes + m->at, m->len, m->priority);

		if (r == 0)
			r = e;
	}
	return r;
}

int mqueue_put_messages(int fd, size_t count, size_t message_size, size_t bytes, struct node *n,
			struct ct_error *err)
{
	struct node *list = node_put_array(n, "messages");
	/* The kernel takes no buffer that is smaller than the queue's longest message could be. */
	size_t size = sizeof(struct copy) + count * sizeof(struct message) + bytes + message_size;
	struct copy *c = count ? helper_memory(size) : NULL;
	pid_t pid;
	int r;

	if (!count)
		return 0;
	if (!c)
		return error_errno(err, -ENOMEM, "%zu messages", count);
	c->error = -EINTR; /* unless it comes to its end */
	pid = helper_spawn();
	if (pid == 0) {
		c->error = take_and_return(fd, c, count, message_size);
		_exit(0);
	}
	if (pid > 0)
		helper_await(pid);
	r = pid < 0 ? pid : c->error;
	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct message *m = &c->messages[i];
		struct node *one = node_put_object(list, NULL);

		node_put_u64(one, "priority", m->priority);
		node_put_blob(one, "text", bytes_of(c, count) + m->at, m->len);
	}
	munmap(c, size);
	return r < 0 ? error_errno(err, r, "look at its messages") : 0;
}

int mqueue_get_messages(int fd, const struct node *n, struct ct_error *err)
{
	const struct node *list = node_array(n, "messages");

	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *one = node_at(list, i);
		uint64_t priority = node_u64(one, "priority", UINT32_MAX);
		size_t len = 0;
		const void *text = node_blob(one, "text", &len);
		int e = send_one(fd, text ? text : "", len, (unsigned int)priority);

		if (e < 0)
			return error_errno(err, e == -EAGAIN || e == -EMSGSIZE ? -EBADMSG : e,
					   "put its messages back");
	}
	return 0;
}
