/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that wait to be accepted at a unix socket. The end that accept(2) would give belongs to nobody yet, and no call
 * tells what is in it: it is read from the kernel's memory (libct/base/kernel.h). A listening socket has in its receive queue
 * one buffer for each, which belongs to that end; that end has what was sent in its own receive queue, and knows who
 * connected and from which socket, also when that one was closed.
 */
#include <fcntl.h>
#include <string.h>

#include "libct/base/kernel.h"
#include "libct/kind/unix.h"
#include "netns/skb.h"

#define SOCK_MAX 8192
#define NUMBER_MAX 64
#define LEVELS_MAX 33	    /* of PID namespaces */
#define LEN_MAX (256 << 20) /* of a message, by a socket buffer of any size */
#define WAITING_MAX (1 << 20)
#define GROUPS_LIMIT 65536

#define FIELDS(X)                                                                                  \
	X(socket, "sock.sk_socket")                                                                \
	X(receive_queue, "sock.sk_receive_queue")                                                  \
	X(peer_pid, "sock.sk_peer_pid")                                                            \
	X(peer_cred, "sock.sk_peer_cred")                                                          \
	X(peer, "unix_sock.peer")                                                                  \
	X(address, "unix_sock.addr")                                                               \
	X(address_len, "unix_address.len")                                                         \
	X(address_name, "unix_address.name")                                                       \
	X(sock, "socket.sk")                                                                       \
	X(inode, "socket_alloc.vfs_inode.i_ino")                                                   \
	X(owner, "sk_buff.sk")                                                                     \
	X(said_pid, "unix_skb_parms.pid")                                                          \
	X(said_uid, "unix_skb_parms.uid")                                                          \
	X(said_gid, "unix_skb_parms.gid")                                                          \
	X(said_fds, "unix_skb_parms.fp")                                                           \
	X(said_consumed, "unix_skb_parms.consumed")                                                \
	X(level, "pid.level")                                                                      \
	X(numbers, "pid.numbers")                                                                  \
	X(number, "upid.nr")                                                                       \
	X(namespace, "upid.ns")                                                                    \
	X(namespace_inode, "pid_namespace.ns.inum")                                                \
	X(uid, "cred.euid")                                                                        \
	X(gid, "cred.egid")                                                                        \
	X(group_info, "cred.group_info")                                                           \
	X(n_groups, "group_info.ngroups")                                                          \
	X(groups, "group_info.gid")                                                                \
	X(urgent, "?unix_sock.oob_skb")                                                            \
	X(passes, "?sock.sk_scm_recv_flags") /* before Linux 6.16 they were taken at accept */

struct reader {
	struct kernel *k;
	struct skb_reader skb;
	ino_t namespace_ino;
	size_t sock_size, number_size;
	uint64_t listener_passes;
	struct unix_held *list, *at;
	size_t n;
#define X(name, path) struct kernel_field name;
	FIELDS(X)
#undef X
};

static int reader_init(struct reader *w, struct dump *d, struct ct_error *err)
{
	const struct kernel_path fields[] = {
#define X(name, path) { &w->name, path },
		FIELDS(X)
#undef X
	};
	cleanup_fd int namespace = proc_open(d->proc, d->pod->state.pid1, "ns/pid", O_RDONLY);
	struct stat st;
	int r;

	if (namespace < 0 || fstat(namespace, &st) < 0)
		return error_errno(err, namespace < 0 ? namespace : -errno, "the pod's PID namespace");
	w->namespace_ino = st.st_ino;
	r = pod_kernel(d->pod, &w->k, err);
	if (r == 0)
		r = kernel_fields(w->k, fields, sizeof(fields) / sizeof(fields[0]), err);
	if (r == 0)
		r = skb_reader_init(&w->skb, w->k, err);
	if (r == 0)
		r = kernel_size(w->k, "upid", NUMBER_MAX, &w->number_size, err);
	return r < 0 ? r : kernel_size(w->k, "unix_sock", SOCK_MAX, &w->sock_size, err);
}

/* ---- who ---- */

