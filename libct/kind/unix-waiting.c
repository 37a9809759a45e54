/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that wait to be accepted: "pending" of their listening socket, in its order. A client has in "connector" who
 * it will be said to be, and in "sent" what the server can read at once. Clients that are closed already are in "closed" of the
 * listening socket.
 *
 * The kernel tells no more than who waits. As long as no byte was sent that is enough: who connected is
 * taken to be who has the socket. Else the rest is read from its memory (unix-held.c).
 */
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/kind/unix.h"

/* ---- dump ---- */

static bool knows(struct unix_registry *u, const struct unix_entry *client, const struct dump *d)
{
	return client && (client->id != UINT32_MAX || (d->preflight && u->in_flight));
}

void unix_connector_put(struct dump *d, const struct unix_entry *e, struct node *n)
{
	const struct dump_process *p = dump_by_pid(d, e->holder);
	struct unix_who who = { .known = true };

	if (!p)
		p = &d->processes[0];
	who.vpid = p->vpid;
	who.uid = p->status.uid[1];
	who.gid = p->status.gid[1];
	who.groups = p->status.groups;
	who.n_groups = p->status.n_groups;
	unix_who_put(n, "connector", &who);
}

static int put_sent(const struct unix_held *h, int type, struct node *n, struct ct_error *err)
{
	struct unix_stretch s = { 0 };
	struct node *sent;
	int r = 0;

	if (!h->n_said)
		return 0;
	sent = node_put_array(n, "sent");
	for (size_t i = 0; r == 0 && i < h->n_said; i++) {
		const struct unix_said *said = &h->said[i];

		r = unix_stretch_add(&s, said->data, said->len, &said->who, sent, err);
		if (type != SOCK_STREAM)
			unix_stretch_end(&s, sent);
	}
	unix_stretch_end(&s, sent);
	free(s.data);
	return r;
}

/* The name of one that is closed is taken again for a moment. */
static bool is_taken(const struct unix_registry *u, const struct unix_name *name)
{
	for (size_t i = 0; name->len && !name->bytes[0] && i < u->n; i++)
		if (u->entries[i].diag.name_len == name->len && !memcmp(u->entries[i].diag.name, name->bytes, name->len))
			return true;
	return false;
}

static const char *why_not(const struct unix_registry *u, const struct unix_held *h)
{
	if (h->rights)
		return "a connection that waits to be accepted has descriptors in it already, which are not carried; "
		       "accept it first";
	if (h->urgent)
		return "a connection that waits to be accepted has an out-of-band byte in it already, which is not carried; "
		       "accept it first";
	if (h->passes_other)
		return "a connection waits to be accepted that was made before an option of the listening socket was changed "
		       "(SO_PASSCRED or its like), which is not carried; accept it first";
	if (!h->client && is_taken(u, &h->name))
		return "a connection waits to be accepted whose other end is closed already, and its abstract name is another "
		       "socket's now, which is not carried; accept it first";
	return NULL;
}

static int put_held(struct dump *d, const struct fd_view *v, struct unix_registry *u, const struct unix_entry *e,
		    struct node *n, const struct unix_held *list, struct ct_error *err)
{
	struct node *pending = node_put_array(n, "pending"), *closed = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->diag.n_icons; i++) {
		const struct unix_held *h = &list[i];
		const struct unix_entry *client = unix_find(u, h->client);
		const char *why = why_not(u, h);
		struct node *to;

		if (why) {
			dump_refuse_fd(d, v, "%s", why);
			dump_passing(d);
			return 0;
		}
		if (h->client) {
			node_put_u64(pending, NULL, client->id);
			to = dump_descriptor_node(d, client->id);
			if (!to)
				continue; /* under way, where a preflight does not look */
		} else {
			if (!closed)
				closed = node_put_array(n, "closed");
			to = node_put_object(closed, NULL);
			node_put_u64(to, "place", i);
			unix_name_put(to, "name", &h->name);
		}
		unix_who_put(to, "connector", &h->connector);
		r = put_sent(h, e->diag.type, to, err);
	}
	return r;
}

/* What the kernel tells and what it has in its memory are the same connections, unless one came or went meanwhile. */
static bool agree(const struct unix_entry *e, const struct unix_held *list, size_t n)
{
	if (n != e->diag.n_icons)
		return false;
	for (size_t i = 0; i < n; i++)
		if (list[i].client != e->diag.icons[i])
			return false;
	return true;
}

static int link_held(struct dump *d, const struct fd_view *v, struct unix_registry *u, const struct unix_entry *e,
		     struct node *n, struct ct_error *err)
{
	struct ct_error words = { 0 };
	struct unix_held *list = NULL;
	size_t count = 0;
	int r = unix_held_read(d, v->dup, &list, &count, &words);

	if (r == 0 && !agree(e, list, count))
		r = error_set(&words, -EAGAIN, "it changed while it was read");
	if (r == 0)
		r = put_held(d, v, u, e, n, list, err);
	else if (r == -EOPNOTSUPP || (r == -EAGAIN && !d->preflight)) {
		dump_refuse_fd(d, v, "a connection that waits to be accepted has bytes in it already, or its other end is "
				     "closed, and that cannot be read: %s; accept it first", words.text);
		dump_passing(d);
		r = 0;
	} else {
		r = r == -EAGAIN ? 0 : error_set(err, r, "%s", words.text);
	}
	unix_held_free(list, count);
	return r;
}

