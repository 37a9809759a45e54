/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All unix sockets of a pod together, since they come about in pairs and by each other:
 *
 *	1. ends of socketpair(2): unnamed streams, datagram sockets with credentials; and all that
 *	   were connected to a listening socket that is gone, which one of ours stands in for
 *	2. listening and other sockets, bound
 *	3. connections to listening sockets, accepted at once; then those that wait
 *	4. queues; descriptors in them may be any of the pod's, also each other
 *	5. datagram connections, half-closed ends, ends that are gone, options
 *
 * A connection has the name of the listening socket at the end that was accepted; a stream end with
 * a name whose peer has none is therefore taken for an accepted one.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"
#include "libct/kind/unix.h"

static const struct unix_who nobody;

static void world_release(struct unix_world *w)
{
	for (size_t i = 0; i < w->n; i++) {
		unix_who_release(&w->s[i].who);
		unix_who_release(&w->s[i].connector);
		fd_close(w->s[i].partner);
	}
	free(w->s);
	if (w->home >= 0)
		umask(w->umask);
	/* A directory that went meanwhile is nobody's. */
	if (w->home >= 0 && fchdir(w->home) < 0)
		errno = 0;
	fd_close(w->mount);
	fd_close(w->root);
	fd_close(w->cwd);
	fd_close(w->home);
}

static int world_enter(struct unix_world *w, struct ct_error *err)
{
	w->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	w->home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	w->cwd = fcntl(w->r->proc, F_DUPFD_CLOEXEC, 3);
	if (w->root < 0 || w->home < 0 || w->cwd < 0 || fchdir(w->cwd) < 0)
		return error_errno(err, -errno, "enter '/proc'");
	w->umask = umask(0);
	return 0;
}

/* ---- reading ---- */

static int parse_socket(struct unix_world *w, struct unix_socket *s, struct ct_error *err)
{
	const struct node *n = s->n;
	int e;

	s->fd = s->partner = -1;
	s->type = (int)node_i64(n, "type", SOCK_STREAM, SOCK_SEQPACKET);
	if (s->type != SOCK_STREAM && s->type != SOCK_DGRAM && s->type != SOCK_SEQPACKET)
		node_complain(n, "a unix socket of type %d", s->type);
	s->protocol = (int)node_i64(n, "protocol", 0, AF_UNIX);
	unix_name_get(n, "name", &s->name);
	unix_name_get(n, "peer_name", &s->peer_name);
	if (node_has(n, "file"))
		s->file = node_path(node_object(n, "file"), "path");
	if (node_has(n, "backlog")) {
		s->state = UNIX_LISTENING;
		s->backlog = (int)node_u64(n, "backlog", INT32_MAX);
	}
	s->peer_gone = node_has(n, "peer_gone") && node_bool(n, "peer_gone");
	s->error = node_has(n, "error") && node_bool(n, "error");
	s->shutdown = node_has(n, "shutdown") ? (unsigned int)node_hex(n, "shutdown") & 3 : 0;
	e = unix_who_get(n, "credentials", &s->who, err);
	return e < 0 ? e : unix_who_get(n, "connector", &s->connector, err);
}

static int compare_id(const void *key, const void *element)
{
	uint64_t id = *(const uint64_t *)key;
	const struct unix_socket *s = element;

	return (id > s->id) - (id < s->id);
}

static struct unix_socket *find_id(struct unix_world *w, const struct node *n, const char *key)
{
	struct unix_socket *s;
	uint64_t id;

	if (!node_has(n, key))
		return NULL;
	id = node_u64(n, key, UINT32_MAX);
	s = bsearch(&id, w->s, w->n, sizeof(*w->s), compare_id); /* as the manifest has them: ascending */
	if (!s)
		node_complain(n, "'%s' is no unix socket", key);
	return s;
}

