/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/sockdiag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "libct/base/error.h"
#include "netns/netlink.h"

static uint32_t get_u32(const struct nlattr *a)
{
	return a && nla_len(a) >= 4 ? nla_get_u32(a) : 0;
}

static uint8_t get_u8(const struct nlattr *a)
{
	return a && nla_len(a) >= 1 ? nla_get_u8(a) : 0;
}

static int ask(struct nl_sock *sock, int flags, const void *fixed, size_t len,
	       struct netlink_reply *reply)
{
	cleanup_msg struct nl_msg *msg = netlink_message(SOCK_DIAG_BY_FAMILY, flags, fixed, len);

	return msg ? netlink_request(sock, msg, reply) : -ENOMEM;
}

/* ---- unix ---- */

static void read_unix_name(const struct nlattr *name, struct sockdiag_unix *u)
{
	size_t n = (size_t)nla_len(name);

	if (n > sizeof(u->name))
		n = sizeof(u->name);
	memcpy(u->name, nla_data(name), n);
	u->name_len = u->name[0] ? strnlen(u->name, n) : n;
}

static bool read_unix(struct nlmsghdr *h, struct sockdiag_unix *u, uint32_t **icons)
{
	struct unix_diag_msg *fixed = NLMSG_DATA(h);
	struct nlattr *a[UNIX_DIAG_MAX + 1];

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    nlmsg_parse(h, sizeof(*fixed), a, UNIX_DIAG_MAX, NULL) < 0)
		return false;
	*u = (struct sockdiag_unix){ .ino = fixed->udiag_ino,
				     .type = fixed->udiag_type,
				     .state = fixed->udiag_state,
				     .peer = get_u32(a[UNIX_DIAG_PEER]),
				     .connected = a[UNIX_DIAG_PEER],
				     .shutdown = get_u8(a[UNIX_DIAG_SHUTDOWN]),
				     .uid = get_u32(a[UNIX_DIAG_UID]) };
	if (a[UNIX_DIAG_NAME])
		read_unix_name(a[UNIX_DIAG_NAME], u);
	if (a[UNIX_DIAG_VFS] && nla_len(a[UNIX_DIAG_VFS]) >= (int)sizeof(struct unix_diag_vfs)) {
		const struct unix_diag_vfs *vfs = nla_data(a[UNIX_DIAG_VFS]);

		/* The kernel's own packing of a device number: 12 and 20 bits. */
		u->file_dev = makedev(vfs->udiag_vfs_dev >> 20, vfs->udiag_vfs_dev & 0xfffff);
		u->file_ino = vfs->udiag_vfs_ino;
		u->has_file = true;
	}
	if (a[UNIX_DIAG_RQLEN] &&
	    nla_len(a[UNIX_DIAG_RQLEN]) >= (int)sizeof(struct unix_diag_rqlen)) {
		const struct unix_diag_rqlen *len = nla_data(a[UNIX_DIAG_RQLEN]);

		u->rqlen = len->udiag_rqueue;
		u->wqlen = len->udiag_wqueue;
	}
	if (a[UNIX_DIAG_ICONS]) {
		u->icons = *icons;
		u->n_icons = (size_t)nla_len(a[UNIX_DIAG_ICONS]) / sizeof(**icons);
		memcpy(*icons, nla_data(a[UNIX_DIAG_ICONS]), u->n_icons * sizeof(**icons));
		*icons += u->n_icons;
	}
	return true;
}

/* `ino` 0: all. One allocation: the list, and the icons of all behind it. */
static int ask_unix(int netns_fd, uint32_t ino, struct sockdiag_unix **ret, size_t *ret_n,
		    struct ct_error *err)
{
	const struct unix_diag_req request = { .sdiag_family = AF_UNIX,
					       .udiag_states = UINT32_MAX,
					       .udiag_ino = ino,
					       .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS |
							     UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS |
							     UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID,
					       .udiag_cookie = { UINT32_MAX, UINT32_MAX } };
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_reply struct netlink_reply reply = { 0 };
	struct sockdiag_unix *list;
	size_t room = 1, n = 0;
	uint32_t *icons;
	int r = netlink_open(netns_fd, NETLINK_SOCK_DIAG, &sock, err);

	if (r < 0)
		return r;
	r = ask(sock, ino ? 0 : NLM_F_DUMP, &request, sizeof(request), &reply);
	if (r < 0)
		return r == -ENOENT && ino
			       ? error_set(err, r, "unix socket %u is gone", ino)
			       : error_errno(err, r, "ask the kernel about unix sockets");
	netlink_each(h, &reply) room++;
	/* The icons cannot be more than the answer is long. */
	list = malloc(room * sizeof(*list) + reply.len);
	if (!list)
		return error_errno(err, -ENOMEM, "list unix sockets");
	icons = (uint32_t *)(list + room);
	netlink_each(h, &reply) n += read_unix(h, &list[n], &icons);
	*ret = list;
	*ret_n = n;
	return 0;
}

