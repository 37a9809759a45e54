/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error that waits on a connected UDP socket: an ICMP message said that a datagram did not
 * arrive ("connection refused"), and the next call will tell. SO_ERROR reads it and takes it away,
 * so the message is sent once more, by ourselves over the loopback link of the pod: in a dump at
 * once by the same child that has asked, in a restore to the new socket. With IP_RECVERR the messages are in a queue, which
 * is read from the kernel's memory.
 */
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/base/clock.h"
#include "libct/kind/udp.h"
#include "libct/kind/unix.h"
#include "netns/icmp.h"
#include "netns/tcp-held.h"

#define ARRIVAL_MS 10000
#define REPORTS_MAX 16
#define DATA_MAX 2048

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

/* ---- the queue of messages (man 7 ip, IP_RECVERR), from the kernel's memory ---- */

struct reports {
	struct dump *d;
	int fd, family, last; /* error */
	size_t n;
	bool other; /* one that cannot be said again */
	struct node *array; /* NULL: only counted */
};

/* "Destination unreachable", "time exceeded"; those about the size of packets change more than a queue. */
static bool can_repeat(const struct icmp_report *r)
{
	if (r->from.ss_family == AF_INET6)
		return r->type == ICMP6_DST_UNREACH || r->type == ICMP6_TIME_EXCEEDED;
	return (r->type == ICMP_DEST_UNREACH && r->code != ICMP_FRAG_NEEDED) || r->type == ICMP_TIME_EXCEEDED;
}

static int put_report(void *context, const struct told *told, struct ct_error *err)
{
	struct reports *to = context;
	struct told t = *told;
	struct node *n;

	to->n++;
	to->last = told->error;
	to->other |= !can_repeat(&told->report);
	if (!to->array || to->n > REPORTS_MAX)
		return 0;
	inet_to_family(to->family, &t.report.from);
	inet_to_family(to->family, &t.local);
	inet_to_family(to->family, &t.remote);
	n = node_put_object(to->array, NULL);
	node_put_u64(n, "type", t.report.type);
	node_put_u64(n, "code", t.report.code);
	inet_address_put(to->d, to->fd, n, "from", &t.report.from);
	inet_address_put(to->d, to->fd, n, "local", &t.local);
	inet_address_put(to->d, to->fd, n, "remote", &t.remote);
	node_put_blob(n, "data", t.data, t.len);
	return 0;
}

/* Does more than one socket have its port, or may it? Then a message could find another. */
static bool is_shared(int fd)
{
	struct sockaddr_storage remote;

	return inet_remote(fd, &remote) < 0 &&
	       (sock_int(fd, SOL_SOCKET, SO_REUSEADDR, 0) || sock_int(fd, SOL_SOCKET, SO_REUSEPORT, 0));
}

/* 1: refused, 2: it has them, and nothing else. */
static int dump_reports(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct reports to = { .d = d, .fd = v->dup, .family = sock_is(v, AF_INET) ? AF_INET : AF_INET6 };
	struct pollfd p = { v->dup, POLLIN, 0 };
	struct ct_error words = { 0 };
	struct tcp_pending pending = { 0 };
	struct kernel *kernel;
	int r = pod_kernel(d->pod, &kernel, &words);

	poll(&p, 1, 0);
	if (!d->preflight)
		to.array = node_put_array(n, "reports");
	if (r == 0)
		r = tcp_pending_each(kernel, v->dup, &pending, put_report, &to, &words);
	if (r < 0 && r != -EOPNOTSUPP && r != -EAGAIN)
		return error_set(err, r, "%s", words.text);
	if (r < 0 || p.revents & POLLIN || pending.foreign || to.other || !to.n || to.n > REPORTS_MAX || is_shared(v->dup) ||
	    (pending.error && pending.error != to.last)) {
		dump_refuse_fd(d, v, "messages that nobody has read yet are in its error queue (MSG_ERRQUEUE), which are not "
				     "carried; read them first");
		dump_passing(d);
		return 1;
	}
	if (pending.error)
		node_put_i64(n, "error", pending.error);
	return 2;
}

static int restore_report(struct restore *r, const struct node *n, int family, int fd, struct ct_error *err)
{
	uint8_t head[sizeof(struct udphdr) + DATA_MAX] = { 0 };
	struct udphdr *udp = (struct udphdr *)head;
	const unsigned int before = sock_queued(fd);
	int64_t until = monotonic_ms() + ARRIVAL_MS;
	struct sockaddr_storage own, local, remote;
	struct icmp_report report = { 0 };
	const void *data;
	size_t len;
	int e = inet_address_get(r, fd, family, n, "from", &report.from, err);

	if (e == 0)
		e = inet_address_get(r, fd, family, n, "local", &local, err);
	if (e == 0)
		e = inet_address_get(r, fd, family, n, "remote", &remote, err);
	report.type = (uint8_t)node_u64(n, "type", UINT8_MAX);
	report.code = (uint8_t)node_u64(n, "code", UINT8_MAX);
	data = node_blob(n, "data", &len);
	if (len > DATA_MAX)
		node_complain(n, "a message of %zu bytes", len);
	if (e == 0)
		e = doc_check(r->doc, err);
	if (e == 0 && (e = inet_local(fd, &own)) < 0)
		error_errno(err, e, "getsockname");
	if (e < 0)
		return e;
	memcpy(udp + 1, data, len);
	*udp = (struct udphdr){ .source = inet_port(&own), .dest = inet_port(&remote),
				.len = htons((uint16_t)(sizeof(*udp) + len)) };
	e = icmp_report_send(&report, &local, &remote, IPPROTO_UDP, head, sizeof(*udp) + len);
	if (e < 0)
		return error_errno(err, e, "send a report to ourselves");
	while (sock_queued(fd) <= before) {
		if (monotonic_ms() > until)
			return error_set(err, -ETIMEDOUT, "a message does not come to its error queue");
		sched_yield();
	}
	return 0;
}

static int restore_reports(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	const struct node *array = node_array(n, "reports");
	int family = (int)node_i64(n, "family", AF_INET, AF_INET6), e = doc_check(r->doc, err);

	if (node_count(array) > REPORTS_MAX)
		node_complain(n, "%zu messages in an error queue", node_count(array));
	if (e == 0)
		e = doc_check(r->doc, err);
	for (size_t i = 0; e == 0 && i < node_count(array); i++)
		e = restore_report(r, node_at(array, i), family, fd, err);
	/* Who has been told has taken it. */
	if (e == 0 && (!node_has(n, "error") || !node_i64(n, "error", 1, 4095)))
		sock_int(fd, SOL_SOCKET, SO_ERROR, 0);
	return e;
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
	if (sock_int(v->dup, SOL_IP, IP_RECVERR, 0) > 0 || sock_int(v->dup, SOL_IPV6, IPV6_RECVERR, 0) > 0)
		return dump_reports(d, v, n, err);
	if (inet_remote(v->dup, &remote) < 0) {
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

int udp_error_restore(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	int e;

	if (node_has(n, "reports"))
		return restore_reports(r, n, fd, err);
	if (!node_has(n, "error"))
		return 0;
	e = raise_error(fd, (int)node_i64(n, "error", 1, 4095));
	return e < 0 ? error_errno(err, e, "its pending error") : 0;
}