static int parse(struct unix_world *w, struct ct_error *err)
{
	struct restore *r = w->r;
	int e = 0;

	w->s = calloc(r->n_ofds, sizeof(*w->s));
	if (!w->s)
		return error_errno(err, -ENOMEM, "unix sockets");
	for (uint32_t id = 0; e == 0 && id < r->n_ofds; id++) {
		const struct node *n = restore_ofd_node(r, id, r->root);

		if (strcmp(node_str(n, "kind"), "unix"))
			continue;
		w->s[w->n] = (struct unix_socket){ .id = id, .n = n };
		e = parse_socket(w, &w->s[w->n++], err);
	}
	for (size_t i = 0; e == 0 && i < w->n; i++) {
		struct unix_socket *s = &w->s[i];

		s->peer = find_id(w, s->n, "peer");
		s->pending_on = find_id(w, s->n, "waits_at");
		if ((s->peer && s->peer->type != s->type) ||
		    (s->pending_on && s->pending_on->type != s->type))
			node_complain(s->n, "connected to a socket of another type");
		if (s->type != SOCK_DGRAM && s->peer && s->peer->peer && s->peer->peer != s)
			node_complain(s->n, "its peer has another peer");
		if (s->pending_on && s->pending_on->state != UNIX_LISTENING)
			node_complain(s->n, "it waits at a socket that does not listen");
	}
	return e < 0 ? e : doc_check(r->doc, err);
}

/* ---- 1: pairs ---- */

static bool connected_stream(const struct unix_socket *s)
{
	return s->type != SOCK_DGRAM && s->state != UNIX_LISTENING && !s->pending_on &&
	       (s->peer || s->peer_gone);
}

static int make_pair(struct unix_world *w, struct unix_socket *s, struct unix_socket *p,
		     struct ct_error *err)
{
	int fds[2] = { -1, -1 };
	int e = unix_pair(w->r, &s->who, s->type, s->protocol, fds, err);

	if (e < 0)
		return error_prefix(err, e, "descriptors[%u]", s->id);
	s->fd = fds[0];
	s->connected = true;
	if (p) {
		p->fd = fds[1];
		p->connected = p->peer == s;
	} else {
		s->partner = fds[1];
	}
	return 0;
}

/* Datagram sockets know who made them only if socketpair(2) did. A second pass for ends that left their peer. */
static int make_datagram_pairs(struct unix_world *w, struct ct_error *err)
{
	int e = 0;

	for (int pass = 0; pass < 3; pass++)
		for (size_t i = 0; e == 0 && i < w->n; i++) {
			struct unix_socket *s = &w->s[i], *p = s->peer;

			if (s->type != SOCK_DGRAM || !s->who.known || s->fd >= 0)
				continue;
			if (p && (p == s || p->fd >= 0 || !unix_who_equal(&p->who, &s->who)))
				p = NULL;
			if (pass == 0 && !(p && p->peer == s))
				continue;
			if (pass == 1 && !(p && !p->name.len))
				continue;
			e = make_pair(w, s, pass < 2 ? p : NULL, err);
			/* Only the end of one that is gone stays connected to ours. */
			if (pass == 2)
				s->connected = s->peer_gone;
		}
	return e;
}

static int make_stream_pairs(struct unix_world *w, struct ct_error *err)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < w->n; i++) {
		struct unix_socket *s = &w->s[i];

		if (!connected_stream(s) || s->fd >= 0 || s->name.len || s->peer_name.len ||
		    (s->peer && s->peer->name.len))
			continue;
		e = make_pair(w, s, s->peer, err);
	}
	return e;
}

/* ---- 3: connections ---- */

/* A connection: the end that was accepted (NULL: gone) and the one that connected (NULL: gone). */
struct connection {
	struct unix_socket *server, *client;
	const struct unix_name *name; /* of the listening socket */
};

static struct unix_socket *find_listening(struct unix_world *w, const struct unix_name *name, int type)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->s[i].state == UNIX_LISTENING && w->s[i].type == type &&
		    unix_name_equal(&w->s[i].name, name))
			return &w->s[i];
	return NULL;
}

static bool accepted(struct unix_world *w, const struct unix_socket *s, const struct unix_socket *peer)
{
	if (!s->name.len || !peer->name.len)
		return s->name.len;
	/* Both have names: the one with a listening socket's, else the later one. */
	if (find_listening(w, &s->name, s->type))
		return true;
	return !find_listening(w, &peer->name, s->type) && s->id > peer->id;
}

static struct connection connection_of(struct unix_world *w, struct unix_socket *s)
{
	struct connection c = { 0 };
	struct unix_socket *p = s->peer;
	/* An end without a peer: it connected if the other had a name, unless its own name is a listening socket's. */
	bool server = p ? accepted(w, s, p)
			: !s->peer_name.len || (s->name.len && find_listening(w, &s->name, s->type));

