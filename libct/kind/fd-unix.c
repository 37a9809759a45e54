/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets (man 7 unix): stream, datagram and seqpacket; bound or not, listening, connected
 * within the pod, with what is in their queues, descriptors under way included.
 *
 * unix_diag knows state, peer, backlog and the sockets that wait to be accepted; SIOCUNIXFILE the
 * file that a path is bound to. The restore makes all of them together: see unix-restore.c.
 * For connections that nobody has accepted yet see unix-waiting.c.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "libct/base/io.h"
#include "libct/kind/file.h"
#include "libct/kind/unix.h"

static int compare_entries(const void *a, const void *b)
{
	const struct unix_entry *x = a, *y = b;

	return (x->diag.ino > y->diag.ino) - (x->diag.ino < y->diag.ino);
}

struct unix_entry *unix_find(struct unix_registry *u, uint32_t ino)
{
	struct unix_entry key = { .diag.ino = ino };

	return ino && u->n ? bsearch(&key, u->entries, u->n, sizeof(key), compare_entries) : NULL;
}

void unix_registry_free(struct unix_registry *u)
{
	if (!u)
		return;
	free(u->diag);
	free(u->entries);
	free(u);
}

DEFINE_CLEANUP(struct unix_registry *, unix_registry_free)

int unix_registry(struct dump *d, struct unix_registry **ret, struct ct_error *err)
{
	__cleanup(unix_registry_free_cleanup) struct unix_registry *u = NULL;
	int r;

	if (d->unix_sockets) {
		*ret = d->unix_sockets;
		return 0;
	}
	u = calloc(1, sizeof(*u));
	if (!u)
		return error_errno(err, -ENOMEM, "unix sockets");
	r = sockdiag_unix_all(d->netns, &u->diag, &u->n, err);
	if (r < 0)
		return r;
	u->entries = calloc(u->n + 1, sizeof(*u->entries));
	if (!u->entries)
		return error_errno(err, -ENOMEM, "unix sockets");
	for (size_t i = 0; i < u->n; i++)
		u->entries[i] = (struct unix_entry){ .diag = u->diag[i], .id = UINT32_MAX };
	qsort(u->entries, u->n, sizeof(*u->entries), compare_entries);
	for (size_t i = 0; i < u->n; i++)
		for (size_t k = 0; k < u->entries[i].diag.n_icons; k++) {
			struct unix_entry *client = unix_find(u, u->entries[i].diag.icons[k]);

			if (client)
				client->pending_on = u->entries[i].diag.ino;
			/* What was sent and not read counts for the sender. */
			u->entries[i].held |= !u->entries[i].diag.icons[k] || (client && client->diag.wqlen);
		}
	*ret = d->unix_sockets = take_ptr(u);
	return 0;
}

static bool unix_is(const struct dump *d, const struct fd_view *v)
{
	return sock_is(v, AF_UNIX);
}

/* The file that the socket is bound to, as long as it is there. */
static int dump_file(struct dump *d, const struct fd_view *v, const struct unix_name *name,
		     struct node *n, struct ct_error *err)
{
	static const char deleted[] = " (deleted)";
	cleanup_fd int file = unix_open_file(v->dup);
	cleanup_free char *path = NULL;
	struct node *to;
	struct stat st;
	char link[64];
	size_t len;
	int r;

	if (file < 0)
		return error_errno(err, file, "SIOCUNIXFILE");
	snprintf(link, sizeof(link), "%d/fd/%d", getpid(), file);
	r = io_readlink(d->proc, link, &path);
	if (r < 0 || fstat(file, &st) < 0)
		return error_errno(err, r < 0 ? r : -errno, "the file of '%s'", name->bytes);
	len = strlen(path);
	if (!st.st_nlink ||
	    (len > strlen(deleted) && !strcmp(path + len - strlen(deleted), deleted)))
		return 0;
	if (st.st_nlink > 1)
		dump_refuse_fd(d, v, "its file '%s' has a second name (a hard link), which is not carried; "
				     "remove one of them first", path);
	/* On a file system that was unmounted; or, in a pod that runs, renamed just now. */
	if (!file_is_at(d, path, &st)) {
		dump_refuse_fd(d, v, "its file '%s' is not in the pod's file tree any more (unmounted, or something "
				     "was mounted over it); close it first", path);
		dump_passing(d);
	}
	to = node_put_object(n, "file");
	node_put_str(to, "path", path);
	node_put_u64(to, "uid", st.st_uid);
	node_put_u64(to, "gid", st.st_gid);
	node_put_hex(to, "mode", st.st_mode & 07777);
	/* A relative name is found again from a directory above the file, or beside it. */
	if (name->bytes[0] != '/' && strchr(name->bytes, '/') &&
	    (len <= name->len || path[len - name->len - 1] != '/' ||
	     strcmp(path + len - name->len, name->bytes)))
		dump_refuse_fd(d, v, "it was bound to the relative path '%s', which leads to '%s' now; "
				     "bind it to an absolute path", name->bytes, path);
	return 0;
}