int sockdiag_unix_all(int netns_fd, struct sockdiag_unix **ret, size_t *ret_n, struct ct_error *err)
{
	return ask_unix(netns_fd, 0, ret, ret_n, err);
}

int sockdiag_unix_one(int netns_fd, uint32_t ino, struct sockdiag_unix **ret, struct ct_error *err)
{
	cleanup_free struct sockdiag_unix *one = NULL;
	size_t n;
	int r;

	if (ino == 0)
		return error_set(err, -ENOENT, "unix socket 0 is gone");
	r = ask_unix(netns_fd, ino, &one, &n, err);
	if (r < 0)
		return r;
	if (n != 1)
		return error_set(err, -ENOENT, "unix socket %u is gone", ino);
	*ret = take_ptr(one);
	return 0;
}

/* ---- inet ---- */

static bool read_inet(struct nlmsghdr *h, int protocol, struct sockdiag_inet *ret)
{
	struct inet_diag_msg *fixed = NLMSG_DATA(h);
	struct nlattr *a[INET_DIAG_MAX + 1];
	size_t n;

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    nlmsg_parse(h, sizeof(*fixed), a, INET_DIAG_MAX, NULL) < 0)
		return false;
	*ret = (struct sockdiag_inet){ .family = fixed->idiag_family,
				       .protocol = protocol,
				       .state = fixed->idiag_state,
				       .ino = fixed->idiag_inode,
				       .uid = fixed->idiag_uid,
				       .local_port = ntohs(fixed->id.idiag_sport),
				       .remote_port = ntohs(fixed->id.idiag_dport),
				       .ifindex = (int)fixed->id.idiag_if,
				       .rqlen = fixed->idiag_rqueue,
				       .wqlen = fixed->idiag_wqueue,
				       .shutdown = get_u8(a[INET_DIAG_SHUTDOWN]),
				       .v6only = get_u8(a[INET_DIAG_SKV6ONLY]),
				       .signs = a[INET_DIAG_MD5SIG],
				       .mark = get_u32(a[INET_DIAG_MARK]),
				       .cookie = (uint64_t)fixed->id.idiag_cookie[1] << 32 |
						 fixed->id.idiag_cookie[0] };
	if (a[INET_DIAG_INFO]) {
		struct tcp_info info = { 0 };

		nla_memcpy(&info, a[INET_DIAG_INFO], sizeof(info));
		ret->snd_scale = info.tcpi_snd_wscale;
		ret->rcv_scale = info.tcpi_rcv_wscale;
	}
	/* Behind an IPv4 address the kernel leaves what it likes. */
	n = fixed->idiag_family == AF_INET ? 4 : 16;
	memcpy(ret->local, fixed->id.idiag_src, n);
	memcpy(ret->remote, fixed->id.idiag_dst, n);
	return true;
}

struct inet_list {
	struct sockdiag_inet *list;
	size_t n;
};

static void inet_list_release(struct inet_list *l)
{
	free(l->list);
}

