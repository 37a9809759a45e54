/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error that waits on a connected UDP socket: an ICMP message said that a datagram did not
 * arrive ("connection refused"), and the next call will tell. SO_ERROR reads it and takes it away,
 * so the message is sent once more, by ourselves over the loopback link of the pod: in a dump at
 * once by the same child that has asked, in a restore to the new socket.
 */
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/kind/udp.h"
#include "libct/kind/unix.h"
#include "netns/icmp.h"

#define ARRIVAL_MS 10000

/* In the network namespace of the socket. */
static int raise_error(int fd, int error)
{
	struct pollfd p = { fd, 0, 0 };
	struct sockaddr_storage local, remote;
	struct icmp_report report;
	struct udphdr head = { .len = htons(8) };
	int r = inet_local(fd, &local);

	if (r == 0)
		r = inet_remote(fd, &remote);
	if (r < 0)
		return r;
	if (!icmp_report_of(error, icmp_is_six(&local, &remote), &report))
		return -EOPNOTSUPP;
	head.source = inet_port(&local);
	head.dest = inet_port(&remote);
	r = icmp_report_send(&report, &local, &remote, IPPROTO_UDP, &head, sizeof(head));
	if (r < 0)
		return r;
	return poll(&p, 1, ARRIVAL_MS) == 1 ? 0 : -ETIMEDOUT;
}

struct question {
	int fd, netns;
	int error, result;
};

static void ask(void *context)
{
	struct question *q = context;

	q->result = setns(q->netns, CLONE_NEWNET) < 0 ? -errno : 0;
	if (q->result < 0)
		return;
	q->error = sock_int(q->fd, SOL_SOCKET, SO_ERROR, 0);
	if (q->error)
		q->result = raise_error(q->fd, q->error);
}

int udp_error_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	static const char text[] = "an error that nobody has read yet is pending on it, which is not carried; "
				   "read it first";
	struct pollfd p = { v->dup, 0, 0 };
	struct sockaddr_storage remote;
	struct question *q;
	int r;

	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLERR))
		return 0;
	/* With IP_RECVERR there is a queue of errors, whose messages are not ours to repeat. */
	if (sock_int(v->dup, SOL_IP, IP_RECVERR, 0) > 0 ||
	    sock_int(v->dup, SOL_IPV6, IPV6_RECVERR, 0) > 0 || inet_remote(v->dup, &remote) < 0) {
		dump_refuse_fd(d, v, text);
		return 1;
	}
	if (d->preflight)
		return 0;
	q = mmap(NULL, sizeof(*q), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (q == MAP_FAILED)
		return error_errno(err, -errno, "its error");
	*q = (struct question){ .fd = v->dup, .netns = d->netns };
	r = unix_inside(d, ask, q, err);
	if (r == 0 && q->result < 0) {
		dump_refuse_fd(d, v, text);
		r = 1;
	} else if (r == 0 && q->error) {
		node_put_i64(n, "error", q->error);
	}
	munmap(q, sizeof(*q));
	return r;
}

int udp_error_restore(const struct node *n, int fd, struct ct_error *err)
{
	int e;

	if (!node_has(n, "error"))
		return 0;
	e = raise_error(fd, (int)node_i64(n, "error", 1, 4095));
	return e < 0 ? error_errno(err, e, "its pending error") : 0;
}