/* The number that the pod knows a process by, which may have ended; 0: it is none of the pod's. */
static int read_pid(struct reader *w, uint64_t pid, pid_t *ret, struct ct_error *err)
{
	uint64_t level = 0;
	int r;

	*ret = 0;
	if (!pid)
		return 0;
	r = kernel_get_at(w->k, pid, w->level, &level, err);
	if (r == 0 && level >= LEVELS_MAX)
		return kernel_changed(err);
	for (uint64_t i = 0; r == 0 && i <= level; i++) {
		const uint64_t at = pid + w->numbers.at / 8 + (level - i) * w->number_size;
		uint64_t namespace = 0, ino = 0, number = 0;

		r = kernel_get_at(w->k, at, w->namespace, &namespace, err);
		if (r == 0)
			r = kernel_get_at(w->k, namespace, w->namespace_inode, &ino, err);
		if (r < 0 || ino != w->namespace_ino)
			continue;
		r = kernel_get_at(w->k, at, w->number, &number, err);
		*ret = (pid_t)number;
		return r;
	}
	return r;
}

static int read_groups(struct reader *w, uint64_t info, struct unix_who *ret, struct ct_error *err)
{
	uint64_t n = 0;
	int r = kernel_get_at(w->k, info, w->n_groups, &n, err);

	if (r < 0 || !n)
		return r;
	if (n > GROUPS_LIMIT)
		return kernel_changed(err);
	ret->groups = calloc(n, sizeof(*ret->groups));
	if (!ret->groups)
		return error_errno(err, -ENOMEM, "groups");
	ret->n_groups = n;
	return kernel_fetch(w->k, info + w->groups.at / 8, ret->groups, n * sizeof(*ret->groups), err);
}

/* Who connected: what SO_PEERCRED and SO_PEERGROUPS will tell of the end that is accepted. */
static int read_connector(struct reader *w, const uint8_t *sock, struct unix_who *ret, struct ct_error *err)
{
	const uint64_t cred = kernel_get(sock, w->peer_cred);
	uint64_t uid = 0, gid = 0, groups = 0;
	int r = cred ? read_pid(w, kernel_get(sock, w->peer_pid), &ret->vpid, err) : kernel_changed(err);

	if (r == 0)
		r = kernel_get_at(w->k, cred, w->uid, &uid, err);
	if (r == 0)
		r = kernel_get_at(w->k, cred, w->gid, &gid, err);
	if (r == 0)
		r = kernel_get_at(w->k, cred, w->group_info, &groups, err);
	ret->known = true;
	ret->uid = (uid_t)uid;
	ret->gid = (gid_t)gid;
	return r < 0 ? r : read_groups(w, groups, ret, err);
}

/* ---- what was sent ---- */

struct copy {
	struct reader *w;
	size_t skip, len;
	struct unix_said *to;
};

static int copy_piece(void *context, uint64_t address, size_t len, struct ct_error *err)
{
	struct copy *c = context;
	const size_t skip = c->skip < len ? c->skip : len;
	int r;

	c->skip -= skip;
	len -= skip;
	if (!len)
		return 0;
	if (len > c->len - c->to->len)
		return kernel_changed(err);
	r = kernel_fetch(c->w->k, address + skip, c->to->data + c->to->len, len, err);
	c->to->len += len;
	return r;
}

static struct unix_said *add_said(struct unix_held *h)
{
	if (!(h->n_said & (h->n_said - 1))) {
		struct unix_said *grown = realloc(h->said, sizeof(*grown) * (h->n_said ? h->n_said * 2 : 1));

		if (!grown)
			return NULL;
		h->said = grown;
	}
	h->said[h->n_said] = (struct unix_said){ 0 };
	return &h->said[h->n_said++];
}