static int add_inet(struct nl_sock *sock, int family, int protocol, struct inet_list *l)
{
	struct inet_diag_req_v2 request = { .sdiag_family = (uint8_t)family,
					    .sdiag_protocol = (uint8_t)protocol,
					    /* The keys come with struct tcp_info or not at all. */
					    .idiag_ext = 1 << (INET_DIAG_SHUTDOWN - 1) |
							 1 << (INET_DIAG_INFO - 1),
					    .idiag_states = UINT32_MAX };
	cleanup_reply struct netlink_reply reply = { 0 };
	struct sockdiag_inet *grown;
	size_t room = l->n + 1;
	int r = ask(sock, NLM_F_DUMP, &request, sizeof(request), &reply);

	if (r < 0)
		return r;
	netlink_each(h, &reply) room++;
	grown = reallocarray(l->list, room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	l->list = grown;
	netlink_each(h, &reply) l->n += read_inet(h, protocol, &l->list[l->n]);
	return 0;
}

int sockdiag_inet_all(int netns_fd, int protocol, struct sockdiag_inet **ret, size_t *ret_n,
		      struct ct_error *err)
{
	static const int protocols[] = { IPPROTO_TCP, IPPROTO_UDP },
			 families[] = { AF_INET, AF_INET6 };
	__cleanup(inet_list_release) struct inet_list l = { 0 };
	cleanup_sock struct nl_sock *sock = NULL;
	int r = netlink_open(netns_fd, NETLINK_SOCK_DIAG, &sock, err);

	if (r < 0)
		return r;
	for (size_t p = 0; p < 2; p++) {
		for (size_t k = 0; k < 2; k++) {
			if (protocol && protocol != protocols[p])
				continue;
			r = add_inet(sock, families[k], protocols[p], &l);
			if (r < 0)
				return error_errno(err, r, "ask the kernel about %s sockets",
						   protocols[p] == IPPROTO_TCP ? "TCP" : "UDP");
		}
	}
	*ret = take_ptr(l.list);
	*ret_n = l.n;
	return 0;
}

static void put_end(const struct sockaddr_storage *a, __be16 *ret_port, void *ret_address)
{
	/* The port stands at the same place in both. */
	*ret_port = ((const struct sockaddr_in *)a)->sin_port;
	if (a->ss_family == AF_INET)
		memcpy(ret_address, &((const struct sockaddr_in *)a)->sin_addr, 4);
	else
		memcpy(ret_address, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
}

int sockdiag_tcp_one(int netns_fd, const struct sockaddr_storage *local,
		     const struct sockaddr_storage *remote, int ifindex, struct sockdiag_inet *ret,
		     struct ct_error *err)
{
	struct inet_diag_req_v2 request = { .sdiag_family = (uint8_t)local->ss_family,
					    .sdiag_protocol = IPPROTO_TCP,
					    .idiag_ext = 1 << (INET_DIAG_INFO - 1),
					    .idiag_states = UINT32_MAX,
					    .id = { .idiag_if = (uint32_t)ifindex,
						    .idiag_cookie = { UINT32_MAX, UINT32_MAX } } };
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_reply struct netlink_reply reply = { 0 };
	int r = netlink_open(netns_fd, NETLINK_SOCK_DIAG, &sock, err);

	if (r < 0)
		return r;
	put_end(local, &request.id.idiag_sport, request.id.idiag_src);
	put_end(remote, &request.id.idiag_dport, request.id.idiag_dst);
	r = ask(sock, 0, &request, sizeof(request), &reply);
	if (r == -ENOENT)
		return error_set(err, r, "there is no such TCP connection");
	if (r < 0)
		return error_errno(err, r, "ask the kernel about a TCP connection");
	netlink_each(h, &reply)
		if (read_inet(h, IPPROTO_TCP, ret))
			return 0;
	return error_set(err, -ENOENT, "there is no such TCP connection");
}

/* Listening sockets go with their descriptors, and what waits for stray segments holds no route. */
static bool holds_route(const struct sockdiag_inet *s)
{
	return s->family == AF_INET6 && s->state != TCP_LISTEN && s->state != TCP_TIME_WAIT;
}

static int destroy(struct nl_sock *sock, const struct sockdiag_inet *s)
{
	struct inet_diag_req_v2 request = { .sdiag_family = (uint8_t)s->family,
					    .sdiag_protocol = (uint8_t)s->protocol,
					    .idiag_states = UINT32_MAX,
					    .id = { .idiag_sport = htons(s->local_port),
						    .idiag_dport = htons(s->remote_port),
						    .idiag_if = (uint32_t)s->ifindex,
						    .idiag_cookie = { (uint32_t)s->cookie,
								      (uint32_t)(s->cookie >> 32) } } };
	cleanup_msg struct nl_msg *msg = NULL;

	memcpy(request.id.idiag_src, s->local, sizeof(s->local));
	memcpy(request.id.idiag_dst, s->remote, sizeof(s->remote));
	msg = netlink_message(SOCK_DESTROY, 0, &request, sizeof(request));
	return msg ? netlink_request(sock, msg, NULL) : -ENOMEM;
}

int sockdiag_end_tcp(int netns_fd, struct ct_error *err)
{
	cleanup_free struct sockdiag_inet *list = NULL;
	cleanup_sock struct nl_sock *sock = NULL;
	size_t n = 0;
	int r = sockdiag_inet_all(netns_fd, IPPROTO_TCP, &list, &n, err);

	if (r == 0)
		r = netlink_open(netns_fd, NETLINK_SOCK_DIAG, &sock, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!holds_route(&list[i]))
			continue;
		r = destroy(sock, &list[i]);
		if (r == -ENOENT) /* it has ended by itself */
			r = 0;
		else if (r < 0)
			error_errno(err, r, "end a TCP connection");
	}
	return r;
}
