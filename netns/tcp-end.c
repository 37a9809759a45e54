/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are over, and errors that nobody has been told yet. The kernel is led to each as it was the first time: by a reset
 * of the peer's, by its silence, by messages of ICMP. Where the connection led to nobody can tell any more; here it is a port
 * of our own address.
 */
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "netns/raw.h"
#include "netns/tcp-impl.h"

#define SOFT_TIMES 3 /* nothing tells that one has come */
#define RTO_MIN_US 8000 /* two ticks of the slowest clock that is usual */
#define CLOCK (1u << 20) /* any; it counts milliseconds */
#define FIRST 1

static bool is_six(const struct tcp_connection *c)
{
	/* A socket of IPv6 without an address: whoever reported was of the family that counts. */
	return c->reported ? c->report.from.ss_family == AF_INET6 && icmp_is_six(&c->report.from, &c->report.from)
			   : icmp_is_six(&c->local, c->state == TCP_STATE_CLOSED ? &c->local : &c->remote);
}

static bool is_reported(int error, const struct tcp_connection *c)
{
	struct icmp_report report;

	return icmp_report_of(error, is_six(c), &report);
}

bool tcp_can_restore_error(const struct tcp_connection *c)
{
	if (c->state == TCP_STATE_SYN_SENT)
		return !c->error && !c->reported;
	if (c->state != TCP_STATE_CLOSED)
		return !c->reported && (!c->error || is_reported(c->error, c)) &&
		       (!c->soft_error || is_reported(c->soft_error, c));
	if (c->opening && c->reported)
		return !c->soft_error;
	if (c->reported || (c->soft_error && (c->opening || !is_reported(c->soft_error, c))))
		return false;
	if (c->soft_error)
		return !c->error || c->error == c->soft_error;
	if (!c->error || c->error == ETIMEDOUT)
		return true;
	if (c->opening)
		return c->error == ECONNREFUSED || (is_six(c) && is_reported(c->error, c));
	return c->error == ECONNRESET || c->error == EPIPE;
}

/* ---- messages ---- */

static int send_report(const struct tcp_connection *c, const struct icmp_report *report, uint32_t seq,
		       struct ct_error *err)
{
	const struct {
		uint16_t source, dest;
		uint32_t seq;
	} head = { ((const struct sockaddr_in *)&c->local)->sin_port,
		   ((const struct sockaddr_in *)&c->remote)->sin_port, htonl(seq) };
	int r = icmp_report_send(report, &c->local, &c->remote, IPPROTO_TCP, &head, sizeof(head));

	return r < 0 ? error_errno(err, r, "send a report to ourselves") : 0;
}

/* Until it has an error to tell. `report`: said again and again; or NULL. */
static int await_error(int fd, const struct tcp_connection *c, const struct icmp_report *report, uint32_t seq,
		       struct ct_error *err)
{
	struct pollfd p = { .fd = fd };
	int64_t until = monotonic_ms() + TCP_ARRIVAL_MS;
	int r;

	while (monotonic_ms() < until) {
		r = report ? send_report(c, report, seq, err) : 0;
		if (r < 0)
			return r;
		if (poll(&p, 1, TCP_AGAIN_MS) > 0 && p.revents & POLLERR)
			return 0;
	}
	return error_set(err, -ETIMEDOUT, "it does not come to its error %d", c->error);
}

static int no_report(int error, struct ct_error *err)
{
	return error_set(err, -EINVAL, "no packet brings the error %d", error);
}

int tcp_raise_error(int fd, const struct tcp_connection *c, struct ct_error *err)
{
	const int level = is_six(c) ? IPPROTO_IPV6 : IPPROTO_IP, option = is_six(c) ? IPV6_RECVERR : IP_RECVERR;
	struct icmp_report report;
	int was = 0, r;
	socklen_t len = sizeof(was);

	if (!icmp_report_of(c->error, is_six(c), &report))
		return no_report(c->error, err);
	/* Without, it were a soft one. */
	if (sock_get(fd, level, option, &was, &len) < 0 ||
	    (!was && setsockopt(fd, level, option, &(int){ 1 }, sizeof(int)) < 0))
		return error_errno(err, -errno, "IP_RECVERR");
	r = await_error(fd, c, &report, c->snd_una, err);
	if (r == 0 && !was && setsockopt(fd, level, option, &was, sizeof(was)) < 0)
		r = error_errno(err, -errno, "IP_RECVERR");
	return r;
}

