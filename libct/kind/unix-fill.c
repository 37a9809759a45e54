/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling receive queues: the same bytes sent again by the end that had sent them, with the same
 * descriptors and credentials. Where a sender is gone, one of ours with its name sends.
 *
 * No socket has SO_PASSCRED yet, so that messages without credentials stay so.
 */
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/kind/unix.h"

#define MAX_FDS 253	   /* SCM_MAX_FD */
#define WIDE (64 << 20)    /* a send buffer for whatever was in it; put right with the options */

static const struct node *queue_of(const struct unix_socket *s)
{
	return node_has(s->n, "queue") ? node_array(s->n, "queue") : NULL;
}

/* The end from which messages come once `s` is connected: its peer, or ours in place of that. */
static int other_end(const struct unix_socket *s)
{
	return s->peer ? s->peer->fd : s->partner;
}

static const struct unix_name *other_name(const struct unix_socket *s)
{
	return s->peer ? &s->peer->name : &s->peer_name;
}

bool unix_queue_of_peer(const struct unix_socket *s)
{
	const struct node *queue = queue_of(s);

	if (!s->peer && !s->peer_gone)
		return false;
	for (size_t i = 0; i < node_count(queue); i++) {
		struct unix_name name;

		unix_name_get(node_at(queue, i), "sender", &name);
		if (!unix_name_equal(&name, other_name(s)))
			return false;
	}
	return true;
}

static int widen(int fd, struct ct_error *err)
{
	int size = WIDE;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		return error_errno(err, -errno, "widen the send buffer");
	return 0;
}

/* Descriptors and credentials of a message into its control data. */
static int put_control(struct unix_world *w, const struct node *message, struct msghdr *h, size_t size,
		       struct ct_error *err)
{
	struct cmsghdr *c = h->msg_control;
	struct unix_who who;
	size_t used = 0;
	int e = unix_who_get(message, "credentials", &who, err);

	unix_who_release(&who);
	if (e < 0)
		return e;
	if (who.known) {
		struct ucred u = { 0, who.uid, who.gid };

		e = unix_host_pid(w->r, who.vpid, &u.pid, err);
		if (e < 0)
			return e;
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(u)), SOL_SOCKET, SCM_CREDENTIALS };
		memcpy(CMSG_DATA(c), &u, sizeof(u));
		used = CMSG_SPACE(sizeof(u));
		c = (struct cmsghdr *)((char *)h->msg_control + used);
	}
	if (node_has(message, "descriptors")) {
		const struct node *list = node_array(message, "descriptors");
		size_t n = node_count(list);
		int *fds = (int *)CMSG_DATA(c);

		if (!n || n > MAX_FDS || used + CMSG_SPACE(n * sizeof(int)) > size)
			return error_set(err, -EBADMSG, "%zu descriptors in a message", n);
		*c = (struct cmsghdr){ CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		for (size_t i = 0; i < n; i++) {
			fds[i] = restore_ofd(w->r, (uint32_t)node_at_u64(list, i, UINT32_MAX), err);
			if (fds[i] < 0)
				return fds[i];
		}
		used += CMSG_SPACE(n * sizeof(int));
	}
	h->msg_controllen = used;
	if (!used)
		h->msg_control = NULL;
	return doc_check(w->r->doc, err);
}

static int send_message(struct unix_world *w, int from, const struct node *message,
			const struct sockaddr_un *to, socklen_t to_len, bool stream,
			struct ct_error *err)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred)) +
					      CMSG_SPACE(sizeof(int) * MAX_FDS)] = { 0 };
	size_t len, done = 0;
	const char *data = node_blob(message, "data", &len);
	struct iovec iov;
	struct msghdr h = { .msg_name = (void *)to, .msg_namelen = to_len, .msg_iov = &iov,
			    .msg_iovlen = 1, .msg_control = control };
	int e = put_control(w, message, &h, sizeof(control), err);

	if (e < 0)
		return e;
	do {
		ssize_t n;

		iov = (struct iovec){ (char *)data + done, len - done };
		n = sendmsg(from, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return error_errno(err, -errno, "put %zu bytes into its queue", len - done);
		done += (size_t)n;
		/* Descriptors go with the first bytes; credentials with all. */
		if (done < len && node_has(message, "descriptors"))
			return error_set(err, -EBADMSG, "a piece of %zu bytes with descriptors", len);
	} while (stream && done < len);
	return 0;
}

int unix_send_all(struct unix_world *w, int from, const struct node *queue, bool stream, struct ct_error *err)
{
	int e = widen(from, err);

	for (size_t i = 0; e == 0 && i < node_count(queue); i++) {
		struct unix_name ignored;

		unix_name_get(node_at(queue, i), "sender", &ignored);
		e = send_message(w, from, node_at(queue, i), NULL, 0, stream, err);
	}
	return e;
}

/* Streams, and sequenced packets: all comes from the other end. */
static int fill_connected(struct unix_world *w, struct unix_socket *s, struct ct_error *err)
{
	const struct node *queue = queue_of(s);
	int from = other_end(s);

	if (node_count(queue) == 0)
		return 0;
	if (from < 0) {
		node_complain(queue, "data in a socket that is not connected");
		return doc_check(w->r->doc, err);
	}
	return unix_send_all(w, from, queue, s->type == SOCK_STREAM, err);
}

/* Who sends a datagram to `s`: its peer, the one that has that name, or a new one of ours (*ret_ours, to be closed). */
static int find_sender(struct unix_world *w, struct unix_socket *s, const struct unix_name *name,
		       int *ret, int *ret_ours, struct ct_error *err)
{
	int e;

	*ret_ours = -1;
	*ret = other_end(s);
	if (*ret >= 0 && s->connected && unix_name_equal(name, other_name(s)))
		return 0;
	for (size_t i = 0; name->len && i < w->n; i++)
		if (w->s[i].type == SOCK_DGRAM && w->s[i].fd >= 0 &&
		    unix_name_equal(&w->s[i].name, name)) {
			*ret = w->s[i].fd;
			return 0;
		}
	*ret = *ret_ours = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, s->protocol);
	if (*ret < 0)
		return error_errno(err, -errno, "socket");
	e = unix_bind(w, *ret, name, NULL, err);
	return e < 0 ? error_prefix(err, e, "a sender of its queue") : 0;
}

static int fill_datagrams(struct unix_world *w, struct unix_socket *s, struct ct_error *err)
{
	const struct node *queue = queue_of(s);
	cleanup_fd int file = -1;
	struct sockaddr_un a, *to = NULL;
	socklen_t len = 0;
	int e = 0;

	if (node_count(queue) == 0)
		return 0;
	if (s->name.len) {
		e = unix_reach(s->fd, &a, &len, &file, err);
		to = &a;
	}
	for (size_t i = 0; e == 0 && i < node_count(queue); i++) {
		const struct node *message = node_at(queue, i);
		cleanup_fd int ours = -1;
		struct unix_name name;
		int from;

		unix_name_get(message, "sender", &name);
		e = doc_check(w->r->doc, err);
		if (e == 0)
			e = find_sender(w, s, &name, &from, &ours, err);
		if (e == 0)
			e = widen(from, err);
		if (e == 0)
			e = send_message(w, from, message, to, len, false, err);
	}
	return e;
}

int unix_queue_restore(struct unix_world *w, struct unix_socket *s, struct ct_error *err)
{
	int e;

	if (s->queued)
		return 0;
	s->queued = true;
	e = s->type == SOCK_DGRAM ? fill_datagrams(w, s, err) : fill_connected(w, s, err);
	return e < 0 ? error_prefix(err, e, "descriptors[%u]", s->id) : 0;
}