static int read_message(void *context, const uint8_t *skb, struct ct_error *err)
{
	struct reader *w = context;
	const uint8_t *control = skb + w->skb.control.at / 8;
	const uint64_t len = kernel_get(skb, w->skb.len), consumed = kernel_get(control, w->said_consumed);
	const uint64_t pid = kernel_get(control, w->said_pid);
	struct copy c = { .w = w, .skip = consumed, .len = len - consumed };
	int r;

	w->at->rights |= kernel_get(control, w->said_fds) != 0;
	if (consumed > len || len > LEN_MAX)
		return kernel_changed(err);
	c.to = add_said(w->at);
	if (!c.to)
		return error_errno(err, -ENOMEM, "a message");
	c.to->data = malloc(c.len + 1);
	if (!c.to->data)
		return error_errno(err, -ENOMEM, "a message of %zu bytes", c.len);
	c.to->who = (struct unix_who){ .uid = (uid_t)kernel_get(control, w->said_uid),
				       .gid = (gid_t)kernel_get(control, w->said_gid) };
	c.to->who.known = pid || c.to->who.uid != (uid_t)-1;
	r = read_pid(w, pid, &c.to->who.vpid, err);
	if (r == 0)
		r = skb_bytes(&w->skb, skb, copy_piece, &c, err);
	return r < 0 || c.to->len == c.len ? r : kernel_changed(err);
}

/* ---- the connections ---- */

/* The socket of who connected: its inode, and its name where it has none any more. */
static int read_client(struct reader *w, uint64_t client, struct unix_held *h, struct ct_error *err)
{
	struct sockaddr_storage name = { 0 };
	uint64_t socket = 0, ino = 0, address = 0, len = 0;
	int r = kernel_get_at(w->k, client, w->socket, &socket, err);

	if (r == 0 && socket)
		r = kernel_get_at(w->k, socket, w->inode, &ino, err);
	h->client = (uint32_t)ino;
	if (r == 0)
		r = kernel_get_at(w->k, client, w->address, &address, err);
	if (r < 0 || socket || !address)
		return r;
	r = kernel_get_at(w->k, address, w->address_len, &len, err);
	if (r == 0 && len > sizeof(struct sockaddr_un))
		return kernel_changed(err);
	if (r == 0)
		r = kernel_fetch(w->k, address + w->address_name.at / 8, &name, len, err);
	if (r == 0)
		unix_name_from((struct sockaddr_un *)&name, (socklen_t)len, &h->name);
	return r;
}

static int read_waiting(void *context, const uint8_t *skb, struct ct_error *err)
{
	struct reader *w = context;
	const uint64_t address = kernel_get(skb, w->owner);
	uint8_t sock[SOCK_MAX];
	int r;

	if (!address || w->n == WAITING_MAX)
		return kernel_changed(err);
	if (!(w->n & (w->n - 1))) {
		struct unix_held *grown = realloc(w->list, sizeof(*grown) * (w->n ? w->n * 2 : 1));

		if (!grown)
			return error_errno(err, -ENOMEM, "connections");
		w->list = grown;
	}
	w->at = &w->list[w->n++];
	*w->at = (struct unix_held){ 0 };
	r = kernel_fetch(w->k, address, sock, w->sock_size, err);
	if (r == 0 && !kernel_get(sock, w->peer))
		return kernel_changed(err);
	if (r == 0)
		r = read_client(w, kernel_get(sock, w->peer), w->at, err);
	if (r == 0)
		r = read_connector(w, sock, &w->at->connector, err);
	w->at->urgent = w->urgent.width && kernel_get(sock, w->urgent);
	w->at->passes_other = w->passes.width && kernel_get(sock, w->passes) != w->listener_passes;
	return r < 0 ? r : skb_queue(&w->skb, address + w->receive_queue.at / 8, read_message, w, err);
}

void unix_held_free(struct unix_held *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < list[i].n_said; k++)
			free(list[i].said[k].data);
		free(list[i].said);
		unix_who_release(&list[i].connector);
	}
	free(list);
}

int unix_held_read(struct dump *d, int fd, struct unix_held **ret, size_t *ret_n, struct ct_error *err)
{
	struct reader w = { 0 };
	uint64_t address = 0;
	int r = reader_init(&w, d, err);

	if (r == 0)
		r = kernel_file(w.k, fd, &address, err);
	if (r == 0)
		r = kernel_get_at(w.k, address, w.sock, &address, err);
	if (r == 0 && w.passes.width)
		r = kernel_get_at(w.k, address, w.passes, &w.listener_passes, err);
	if (r == 0)
		r = skb_queue(&w.skb, address + w.receive_queue.at / 8, read_waiting, &w, err);
	if (r < 0) {
		unix_held_free(w.list, w.n);
		return r;
	}
	*ret = w.list;
	*ret_n = w.n;
	return 0;
}