	c.server = server ? s : p;
	c.client = server ? p : s;
	c.name = c.server ? &c.server->name : &s->peer_name;
	return c;
}

/* The listening socket of the image by which the connection came about; NULL: gone, or it listens anew since. */
static struct unix_socket *listening_of(struct unix_world *w, const struct connection *c, int type)
{
	struct unix_socket *l = find_listening(w, c->name, type);

	return l && (!c->client || unix_who_equal(&l->who, &c->client->who)) ? l : NULL;
}

static int new_socket(struct unix_world *w, const struct unix_socket *like, int *ret,
		      struct ct_error *err)
{
	*ret = socket(AF_UNIX, like->type | SOCK_CLOEXEC, like->protocol);
	return *ret < 0 ? error_errno(err, -errno, "socket") : 0;
}

static int connect_by(struct unix_world *w, const struct connection *c, int listening,
		      struct ct_error *err)
{
	const struct unix_socket *like = c->server ? c->server : c->client;
	const struct unix_name *client_name = c->client ? &c->client->name : &c->server->peer_name;
	cleanup_fd int client = -1, server = -1;
	int e = new_socket(w, like, &client, err);

	if (e == 0)
		e = unix_bind(w, client, client_name, c->client ? c->client->file : NULL, err);
	/* The end that is accepted knows who connected, the other one who listened. */
	if (e == 0)
		e = unix_connect(w->r, c->server ? &c->server->who : &nobody, client, listening, err);
	if (e < 0)
		return e;
	server = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	if (server < 0)
		return error_errno(err, -errno, "accept");
	if (c->server) {
		c->server->fd = take_fd(&server);
		c->server->connected = true;
	} else {
		c->client->partner = take_fd(&server);
	}
	if (c->client) {
		c->client->fd = take_fd(&client);
		c->client->connected = true;
	} else {
		c->server->partner = take_fd(&client);
	}
	return 0;
}

static int connect_by_ours(struct unix_world *w, const struct connection *c, struct ct_error *err)
{
	const struct unix_socket *like = c->server ? c->server : c->client;
	cleanup_fd int listening = -1;
	int e = new_socket(w, like, &listening, err);

	if (e == 0)
		e = unix_bind(w, listening, c->name, NULL, err);
	if (e == 0)
		e = unix_listen(w->r, c->client ? &c->client->who : &nobody, listening, 1, err);
	return e < 0 ? e : connect_by(w, c, listening, err);
}

/* `ours`: those whose listening socket is gone, else the others. */
static int make_connections(struct unix_world *w, bool ours, struct ct_error *err)
{
	for (size_t i = 0; i < w->n; i++) {
		struct unix_socket *s = &w->s[i], *l;
		struct connection c;
		int e;

		if (!connected_stream(s) || s->fd >= 0)
			continue;
		c = connection_of(w, s);
		l = listening_of(w, &c, s->type);
		if (ours != !l)
			continue;
		e = l ? connect_by(w, &c, l->fd, err) : connect_by_ours(w, &c, err);
		if (e < 0)
			return error_prefix(err, e, "descriptors[%u]", s->id);
	}
	return 0;
}

/* ---- 2: all others ---- */

static int make_others(struct unix_world *w, struct ct_error *err)
{
	for (size_t i = 0; i < w->n; i++) {
		struct unix_socket *s = &w->s[i];
		bool pair = s->fd >= 0;
		int e = 0;

		if (s->pending_on || (!pair && connected_stream(s)))
			continue;
		/* An end of a connection that was made has its name. */
		if (pair && s->type != SOCK_DGRAM)
			continue;
		if (!pair)
			e = new_socket(w, s, &s->fd, err);
		if (e == 0)
			e = unix_bind(w, s->fd, &s->name, s->file, err);
		if (e == 0 && s->state == UNIX_LISTENING)
			e = unix_listen(w->r, &s->who, s->fd, s->backlog, err);
		if (e < 0)
			return error_prefix(err, e, "descriptors[%u]", s->id);
	}
	return 0;
}

/* ---- 4 and 5 ---- */