/*
 * poll(2) tells about a pending error without taking it away, as SO_ERROR and recvmsg(2) would. The only one there
 * is: the peer went without having read everything.
 */
static void dump_events(struct dump *d, const struct fd_view *v, const struct sockdiag_unix *diag,
			struct node *n)
{
	struct pollfd p = { v->dup, POLLPRI, 0 };

	if (poll(&p, 1, 0) < 0)
		return;
	if (p.revents & POLLPRI) {
		dump_refuse_fd(d, v, "an out-of-band byte in its queue is not carried; read it first");
		dump_passing(d);
	}
	if (!(p.revents & POLLERR))
		return;
	if (diag->type == SOCK_DGRAM || (diag->type == SOCK_SEQPACKET && diag->rqlen)) {
		dump_refuse_fd(d, v, "an error that nobody has read yet is pending on it (its peer is "
				     "gone), which is not carried; read from it first");
		dump_passing(d);
	}
	node_put_bool(n, "error", true);
}

static void dump_names(const struct fd_view *v, struct unix_name *name, struct node *n)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	*name = (struct unix_name){ 0 };
	if (getsockname(v->dup, (struct sockaddr *)&a, &len) == 0)
		unix_name_from((struct sockaddr_un *)&a, len, name);
	unix_name_put(n, "name", name);
}

/* Both ends of a connection are of the network of whoever made it; SIOCGSKNS tells which that is. */
static bool is_elsewhere(const struct dump *d, const struct fd_view *v)
{
	cleanup_fd int netns = ioctl(v->dup, SIOCGSKNS);
	struct stat theirs, pods;

	return netns >= 0 && fstat(netns, &theirs) == 0 && fstat(d->netns, &pods) == 0 &&
	       (theirs.st_dev != pods.st_dev || theirs.st_ino != pods.st_ino);
}

static int unix_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	__cleanup(unix_who_release) struct unix_who who = { 0 };
	struct unix_registry *u;
	struct unix_entry *e;
	struct unix_name name;
	const char *queued;
	int r = unix_registry(d, &u, err);

	if (r < 0)
		return r;
	e = unix_find(u, (uint32_t)v->st.st_ino);
	if (!e && d->preflight && !is_elsewhere(d, v))
		return 0; /* made after the list */
	if (!e) {
		dump_refuse_fd(d, v, "a unix socket of another network (accepted from a process outside the "
				     "pod, perhaps) is not carried; close it first");
		return 0;
	}
	e->id = v->id;
	e->holder = v->pid;
	queued = strstr(v->fdinfo, "scm_fds:");
	u->in_flight |= queued && strtoul(queued + strlen("scm_fds:"), NULL, 10);
	sock_put(d, v, n);
	dump_names(v, &name, n);
	if (name.len && name.bytes[0]) {
		r = dump_file(d, v, &name, n, err);
		if (r < 0)
			return r;
	}
	r = unix_who_read(d, v, &who, err);
	if (r < 0)
		return r;
	unix_who_put(n, "credentials", &who);
	dump_events(d, v, &e->diag, n);
	if (e->diag.shutdown)
		node_put_hex(n, "shutdown", e->diag.shutdown);
	if (sock_int(v->dup, SOL_SOCKET, SO_ACCEPTCONN, 0)) {
		node_put_u64(n, "backlog", e->diag.wqlen);
		return 0;
	}
	/* A peek at a datagram queue would take the error. */
	if (d->preflight || (e->diag.type != SOCK_STREAM && node_has(n, "error")))
		return 0;
	return unix_queue_dump(d, v, &e->diag, n, err);
}

/* ---- what they are connected to ---- */

/*
 * Connected to a socket without a number, which waits at none of the pod's network: that one is closed,
 * and then nothing goes either way, or nobody has accepted it yet.
 */
static bool is_waiting(const struct unix_entry *e)
{
	return e->diag.type != SOCK_DGRAM && (e->diag.shutdown & 3) != 3;
}