int tcp_raise_soft_error(const struct tcp_connection *c, struct ct_error *err)
{
	struct icmp_report report;
	int r = icmp_report_of(c->soft_error, is_six(c), &report) ? 0 : no_report(c->soft_error, err);

	for (int i = 0; r == 0 && i < SOFT_TIMES; i++)
		r = send_report(c, &report, c->snd_una, err);
	return r;
}

/* Who has been told of an error has taken it. */
static int take_error(int fd, struct ct_error *err)
{
	int error;
	socklen_t len = sizeof(error);

	return sock_get(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? error_errno(err, -errno, "SO_ERROR") : 0;
}

/* ---- silence ---- */

/* Options that bring the end near, and what they were. */
struct haste {
	int user_timeout, rto_min, syn_count;
	bool has_rto_min;
};

static int hurry(int fd, struct haste *h, struct ct_error *err)
{
	if (tcp_get(fd, TCP_USER_TIMEOUT, &h->user_timeout, sizeof(int)) < 0 ||
	    tcp_get(fd, TCP_SYNCNT, &h->syn_count, sizeof(int)) < 0 ||
	    tcp_set_int(fd, TCP_USER_TIMEOUT, 1) < 0 || tcp_set_int(fd, TCP_SYNCNT, 1) < 0)
		return error_errno(err, -errno, "TCP_USER_TIMEOUT");
	h->has_rto_min = tcp_get(fd, TCP_RTO_MIN_US, &h->rto_min, sizeof(int)) == 0 &&
			 tcp_set_int(fd, TCP_RTO_MIN_US, RTO_MIN_US) == 0;
	return 0;
}

static int slow_down(int fd, const struct haste *h, struct ct_error *err)
{
	if (tcp_set_int(fd, TCP_USER_TIMEOUT, h->user_timeout) < 0 || tcp_set_int(fd, TCP_SYNCNT, h->syn_count) < 0 ||
	    (h->has_rto_min && tcp_set_int(fd, TCP_RTO_MIN_US, h->rto_min) < 0))
		return error_errno(err, -errno, "TCP_USER_TIMEOUT");
	return 0;
}

/* A byte is sent, and sent again, and nobody has heard it. What was reported of it meanwhile is the reason. */
static int end_by_silence(int fd, const struct tcp_connection *c, uint32_t seq, struct ct_error *err)
{
	const struct tcp_window window = { .snd_wl1 = seq - 1, .snd_wnd = TCP_ROOM, .max_window = TCP_ROOM,
					   .rcv_wnd = TCP_ROOM, .rcv_wup = seq };
	const uint32_t spare = c->snd_una - 1;
	struct tcp_connection mine = *c;
	int r = 0;

	mine.snd_una = spare;
	if (c->ended)
		r = tcp_become(fd, c, seq, spare, TCP_FLAG_BYTE_ACK | TCP_FLAG_BYTE_FIN, TCP_STATE_CLOSE_WAIT, err);
	if (r == 0)
		r = tcp_set_window(fd, &window, err);
	if (r == 0 && c->soft_error)
		r = tcp_raise_soft_error(&mine, err);
	return r < 0 ? r : await_error(fd, c, NULL, 0, err);
}

static int restore_silenced(int fd, struct tcp_connection *c, uint32_t seq, struct ct_error *err)
{
	const uint32_t snd = c->snd_una - 2;
	struct haste haste;
	int r = hurry(fd, &haste, err);

	/* Of a round trip that is known, as tcp_learn_round_trip() makes one known, the timeout is short. */
	c->timestamps = true;
	c->timestamp = CLOCK;
	c->round_trip = 1;
	if (r == 0)
		r = tcp_make(fd, c, snd, seq - (uint32_t)c->received_len, err);
	if (r == 0)
		r = tcp_fill_received(fd, c, snd, seq, err);
	if (r == 0)
		r = tcp_learn_round_trip(fd, c, snd, seq, err);
	if (r == 0)
		r = tcp_put_spare(fd, err);
	if (r == 0)
		r = end_by_silence(fd, c, seq, err);
	if (r == 0 && !c->error)
		r = take_error(fd, err);
	return r < 0 ? r : slow_down(fd, &haste, err);
}

/* ---- FIN and reset ---- */

static int end_by_packets(int fd, const struct tcp_connection *c, uint32_t seq, struct ct_error *err)
{
	const uint8_t ack = TCP_FLAG_BYTE_ACK, fin = ack | TCP_FLAG_BYTE_FIN, rst = ack | TCP_FLAG_BYTE_RST;
	bool ended = c->ended || c->error != ECONNRESET;
	int r = ended ? tcp_become(fd, c, seq++, c->snd_una, fin, TCP_STATE_CLOSE_WAIT, err) : 0;

	/* A reset before our own FIN is a broken pipe. */
	if (r == 0 && ended && c->error != EPIPE)
		r = tcp_end_ours(fd, c, err);
	if (r < 0)
		return r;
	return tcp_become(fd, c, seq, c->snd_una + !c->error, c->error ? rst : ack, TCP_STATE_CLOSED, err);
}

/* ---- one that was being opened ---- */

static int end_opening(int fd, struct tcp_connection *c, struct ct_error *err)
{
	const struct tcp_segment rst = { .ack = c->snd_una + 1, .flags = TCP_FLAG_BYTE_ACK | TCP_FLAG_BYTE_RST };
	const struct tcp_effect over = { TCP_BECOMES, TCP_STATE_CLOSED };
	struct icmp_report report = c->report;

	if (c->error == ETIMEDOUT && !c->reported)
		return await_error(fd, c, NULL, 0, err);
	if (!c->reported && (!c->error || c->error == ECONNREFUSED))
		return tcp_tell(fd, c, &rst, &over, err);
	if (!c->reported && !icmp_report_of(c->error, is_six(c), &report))
		return no_report(c->error, err);
	return await_error(fd, c, &report, c->snd_una, err);
}

/* To port 0, where nobody can be. */
static int restore_opening(int fd, struct tcp_connection *c, struct ct_error *err)
{
	bool silenced = c->error == ETIMEDOUT && !c->reported;
	socklen_t len = sizeof(c->local);
	struct haste haste;
	int r = silenced ? hurry(fd, &haste, err) : 0;

	((struct sockaddr_in *)&c->remote)->sin_port = 0;
	c->snd_una = FIRST; /* the kernel takes another one for 0 */
	if (r == 0)
		r = tcp_open_again(fd, c, err);
	if (r == 0 && getsockname(fd, (struct sockaddr *)&c->local, &len) < 0)
		r = error_errno(err, -errno, "getsockname");
	if (r == 0)
		r = end_opening(fd, c, err);
	if (r == 0 && !c->error)
		r = take_error(fd, err);
	return r == 0 && silenced ? slow_down(fd, &haste, err) : r;
}

/* Our own address; where it is none, one of the family that the connection had. */
static void find_remote(struct tcp_connection *c)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&c->remote;
	struct sockaddr_in *four = (struct sockaddr_in *)&c->remote;
	static const uint8_t mapped[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };

	c->remote = c->local;
	four->sin_port ^= htons(1);
	if (c->local.ss_family == AF_INET && !four->sin_addr.s_addr)
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (c->local.ss_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr))
		return;
	if (is_six(c))
		six->sin6_addr = in6addr_loopback;
	else
		memcpy(&six->sin6_addr, mapped, sizeof(mapped));
}

int tcp_restore_closed(int fd, const struct tcp_connection *c, struct ct_error *err)
{
	const uint32_t seq = c->rcv_nxt;
	struct tcp_connection mine = *c;
	int r;

	find_remote(&mine);
	mine.max_segment = TCP_MSS_DEFAULT;
	mine.sack = true; /* by which it is seen that it was open once */
	if (c->opening)
		return restore_opening(fd, &mine, err);
	if (c->soft_error || c->error == ETIMEDOUT)
		return restore_silenced(fd, &mine, seq, err);
	r = tcp_make(fd, &mine, c->snd_una, seq - (uint32_t)c->received_len, err);
	if (r == 0)
		r = tcp_fill_received(fd, &mine, c->snd_una, seq, err);
	return r < 0 ? r : end_by_packets(fd, &mine, seq, err);
}