static int connect_datagram(struct unix_world *w, struct unix_socket *s, struct ct_error *err)
{
	int to = s->peer ? s->peer->fd : -1, e = 0;

	if (s->type != SOCK_DGRAM || s->connected)
		return 0;
	s->connected = true;
	if (s->peer_gone && s->partner < 0) {
		e = new_socket(w, s, &s->partner, err);
		if (e == 0)
			e = unix_bind(w, s->partner, &s->peer_name, NULL, err);
	}
	if (s->peer_gone)
		to = s->partner;
	if (e == 0 && to < 0) {
		/* An end of a pair that was disconnected since. */
		const struct sockaddr none = { .sa_family = AF_UNSPEC };

		if (s->who.known && connect(s->fd, &none, sizeof(none.sa_family)) < 0)
			e = error_errno(err, -errno, "disconnect");
	} else if (e == 0) {
		e = unix_connect(w->r, &nobody, s->fd, to, err);
	}
	return e < 0 ? error_prefix(err, e, "descriptors[%u]", s->id) : 0;
}

static int fill_queues(struct unix_world *w, struct ct_error *err)
{
	int e = 0;

	/* What comes from the other end of a pair that will leave it. */
	for (size_t i = 0; e == 0 && i < w->n; i++)
		if (w->s[i].connected)
			e = unix_queue_restore(w, &w->s[i], err);
	/* To connect again loses the queue; and a peer may send more than others. */
	for (size_t i = 0; e == 0 && i < w->n; i++)
		if (w->s[i].who.known || unix_queue_of_peer(&w->s[i]))
			e = connect_datagram(w, &w->s[i], err);
	for (size_t i = 0; e == 0 && i < w->n; i++)
		e = unix_queue_restore(w, &w->s[i], err);
	for (size_t i = 0; e == 0 && i < w->n; i++)
		e = connect_datagram(w, &w->s[i], err);
	return e;
}

/* The other end goes; with something unread where that is what the pending error tells. */
static int close_partner(struct unix_socket *s, struct ct_error *err)
{
	if (s->error && s->partner >= 0 && send(s->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return error_errno(err, -errno, "make its pending error");
	s->partner = fd_close(s->partner);
	return 0;
}

static int finish(struct unix_world *w, struct unix_socket *s, struct ct_error *err)
{
	__cleanup(sock_limit_end) struct sock_limit limit = { 0 };
	int e = close_partner(s, err);

	if (e == 0 && s->shutdown && shutdown(s->fd, (int)s->shutdown - 1) < 0 && errno != ENOTCONN)
		e = error_errno(err, -errno, "shutdown");
	if (e == 0)
		e = sock_own(s->n, s->fd, err);
	if (e == 0)
		e = unix_file_own(w, s, err);
	if (e == 0)
		e = sock_limit(w->r, &limit, err);
	if (e == 0)
		e = sock_get(s->n, s->fd, err);
	if (e == 0)
		e = sock_filter_get(w->r, s->n, s->fd, err);
	if (e == 0)
		e = doc_check(w->r->doc, err);
	return e < 0 ? error_prefix(err, e, "descriptors[%u]", s->id) : 0;
}

static int build(struct unix_world *w, struct ct_error *err)
{
	int e = make_stream_pairs(w, err);

	if (e == 0)
		e = make_datagram_pairs(w, err);
	/* Before the names that ours take for a moment are taken for good. */
	if (e == 0)
		e = make_connections(w, true, err);
	if (e == 0)
		e = make_others(w, err);
	if (e == 0)
		e = make_connections(w, false, err);
	for (size_t i = 0; e == 0 && i < w->n; i++)
		if (w->s[i].state == UNIX_LISTENING)
			e = unix_waiting_restore(w, &w->s[i], err);
	return e;
}

int unix_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
		 struct ct_error *err)
{
	__cleanup(world_release) struct unix_world w = { .r = r, .mount = -1, .root = -1, .cwd = -1,
							 .home = -1 };
	int e = parse(&w, err);

	if (e == 0)
		e = world_enter(&w, err);
	if (e == 0)
		e = build(&w, err);
	for (size_t i = 0; i < w.n; i++) {
		if (e == 0 && w.s[i].fd < 0) {
			node_complain(w.s[i].n, "a unix socket that nothing makes");
			e = doc_check(r->doc, err);
		}
		if (e == 0)
			e = restore_put_ofd(r, w.s[i].id, w.s[i].fd, err);
		else
			fd_close(w.s[i].fd);
	}
	/* Now that all are there, also those that are under way in others. */
	if (e == 0)
		e = fill_queues(&w, err);
	for (size_t i = 0; e == 0 && i < w.n; i++)
		e = finish(&w, &w.s[i], err);
	return e;
}