static bool process_has(struct dump *d, const struct dump_process *p, const char *link)
{
	cleanup_free int *list = NULL;
	ssize_t n = proc_numbers(d->proc, p->pid, "fd", &list);
	bool found = false;

	for (ssize_t i = 0; !found && i < n; i++) {
		cleanup_free char *is = NULL;
		char name[32];

		snprintf(name, sizeof(name), "fd/%d", list[i]);
		found = proc_readlink(d->proc, p->pid, name, &is) == 0 && !strcmp(is, link);
	}
	return found;
}

static bool belong_together(struct dump *d, uint32_t ino, uint32_t other)
{
	cleanup_free struct sockdiag_unix *diag = NULL;

	if (sockdiag_unix_one(d->netns, ino, &diag, NULL) < 0)
		return false;
	for (size_t i = 0; i < diag->n_icons; i++)
		if (diag->icons[i] == other)
			return true;
	return diag->peer == other;
}

bool unix_passing(struct dump *d, uint32_t ino, uint32_t other, uint32_t unmet)
{
	char link[32];

	if (!d->preflight)
		return false;
	snprintf(link, sizeof(link), "socket:[%u]", unmet);
	for (size_t i = 0; belong_together(d, ino, other) && i < d->n_processes; i++)
		if (process_has(d, &d->processes[i], link))
			return true;
	return !belong_together(d, ino, other);
}

static int unix_link(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct unix_entry *e, *peer, *listening;
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	struct unix_name name;
	struct unix_registry *u;
	int r = unix_registry(d, &u, err);

	if (r < 0)
		return r;
	e = unix_find(u, (uint32_t)v->st.st_ino);
	if (!e)
		return 0;
	if (sock_int(v->dup, SOL_SOCKET, SO_ACCEPTCONN, 0)) {
		return unix_waiting_link(d, v, u, e, n, err);
	}
	if (!e->diag.connected)
		return 0;
	peer = unix_find(u, e->diag.peer);
	if (peer && peer->id != UINT32_MAX) {
		node_put_u64(n, "peer", peer->id);
		return 0;
	}
	if (peer && d->preflight && u->in_flight)
		return 0; /* perhaps it is under way */
	if (e->diag.peer && unix_passing(d, e->diag.ino, e->diag.peer, e->diag.peer))
		return 0;
	if (e->diag.peer) {
		dump_refuse_fd(d, v, "it is connected to a process outside the pod; close it first");
		return 0;
	}
	listening = unix_find(u, e->pending_on);
	if (listening && listening->id == UINT32_MAX && unix_passing(d, e->pending_on, e->diag.ino, e->pending_on))
		return 0;
	if (listening ? listening->id == UINT32_MAX && !(d->preflight && u->in_flight) : is_waiting(e)) {
		dump_refuse_fd(d, v, "it waits to be accepted by a process outside the pod; close it first");
		/* Accepted or closed while the list was read, perhaps. */
		if (!listening)
			dump_passing(d);
	}
	if (listening) {
		node_put_u64(n, "waits_at", listening->id);
		if (!listening->held)
			unix_connector_put(d, e, n);
		return 0;
	}
	node_put_bool(n, "peer_gone", true);
	if (getpeername(v->dup, (struct sockaddr *)&a, &len) == 0) {
		unix_name_from((struct sockaddr_un *)&a, len, &name);
		unix_name_put(n, "peer_name", &name);
	}
	return 0;
}

const struct kind kind_unix = {
	.name = "unix",
	.carries = "unix sockets: names, peers, queues, descriptors under way, credentials, connections that wait to be "
		   "accepted and what was sent into them. "
		   "Not an empty datagram that an earlier checkpoint -R or restore --verify has looked at: the "
		   "kernel does not show it twice, and it is lost",
	.refuses = "peers outside the pod, out-of-band bytes, descriptors sent before a connection is accepted, and where the "
		   "kernel's memory cannot be read bytes, too",
	.victims = "unix-stream-pair unix-listen unix-pending unix-dgram unix-dgram-senders unix-seqpacket "
		   "unix-half-closed unix-peer-gone unix-names unix-path unix-path-removed unix-rights "
		   "unix-credentials unix-options unix-oob unix-pending-data unix-pending-packets "
		   "unix-pending-credentials unix-pending-options unix-pending-refused unix-pending-passing "
		   "unix-turnover unix-hard-link unix-rights-others",
	.fd_is = unix_is,
	.fd_dump = unix_dump,
	.fd_link = unix_link,
	.fd_restore = unix_restore,
};
