/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/netlink.h"

#include <linux/sockios.h>
#include <netlink/errno.h>
#include <netlink/handlers.h>
#include <netlink/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "libct/base/error.h"
#include "libct/base/sys.h"

DEFINE_CLEANUP(struct nl_cb *, nl_cb_put)

/* A descriptor of the namespace that the calling thread is in, whatever its /proc shows. */
static int own_netns(void)
{
	cleanup_fd int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int fd = sock < 0 ? -1 : ioctl(sock, SIOCGSKNS);

	return fd < 0 ? -errno : fd;
}

static void go_back(int own)
{
	/* Whoever went on here would take the pod's network for the host's. A dead podckpt's work is undone by monitors. */
	if (sys_setns_back(own, CLONE_NEWNET) < 0)
		abort();
}

/* `netns_fd` -1: a new one. */
static int call_inside(int netns_fd, int (*function)(void *arg), void *arg)
{
	cleanup_fd int own = own_netns();
	sigset_t all, old;
	int r;

	if (own < 0)
		return own;
	/* The program's signal handlers must not find themselves in another namespace. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = (netns_fd < 0 ? unshare(CLONE_NEWNET) : setns(netns_fd, CLONE_NEWNET)) < 0 ? -errno : 0;
	if (r == 0) {
		r = function(arg);
		go_back(own);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int netns_call(int netns_fd, int (*function)(void *arg), void *arg)
{
	return netns_fd < 0 ? function(arg) : call_inside(netns_fd, function, arg);
}

int netns_call_new(int (*function)(void *arg), void *arg)
{
	return call_inside(-1, function, arg);
}

struct socket_call {
	int domain, type, protocol;
};

static int call_socket(void *arg)
{
	struct socket_call *s = arg;
	int fd = socket(s->domain, s->type | SOCK_CLOEXEC, s->protocol);

	return fd < 0 ? -errno : fd;
}

int netns_socket(int netns_fd, int domain, int type, int protocol)
{
	struct socket_call s = { .domain = domain, .type = type, .protocol = protocol };

	return netns_call(netns_fd, call_socket, &s);
}

struct connect_call {
	struct nl_sock *sock;
	int protocol;
};

static int call_connect(void *arg)
{
	struct connect_call *c = arg;

	switch (-nl_connect(c->sock, c->protocol)) {
	case 0:
		return 0;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PROTO_MISMATCH:
		return -EPROTONOSUPPORT;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	default:
		return -EIO;
	}
}

int netlink_open(int netns_fd, int protocol, struct nl_sock **ret, struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = nl_socket_alloc();
	struct connect_call c = { .sock = sock, .protocol = protocol };
	int r;

	if (!sock)
		return error_errno(err, -ENOMEM, "netlink socket");
	r = netns_call(netns_fd, call_connect, &c);
	if (r < 0)
		return error_errno(err, r, "netlink socket of protocol %d", protocol);
	*ret = take_ptr(sock);
	return 0;
}

struct exchange {
	struct netlink_reply reply;
	bool done;
	bool disturbed;
	int code;
};

/* Called for every message that is data. */
static int on_valid(struct nl_msg *msg, void *arg)
{
	struct exchange *x = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);
	size_t len = NLMSG_ALIGN(h->nlmsg_len);

	if (x->code < 0)
		return NL_OK;
	if (x->reply.len + len > x->reply.size) {
		size_t size = (x->reply.size + len) * 2;
		char *grown = realloc(x->reply.buf, size);

		if (!grown) {
			x->code = -ENOMEM;
			return NL_OK; /* the rest must still be taken out of the socket */
		}
		x->reply.buf = grown;
		x->reply.size = size;
	}
	memset(x->reply.buf + x->reply.len, 0, len);
	memcpy(x->reply.buf + x->reply.len, h, h->nlmsg_len);
	x->reply.len += len;
	return NL_OK;
}

/* Called for an acknowledgement and for the end of a dump, which carries the dump's own error. */
static int on_end(struct nl_msg *msg, void *arg)
{
	struct exchange *x = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);

	if (h->nlmsg_type == NLMSG_DONE && h->nlmsg_len >= NLMSG_HDRLEN + sizeof(int)) {
		int code;

		memcpy(&code, NLMSG_DATA(h), sizeof(code));
		if (code < 0)
			x->code = code;
	}
	x->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *address, struct nlmsgerr *e, void *arg)
{
	struct exchange *x = arg;

	x->code = e->error;
	x->done = true;
	return NL_STOP;
}

static int on_disturbed(struct nl_msg *msg, void *arg)
{
	struct exchange *x = arg;

	x->disturbed = true;
	return NL_OK;
}

static int exchange_once(struct nl_sock *sock, struct nl_cb *cb, struct nl_msg *msg,
			 struct exchange *x)
{
	int r;

	/* A second sending needs a new sequence number. */
	nlmsg_hdr(msg)->nlmsg_seq = NL_AUTO_SEQ;
	r = nl_send_auto(sock, msg);
	if (r < 0)
		return r == -NLE_NOMEM ? -ENOMEM : -EIO;
	while (!x->done) {
		r = nl_recvmsgs(sock, cb);
		if (r < 0 && !x->done)
			return r == -NLE_NOMEM ? -ENOBUFS : -EIO;
	}
	return x->code;
}

int netlink_request(struct nl_sock *sock, struct nl_msg *msg, struct netlink_reply *reply)
{
	__cleanup(nl_cb_put_cleanup) struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	struct exchange x = { 0 };
	int r;

	if (!cb)
		return -ENOMEM;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, &x);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, &x);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, &x);
	nl_cb_set(cb, NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_disturbed, &x);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &x);
	do {
		netlink_reply_release(&x.reply);
		x = (struct exchange){ 0 };
		r = exchange_once(sock, cb, msg, &x);
	} while (r == 0 && x.disturbed);
	if (r < 0 || !reply) {
		netlink_reply_release(&x.reply);
		return r;
	}
	*reply = x.reply;
	return 0;
}

struct nlmsghdr *netlink_next(const struct netlink_reply *reply, struct nlmsghdr *last)
{
	char *at = last ? (char *)last + NLMSG_ALIGN(last->nlmsg_len) : reply->buf;

	if (!at || at >= reply->buf + reply->len)
		return NULL;
	return (struct nlmsghdr *)at;
}

struct nl_msg *netlink_message(int type, int flags, const void *fixed, size_t len)
{
	cleanup_msg struct nl_msg *msg = nlmsg_alloc();

	if (!msg || !nlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, type, 0, flags) ||
	    nlmsg_append(msg, (void *)fixed, len, NLMSG_ALIGNTO) < 0)
		return NULL;
	return take_ptr(msg);
}
