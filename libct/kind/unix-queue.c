/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in the receive queue of a unix socket, read without taking it out: MSG_PEEK, which goes on from one
 * message to the next where SO_PEEK_OFF says so. That offset, and SO_PASSCRED for the credentials,
 * are changed for the moment and put back by the same child that reads (unix_inside()), which
 * goes on if we are killed. The processes are all stopped meanwhile.
 *
 * A byte stream comes in pieces: the kernel never glues bytes of two writers, or bytes behind
 * descriptors, but it does glue plain bytes and a following piece with descriptors. Where that piece
 * begins matters: whoever reads its first byte gets the descriptors, or loses them.
 *
 * An empty datagram is marked by the kernel as peeked at, and is passed over by later peeks unless it is the
 * first: one that another program has peeked at, or an earlier checkpoint that let the pod run on, is
 * seen only there.
 */
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "libct/base/cleanup.h"
#include "libct/kind/unix.h"

#define MAX_FDS 253 /* SCM_MAX_FD */
#define ROUND_SIZE (1 << 20)
#define PAGE 4096UL
#define OVERFLOW_ID 65534 /* what the kernel gives for "none" */

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

/* In memory that the child shares with us: a round, then its messages one behind the other. */
struct message {
	size_t next; /* offset of the next, from the round */
	size_t len;
	struct ucred credentials; /* uid OVERFLOW_ID, pid 0: none */
	struct unix_name sender;
	int fds[MAX_FDS];
	size_t n_fds;
	char data[];
};

struct round {
	int fd, type;
	size_t size, used, n;
	int64_t offset; /* where to begin, and where it came to; -1: the first message, whatever it is */
	size_t need;	/* the next message is that long and did not fit */
	size_t left;	/* of a stream: bytes still there */
	bool end;
	int error;
};

static void set_int(int fd, int number, int value)
{
	setsockopt(fd, SOL_SOCKET, number, &value, sizeof(value));
}

static void close_fds(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* One peek into `m`, which has room for `len` bytes. 1: a message, 0: the end of the queue. */
static int peek(const struct round *q, struct message *m, size_t len, int *ret_flags)
{
	char control[CMSG_SPACE(sizeof(int) * MAX_FDS) + CMSG_SPACE(sizeof(struct ucred)) +
		     CMSG_SPACE(sizeof(int)) + CMSG_SPACE(256)];
	struct sockaddr_storage from = { 0 };
	struct iovec iov = { m->data, len };
	struct msghdr h = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov,
			    .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int flags = MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (q->type == SOCK_STREAM ? 0 : MSG_TRUNC);
	ssize_t got = recvmsg(q->fd, &h, flags);
	bool any = false;

	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	m->len = (size_t)got;
	m->n_fds = 0;
	m->credentials = (struct ucred){ 0, OVERFLOW_ID, OVERFLOW_ID };
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			memcpy(m->fds, CMSG_DATA(c), n * sizeof(int));
			m->n_fds = n;
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&m->credentials, CMSG_DATA(c), sizeof(m->credentials));
			any = true;
		} else if (c->cmsg_type == SCM_PIDFD) {
			close_fds((int *)CMSG_DATA(c), 1);
		}
	}
	unix_name_from((struct sockaddr_un *)&from, h.msg_namelen, &m->sender);
	*ret_flags = h.msg_flags;
	if (h.msg_flags & MSG_CTRUNC) {
		close_fds(m->fds, m->n_fds);
		return -EMFILE;
	}
	/* Every message has credentials while SO_PASSCRED is set: without, it is the end of the file. */
	return got > 0 || any;
}

/*
 * How many of `len` bytes at `start` come before the piece with descriptors, which is the last one.
 * The kernel copies piece by piece and forgets one that it could not copy whole: so the memory
 * given to it ends one byte too early.
 */
