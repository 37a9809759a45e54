/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V message queues: ids, keys, owners, and the messages, which MSG_COPY reads without taking
 * them out (man 2 msgrcv). Who sent and received last and when is not carried.
 */
#include <linux/capability.h>
#include <string.h>
#include <sys/msg.h>

#include "libct/base/cleanup.h"
#include "libct/kind/ns-ipc.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif
#define MAX_MESSAGE (64u << 20)

struct message {
	long type;
	char text[];
};

static int put_messages(struct node *n, int id, const struct msqid_ds *ds, struct ct_error *err)
{
	struct node *list = node_put_array(n, "messages");
	size_t room = ds->__msg_cbytes;
	cleanup_free struct message *m = malloc(sizeof(*m) + room + 1);

	if (!m)
		return error_errno(err, -ENOMEM, "message queue %d", id);
	for (unsigned long i = 0; i < ds->msg_qnum; i++) {
		ssize_t len = msgrcv(id, m, room, (long)i, MSG_COPY | IPC_NOWAIT);
		struct node *message;

		if (len < 0)
			return error_errno(err, -errno, "copy a message of queue %d", id);
		message = node_put_object(list, NULL);
		node_put_i64(message, "type", m->type);
		node_put_blob(message, "text", m->text, (size_t)len);
	}
	return 0;
}

static int msg_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	struct node *list = node_put_array(n, "queues");
	struct msginfo info;
	int last = msgctl(0, MSG_INFO, (struct msqid_ds *)&info);

	for (int i = 0; i <= last; i++) {
		struct msqid_ds ds;
		int id = msgctl(i, MSG_STAT, &ds), r;
		struct node *queue;

		if (id < 0)
			continue;
		queue = node_put_object(list, NULL);
		ipc_put(queue, id, &ds.msg_perm);
		node_put_u64(queue, "bytes", ds.msg_qbytes);
		r = d->preflight ? 0 : put_messages(queue, id, &ds, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_queue(struct restore *r, const struct ipc_object *o, uint64_t bytes,
		      struct ct_error *err)
{
	int e = ipc_become_creator(o), id;
	struct msqid_ds ds;

	if (e < 0)
		return error_errno(err, e, "become user %u", o->cuid);
	id = msgget(o->key, IPC_CREAT | IPC_EXCL | (int)o->mode);
	e = id < 0 ? -errno : 0;
	ipc_become_root();
	if (e == 0 && id != o->id)
		e = -EEXIST;
	if (e == 0 && msgctl(id, IPC_STAT, &ds) < 0)
		e = -errno;
	/* A new one has as much as is allowed; we are allowed more. */
	if (e == 0 && bytes > ds.msg_qbytes &&
	    !(r->pod->config.capabilities & 1ULL << CAP_SYS_RESOURCE))
		e = -EPERM;
	if (e == 0) {
		ds.msg_perm.uid = o->uid;
		ds.msg_perm.gid = o->gid;
		ds.msg_perm.mode = (unsigned short)o->mode;
		ds.msg_qbytes = bytes;
		if (msgctl(id, IPC_SET, &ds) < 0)
			e = -errno;
	}
	return e < 0 ? error_errno(err, e, "make message queue %d", o->id) : 0;
}

static int send_messages(struct restore *r, const struct node *list, int id, struct ct_error *err)
{
	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *n = node_at(list, i);
		long type = (long)node_i64(n, "type", 1, INT64_MAX);
		cleanup_free struct message *m = NULL;
		size_t len = 0;
		const void *text = node_blob(n, "text", &len);
		int e = doc_check(r->doc, err);

		if (e < 0)
			return e;
		if (len > MAX_MESSAGE)
			return error_set(err, -EBADMSG, "a message of %zu bytes", len);
		m = malloc(sizeof(*m) + len);
		if (!m)
			return error_errno(err, -ENOMEM, "message queue %d", id);
		m->type = type;
		memcpy(m->text, text, len);
		if (msgsnd(id, m, len, IPC_NOWAIT) < 0)
			return error_errno(err, -errno, "send a message to queue %d", id);
	}
	return 0;
}

static int msg_restore(struct restore *r, const struct node *n, struct ct_error *err)
{
	const struct node *list = node_array(n, "queues");

	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *queue = node_at(list, i);
		uint64_t bytes = node_u64(queue, "bytes", UINT32_MAX);
		struct ipc_object o;
		int e;

		ipc_get(queue, &o);
		e = doc_check(r->doc, err);
		if (e == 0)
			e = ipc_next_id(r, "msg", o.id, err);
		if (e == 0)
			e = make_queue(r, &o, bytes, err);
		if (e == 0)
			e = send_messages(r, node_array(queue, "messages"), o.id, err);
		if (e < 0)
			return e;
	}
	return 0;
}

const struct kind kind_sysv_msg = {
	.name = "sysv_msg",
	.carries = "System V message queues with their messages",
	.victims = "sysv-msg",
	.pod_dump = msg_dump,
	.pod_restore = msg_restore,
};
