/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets (man 7 udp), and raw and ping sockets, which are the same to us: bound, connected,
 * members of multicast groups; datagrams that nobody has read yet, and an error that came back for
 * one that was sent (udp-queue.c, udp-error.c).
 *
 * The link that was chosen for multicast by its number (IP_MULTICAST_IF with struct ip_mreqn), and an address for
 * it, are two things of which the kernel tells the address.
 */
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <linux/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/kind/udp.h"
#include "netns/sockdiag.h"

static const struct sock_option options[] = {
	{ "udp_cork", IPPROTO_UDP, UDP_CORK },
	{ "udp_no_check6_send", IPPROTO_UDP, UDP_NO_CHECK6_TX },
	{ "udp_no_check6_receive", IPPROTO_UDP, UDP_NO_CHECK6_RX },
	{ "udp_segment", IPPROTO_UDP, UDP_SEGMENT },
	{ "udp_gro", IPPROTO_UDP, UDP_GRO },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static bool udp_is(const struct dump *d, const struct fd_view *v)
{
	int type, protocol;

	if (!inet_is(v))
		return false;
	type = sock_int(v->dup, SOL_SOCKET, SO_TYPE, 0);
	protocol = sock_int(v->dup, SOL_SOCKET, SO_PROTOCOL, 0);
	return type == SOCK_RAW || (type == SOCK_DGRAM && (protocol == IPPROTO_UDP ||
							   protocol == IPPROTO_ICMP ||
							   protocol == IPPROTO_ICMPV6));
}

/* How it was shut down: 1 reading, 2 writing. */
static int find_shutdown(struct dump *d, const struct fd_view *v, unsigned int *ret, struct ct_error *err)
{
	struct pollfd events = { v->dup, POLLRDHUP, 0 };
	int r = 0;

	poll(&events, 1, 0);
	*ret = events.revents & POLLHUP ? 3 : events.revents & POLLRDHUP ? 1 : 0;
	/* For writing alone only the list of sockets tells, which has all that are bound. */
	if (!d->udp_sockets)
		r = sockdiag_inet_all(d->netns, IPPROTO_UDP, &d->udp_sockets, &d->n_udp_sockets, err);
	for (size_t i = 0; r == 0 && i < d->n_udp_sockets; i++)
		if (d->udp_sockets[i].ino == v->st.st_ino)
			*ret |= d->udp_sockets[i].shutdown & 3;
	return r;
}

/* What it has received or is about to send. */
static int dump_queues(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	bool udp = sock_int(v->dup, SOL_SOCKET, SO_PROTOCOL, 0) == IPPROTO_UDP &&
		   sock_int(v->dup, SOL_SOCKET, SO_TYPE, 0) == SOCK_DGRAM;
	struct pollfd events = { v->dup, 0, 0 };
	unsigned int closed;
	int sending = 0, r = find_shutdown(d, v, &closed, err);

	if (r < 0)
		return r;

	if (ioctl(v->dup, SIOCOUTQ, &sending) == 0 && sending) {
		dump_refuse_fd(d, v, "a datagram that is being put together or sent is not carried; "
				     "try again");
		dump_passing(d);
	}
	poll(&events, 1, 0);
	if (closed)
		node_put_hex(n, "shutdown", closed);
	if (!udp) {
		/* Errors count as queued too. */
		if (events.revents & POLLERR) {
			dump_refuse_fd(d, v, "an error that nobody has read yet is pending on it, which "
					     "is not carried; read it first");
			dump_passing(d);
		} else if (sock_queued(v->dup)) {
			dump_refuse_fd(d, v, "packets that nobody has read yet are not carried; read "
					     "them first");
			dump_passing(d);
		}
		return 0;
	}
	/* First the error: recvmsg(2) would take it. */
	r = udp_error_dump(d, v, n, err);
	if (r == 0 && events.revents & POLLERR && sock_queued(v->dup)) {
		dump_refuse_fd(d, v, "datagrams and an error that nobody has read yet are not carried together; "
				     "read them first");
		dump_passing(d);
	} else if (r == 0) {
		r = udp_queue_dump(d, v, n, err);
	}
	return r < 0 ? r : 0;
}

/*
 * The other end of a raw socket, which getpeername(2) does not tell where the port is 0: from
 * /proc/net/raw, which has addresses as numbers in memory order.
 */
static bool find_remote(struct dump *d, const struct fd_view *v, struct sockaddr_storage *ret)
{
	bool four = sock_is(v, AF_INET);
	cleanup_free char *text = NULL;

	if (sock_int(v->dup, SOL_SOCKET, SO_TYPE, 0) != SOCK_RAW ||
	    proc_read(d->proc, d->pod->state.pid1, four ? "net/raw" : "net/raw6", &text) < 0)
		return false;
	for (const char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
		unsigned int ip[4] = { 0 }, state;
		unsigned long inode;
		char hex[33];

		if (sscanf(line + 1, "%*s %*s %32[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %lu", hex, &state,
			   &inode) != 3 || inode != v->st.st_ino || state != 1)
			continue;
		for (int i = 0; i < (four ? 1 : 4); i++)
			sscanf(hex + 8 * i, "%8x", &ip[i]);
		*ret = (struct sockaddr_storage){ .ss_family = four ? AF_INET : AF_INET6 };
		if (four)
			memcpy(&((struct sockaddr_in *)ret)->sin_addr, ip, 4);
		else
			memcpy(&((struct sockaddr_in6 *)ret)->sin6_addr, ip, 16);
		return true;
	}
	return false;
}

static int udp_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct sockaddr_storage a;
	struct node *to = inet_put(d, v, n);
	int r;

	sock_options_put(d, v->dup, options, N_OPTIONS, to);
	if (sock_int(v->dup, IPPROTO_UDP, UDP_ENCAP, 0))
		dump_refuse_fd(d, v, "encapsulation (UDP_ENCAP) is not carried; close it first");
	r = dump_queues(d, v, n, err);
	if (r < 0)
		return r;
	r = inet_local(v->dup, &a);
	if (r < 0)
		return error_errno(err, r, "getsockname");
	if (!inet_any(&a))
		inet_address_put(d, v->dup, n, "local", &a);
	if (inet_remote(v->dup, &a) == 0 || find_remote(d, v, &a))
		inet_address_put(d, v->dup, n, "remote", &a);
	return inet_groups_put(d, v, n, err);
}