int unix_waiting_link(struct dump *d, const struct fd_view *v, struct unix_registry *u, const struct unix_entry *e,
		      struct node *n, struct ct_error *err)
{
	struct node *pending;

	for (size_t i = 0; i < e->diag.n_icons; i++)
		if (e->diag.icons[i] && !knows(u, unix_find(u, e->diag.icons[i]), d)) {
			if (unix_passing(d, e->diag.ino, e->diag.icons[i], e->diag.icons[i]))
				return 0;
			dump_refuse_fd(d, v, "a connection from outside the pod waits to be accepted; accept and close it "
					     "first");
			return 0;
		}
	if (e->held)
		return link_held(d, v, u, e, n, err);
	pending = node_put_array(n, "pending");
	for (size_t i = 0; i < e->diag.n_icons; i++)
		node_put_u64(pending, NULL, unix_find(u, e->diag.icons[i])->id);
	return 0;
}

/* ---- restore ---- */

static int connect_waiting(struct unix_world *w, const struct unix_socket *l, const struct unix_who *connector,
			   const struct unix_name *name, const char *file, int *ret_fd, struct ct_error *err)
{
	/* A queue that is full, which it cannot be, is an error and not waited for. */
	cleanup_fd int fd = socket(AF_UNIX, l->type | SOCK_CLOEXEC | SOCK_NONBLOCK, l->protocol);
	int e;

	if (fd < 0)
		return error_errno(err, -errno, "socket");
	e = unix_bind(w, fd, name, file, err);
	if (e == 0)
		e = unix_connect(w->r, connector, fd, l->fd, err);
	if (e == 0)
		*ret_fd = take_fd(&fd);
	return e;
}

static int send_sent(struct unix_world *w, const struct unix_socket *l, const struct node *n, int fd,
		     struct ct_error *err)
{
	const struct node *sent;

	if (!node_has(n, "sent"))
		return doc_check(w->r->doc, err);
	sent = node_array(n, "sent");
	for (size_t i = 0; i < node_count(sent); i++)
		if (node_has(node_at(sent, i), "descriptors"))
			node_complain(sent, "descriptors in a connection that was not accepted");
	return unix_send_all(w, fd, sent, l->type == SOCK_STREAM, err);
}

static int make_closed(struct unix_world *w, const struct unix_socket *l, const struct node *n, struct ct_error *err)
{
	__cleanup(unix_who_release) struct unix_who connector = { 0 };
	cleanup_fd int fd = -1;
	struct unix_name name;
	int e = unix_who_get(n, "connector", &connector, err);

	unix_name_get(n, "name", &name);
	if (e == 0)
		e = doc_check(w->r->doc, err);
	if (e == 0)
		e = connect_waiting(w, l, &connector, &name, NULL, &fd, err);
	return e < 0 ? e : send_sent(w, l, n, fd, err);
}

static int make_pending(struct unix_world *w, const struct unix_socket *l, uint64_t id, const struct node *list,
			struct ct_error *err)
{
	struct unix_socket *s = NULL;
	int e;

	for (size_t i = 0; i < w->n; i++)
		if (w->s[i].id == id && w->s[i].pending_on == l && w->s[i].fd < 0)
			s = &w->s[i];
	if (!s) {
		node_complain(list, "%u does not wait here", (unsigned int)id);
		return doc_check(w->r->doc, err);
	}
	e = connect_waiting(w, l, &s->connector, &s->name, s->file, &s->fd, err);
	if (e == 0)
		e = send_sent(w, l, s->n, s->fd, err);
	return e < 0 ? error_prefix(err, e, "descriptors[%u]", s->id) : 0;
}

static int make_all(struct unix_world *w, const struct unix_socket *l, const struct node *pending,
		    const struct node *closed, struct ct_error *err)
{
	const size_t n_closed = node_count(closed), n = node_count(pending) + n_closed;
	size_t k = 0;
	int e = 0;

	for (size_t i = 0; e == 0 && i < n; i++) {
		const struct node *next = k < n_closed ? node_at(closed, k) : NULL;

		if (next && node_u64(next, "place", UINT32_MAX) == i) {
			k++;
			e = make_closed(w, l, next, err);
		} else if (i - k < node_count(pending)) {
			e = make_pending(w, l, node_at_u64(pending, i - k, UINT32_MAX), pending, err);
		} else {
			node_complain(closed, "a place that is none");
			e = doc_check(w->r->doc, err);
		}
	}
	return e;
}

int unix_waiting_restore(struct unix_world *w, const struct unix_socket *l, struct ct_error *err)
{
	const struct node *pending = node_array(l->n, "pending");
	const struct node *closed = node_has(l->n, "closed") ? node_array(l->n, "closed") : NULL;
	const size_t n = node_count(pending) + node_count(closed);
	/* A program may have made its queue shorter since. */
	const bool longer = n > (size_t)l->backlog + 1;
	/* The accepted end may inherit these when a client connects. */
	int e = n ? sock_get_passes(l->n, l->fd, err) : 0;

	if (e == 0 && longer)
		e = unix_listen(w->r, &l->who, l->fd, (int)(n < INT32_MAX ? n : INT32_MAX), err);
	if (e == 0)
		e = make_all(w, l, pending, closed, err);
	if (e == 0 && longer)
		e = unix_listen(w->r, &l->who, l->fd, l->backlog, err);
	return e < 0 ? error_prefix(err, e, "descriptors[%u]", l->id) : 0;
}