static ssize_t find_boundary(const struct round *q, int64_t start, size_t len)
{
	size_t size = ((len + PAGE - 1) & ~(PAGE - 1)) + PAGE;
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t n;

	if (at == MAP_FAILED)
		return -errno;
	if (mprotect(at + size - PAGE, PAGE, PROT_NONE) < 0)
		return -errno;
	set_int(q->fd, SO_PEEK_OFF, (int)start);
	n = recv(q->fd, at + size - PAGE - (len - 1), len, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		n = errno == EFAULT ? 0 : -errno;
	munmap(at, size);
	return n;
}

static struct message *message_at(struct round *q)
{
	return (struct message *)((char *)q + q->used);
}

static void message_done(struct round *q, struct message *m)
{
	q->used += (sizeof(*m) + m->len + 15) & ~15UL;
	m->next = q->used;
	q->n++;
}

/* Splits a piece whose descriptors begin inside it. */
static int split(struct round *q, struct message *m, int64_t start)
{
	struct message first = *m, *second;
	ssize_t head = find_boundary(q, start, m->len);

	if (head < 0)
		close_fds(m->fds, m->n_fds);
	if (head <= 0)
		return (int)head;
	/* The bytes of the second part move up to make room for its record. */
	m->len = (size_t)head;
	second = (struct message *)((char *)m + ((sizeof(*m) + m->len + 15) & ~15UL));
	memmove(second->data, m->data + head, first.len - m->len);
	memcpy(second, &first, sizeof(first));
	second->len = first.len - m->len;
	m->n_fds = 0;
	message_done(q, m);
	return 0;
}

/* The room left for data, keeping what a split needs. */
static size_t room(const struct round *q)
{
	size_t keep = 3 * sizeof(struct message) + 64;

	return q->size > q->used + keep ? q->size - q->used - keep : 0;
}

static int peek_some(struct round *q)
{
	while (!q->end) {
		struct message *m = message_at(q);
		int64_t start = q->offset < 0 ? 0 : q->offset;
		size_t space = room(q);
		int r, flags;

		if (q->type == SOCK_STREAM && !q->left) {
			q->end = true;
			break;
		}
		if (!space || (q->type == SOCK_STREAM && space < q->left)) {
			q->need = q->left;
			break;
		}
		set_int(q->fd, SO_PEEK_OFF, (int)q->offset);
		r = peek(q, m, q->type == SOCK_STREAM ? q->left : space, &flags);
		if (r <= 0) {
			q->end = true;
			return r;
		}
		if (flags & MSG_TRUNC) {
			close_fds(m->fds, m->n_fds);
			q->need = m->len;
			break;
		}
		q->offset = start + (int64_t)m->len;
		if (q->type == SOCK_STREAM) {
			q->left -= m->len;
			if (m->n_fds) {
				r = split(q, m, start);
				if (r < 0)
					return r;
				m = message_at(q);
			}
		}
		message_done(q, m);
	}
	return 0;
}

static void peek_round(void *context)
{
	struct round *q = context;
	int offset = sock_int(q->fd, SOL_SOCKET, SO_PEEK_OFF, -1);
	int credentials = sock_int(q->fd, SOL_SOCKET, SO_PASSCRED, 0);

	set_int(q->fd, SO_PASSCRED, 1);
	q->error = peek_some(q);
	set_int(q->fd, SO_PASSCRED, credentials);
	set_int(q->fd, SO_PEEK_OFF, offset);
}

/* ---- into the manifest ---- */

void unix_stretch_end(struct unix_stretch *s, struct node *queue)
{
	struct node *to;

	if (!s->open)
		return;
	to = node_put_object(queue, NULL);
	unix_who_put(to, "credentials", &s->who);
	node_put_blob(to, "data", s->data, s->len);
	s->len = 0;
	s->open = false;
}

int unix_stretch_add(struct unix_stretch *s, const void *data, size_t len, const struct unix_who *who,
		     struct node *queue, struct ct_error *err)
{
	char *grown;

	if (s->open && !unix_who_equal(&s->who, who))
		unix_stretch_end(s, queue);
	grown = realloc(s->data, s->len + len + 1);
	if (!grown)
		return error_errno(err, -ENOMEM, "its queue");
	s->data = grown;
	memcpy(grown + s->len, data, len);
	s->len += len;
	s->who = *who;
	s->open = true;
	return 0;
}

static int put_message(struct dump *d, const struct round *q, const struct message *m,
		       struct unix_stretch *s, struct node *queue, struct ct_error *err)
{
	const struct ucred *c = &m->credentials;
	struct unix_who who = { .known = c->pid || c->uid != OVERFLOW_ID, .vpid = c->pid, .uid = c->uid,
				.gid = c->gid };
	struct node *to, *fds;

	if (q->type == SOCK_STREAM && !m->n_fds)
		return unix_stretch_add(s, m->data, m->len, &who, queue, err);
	unix_stretch_end(s, queue);
	to = node_put_object(queue, NULL);
	unix_who_put(to, "credentials", &who);
	if (q->type != SOCK_STREAM)
		unix_name_put(to, "sender", &m->sender);
	node_put_blob(to, "data", m->data, m->len);
	if (!m->n_fds)
		return 0;
	fds = node_put_array(to, "descriptors");
	for (size_t i = 0; i < m->n_fds; i++) {
		uint32_t id;
		int r = dump_descriptor(d, getpid(), m->fds[i], &id, err);

		if (r < 0)
			return error_prefix(err, r, "a descriptor under way");
		node_put_u64(fds, NULL, id);
	}
	return 0;
}

static int put_round(struct dump *d, struct round *q, struct unix_stretch *s, struct node *queue,
		     struct ct_error *err)
{
	size_t at = sizeof(*q);
	int r = 0;

	for (size_t i = 0; i < q->n; i++) {
		struct message *m = (struct message *)((char *)q + at);

		if (r == 0)
			r = put_message(d, q, m, s, queue, err);
		close_fds(m->fds, m->n_fds);
		at = m->next;
	}
	return r;
}

/* One round: a child fills shared memory of `size` bytes. */
static int round_run(struct dump *d, struct round *state, size_t size, struct unix_stretch *s,
		     struct node *queue, struct ct_error *err)
{
	struct round *q;
	int r;

	size = (size + 4095) & ~4095UL;
	q = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (q == MAP_FAILED)
		return error_errno(err, -errno, "its queue");
	*q = *state;
	q->size = size;
	q->used = sizeof(*q);
	q->n = q->need = 0;
	r = unix_inside(d, peek_round, q, err);
	if (r == 0)
		r = put_round(d, q, s, queue, err);
	if (r == 0 && q->error < 0)
		r = error_errno(err, q->error, "read its queue");
	*state = *q;
	munmap(q, size);
	return r;
}

int unix_queue_dump(struct dump *d, const struct fd_view *v, const struct sockdiag_unix *diag,
		    struct node *n, struct ct_error *err)
{
	struct round state = { .fd = v->dup, .type = diag->type, .offset = -1, .left = diag->rqlen };
	struct unix_stretch s = { 0 };
	struct node *queue;
	int r = 0;

	if (diag->type == SOCK_STREAM && !diag->rqlen)
		return 0;
	queue = node_put_array(n, "queue");
	while (r == 0 && !state.end) {
		size_t size = state.need > diag->rqlen ? state.need : diag->rqlen;

		r = round_run(d, &state, ROUND_SIZE + size + sizeof(struct round), &s, queue, err);
	}
	unix_stretch_end(&s, queue);
	free(s.data);
	return r;
}