static int udp_connect(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	int family = (int)node_i64(n, "family", AF_INET, AF_INET6), e;
	struct sockaddr_storage a;
	char text[INET_TEXT];

	e = inet_address_get(r, fd, family, n, "remote", &a, err);
	if (e == 0 && connect(fd, (struct sockaddr *)&a,
			      family == AF_INET ? sizeof(struct sockaddr_in)
						: sizeof(struct sockaddr_in6)) < 0)
		e = error_errno(err, -errno, "connect to %s", inet_text(&a, text));
	return e;
}

static int udp_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
		       struct ct_error *err)
{
	uint64_t closed = node_has(n, "shutdown") ? node_hex(n, "shutdown") : 0;
	int e;

	if (closed > 3)
		node_complain(n, "a shutdown of 0x%" PRIx64, closed);
	/* An image gives nothing that the pod's processes could not have. */
	if (node_i64(n, "type", 1, 10) == SOCK_RAW &&
	    !(r->pod->config.capabilities >> CAP_NET_RAW & 1))
		return error_set(err, -EPERM, "a raw socket in a pod without cap_net_raw");
	e = inet_make(r, n, true, ret_fd, err);
	if (e == 0)
		e = sock_options_get(*ret_fd, options, N_OPTIONS, node_object(n, "options"), err);
	if (e == 0)
		e = inet_bind(r, n, *ret_fd, err);
	if (e == 0)
		e = inet_groups_get(n, *ret_fd, err);
	/* Before it is connected: then only one would be heard. */
	if (e == 0)
		e = udp_queue_restore(r, n, *ret_fd, err);
	if (e == 0 && node_has(n, "remote"))
		e = udp_connect(r, n, *ret_fd, err);
	if (e == 0)
		e = udp_error_restore(r, n, *ret_fd, err);
	if (e == 0)
		e = sock_filter_get(r, n, *ret_fd, err);
	/* SHUT_RD, SHUT_WR, SHUT_RDWR are one less. */
	if (e == 0 && closed && shutdown(*ret_fd, (int)closed - 1) < 0 && errno != ENOTCONN)
		e = error_errno(err, -errno, "shutdown");
	return e;
}

const struct kind kind_udp = {
	.name = "udp",
	.carries = "UDP, ping and raw sockets: bound, connected, in multicast groups; received datagrams, or errors. "
		   "Not an empty one that an earlier checkpoint -R or restore --verify has looked at: the kernel "
		   "does not show it twice, and it is lost",
	.refuses = "datagrams and errors at once; errors of raw sockets; in an error queue (IP_RECVERR) more than 16 messages, or others than that a "
		   "datagram did not arrive, and all where the kernel's memory cannot be read; packets that raw sockets received, multicast datagrams, ports that several share with datagrams",
	.victims = "udp-bound udp-connected udp-shutdown udp-options udp-multicast udp-unread udp-error udp-error-queue "
		   "udp-unread-group raw-icmp raw-icmp6 sock-filter-queue",
	.fd_is = udp_is,
	.fd_dump = udp_dump,
	.fd_restore = udp_restore,
};
