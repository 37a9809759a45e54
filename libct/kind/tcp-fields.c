/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP connection in the manifest, whether a descriptor leads to it or not. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "libct/kind/tcp.h"

#define ROUND_TRIP_MAX 60000000 /* us */

static struct node *put_queue(struct node *n, const char *key, uint32_t sequence, const void *data,
			      size_t len)
{
	struct node *to = node_put_object(n, key);

	node_put_u64(to, "sequence", sequence);
	if (len)
		node_put_blob(to, "queue", data, len);
	return to;
}

static void put_received(struct node *n, const struct tcp_connection *c)
{
	struct node *to = put_queue(n, "receive", c->rcv_nxt, c->received, c->received_len);

	if (c->urgent)
		node_put_u64(to, "urgent", c->urgent_at);
	if (c->urgent_read)
		node_put_bool(to, "urgent_read", true);
}

/* What goes on by itself: segments that are sent again announce the window anew. */
static void put_volatile(const struct tcp_connection *c, bool held, struct node *to)
{
	node_put_u64(to, "timestamp", c->timestamp);
	if (held) {
		node_put_u64(to, "peer_timestamp", c->peer_timestamp);
		/* Where the clock of another host is behind, they are given up: tcp_enqueue(). */
		node_put_bool(to, "timestamps", c->timestamps);
	}
	if (c->round_trip)
		node_put_u64(to, "round_trip", c->round_trip);
	/* The peer's next word makes it forget. */
	if (c->soft_error)
		node_put_i64(to, "soft_error", c->soft_error);
	node_put_u64(to, "receive_window", c->window.rcv_wnd);
	/* Of those that only wait for the peer the kernel has forgotten the rest. There may be thousands. */
	if (!c->max_segment)
		return;
	node_put_u64(to, "send_window_from", c->window.snd_wl1);
	node_put_u64(to, "send_window", c->window.snd_wnd);
	node_put_u64(to, "send_window_max", c->window.max_window);
	node_put_u64(to, "receive_window_from", c->window.rcv_wup);
}

static void put_agreed(const struct tcp_connection *c, bool held, struct node *n)
{
	if (c->max_segment)
		node_put_u64(n, "max_segment", c->max_segment);
	if (!held)
		node_put_bool(n, "timestamps", c->timestamps);
	node_put_bool(n, "sack", c->sack);
	if (!c->scaling)
		return;
	node_put_u64(n, "send_scale", c->snd_scale);
	node_put_u64(n, "receive_scale", c->rcv_scale);
}

struct node *tcp_connection_put(const struct dump *d, int fd, const struct tcp_connection *c, bool held,
				struct node *n)
{
	struct node *send = NULL;

	node_put_str(n, "state", tcp_state_name(c->state));
	if (c->reset)
		node_put_bool(n, "reset", true);
	if (!inet_any(&c->local))
		inet_address_put(d, fd, n, "local", &c->local);
	if (c->state != TCP_STATE_CLOSED) {
		inet_address_put(d, fd, n, "remote", &c->remote);
		send = put_queue(n, "send", c->snd_una, c->sent, c->sent_len);
		if (c->sent_urgent)
			node_put_u64(send, "urgent", c->sent_urgent - 1);
	}
	if (c->state != TCP_STATE_SYN_SENT)
		put_received(n, c);
	if (c->state == TCP_STATE_SYN_SENT || c->state == TCP_STATE_CLOSED)
		return send;
	put_agreed(c, held, n);
	put_volatile(c, held, node_put_object(n, "volatile"));
	return send;
}

static void get_queue(const struct node *n, const char *key, uint32_t *ret_sequence, void **ret,
		      size_t *ret_len)
{
	const struct node *from = node_object(n, key);

	*ret_sequence = (uint32_t)node_u64(from, "sequence", UINT32_MAX);
	/* Borrowed from the document. */
	if (node_has(from, "queue"))
		*ret = (void *)node_blob(from, "queue", ret_len);
}

static void get_agreed(const struct node *n, bool passive, struct tcp_connection *c)
{
	const struct node *v = node_object(n, "volatile");

	if (!passive || node_has(n, "max_segment")) {
		c->max_segment = (uint32_t)node_u64(n, "max_segment", UINT16_MAX);
		if (c->max_segment < 48)
			node_complain(n, "a maximum segment size of %u", c->max_segment);
	}
	c->timestamps = node_bool(node_has(v, "timestamps") ? v : n, "timestamps");
	c->sack = node_bool(n, "sack");
	c->scaling = node_has(n, "send_scale");
	if (c->scaling) {
		c->snd_scale = (uint8_t)node_u64(n, "send_scale", 14);
		c->rcv_scale = (uint8_t)node_u64(n, "receive_scale", 14);
	}
	c->timestamp = (uint32_t)node_u64(v, "timestamp", UINT32_MAX);
	if (node_has(v, "peer_timestamp"))
		c->peer_timestamp = (uint32_t)node_u64(v, "peer_timestamp", UINT32_MAX);
	if (node_has(v, "round_trip"))
		c->round_trip = (uint32_t)node_u64(v, "round_trip", UINT32_MAX);
	/* Longer than any: of a connection that lost packets all the time. */
	if (c->round_trip > ROUND_TRIP_MAX)
		c->round_trip = ROUND_TRIP_MAX;
	c->window.rcv_wnd = (uint32_t)node_u64(v, "receive_window", UINT32_MAX);
	if (!c->max_segment)
		return;
	c->window.snd_wl1 = (uint32_t)node_u64(v, "send_window_from", UINT32_MAX);
	c->window.snd_wnd = (uint32_t)node_u64(v, "send_window", UINT32_MAX);
	c->window.max_window = (uint32_t)node_u64(v, "send_window_max", UINT32_MAX);
	c->window.rcv_wup = (uint32_t)node_u64(v, "receive_window_from", UINT32_MAX);
}

static void get_received(const struct node *n, struct tcp_connection *c)
{
	const struct node *from = node_object(n, "receive");

	get_queue(n, "receive", &c->rcv_nxt, &c->received, &c->received_len);
	c->urgent = node_has(from, "urgent");
	if (!c->urgent)
		return;
	if (!c->received_len)
		node_complain(from, "an urgent byte in an empty queue");
	else
		c->urgent_at = (size_t)node_u64(from, "urgent", c->received_len - 1);
	c->urgent_read = node_has(from, "urgent_read") && node_bool(from, "urgent_read");
}

/* Of images that do not say, everything had been sent. */
static size_t get_unsent(const struct node *n, const struct tcp_connection *c)
{
	bool fin = tcp_fin_sent(c->state) && c->state != TCP_STATE_FIN_WAIT_2;
	const struct node *from = node_object(n, "send");

	if (!node_has(from, "unsent") || c->state == TCP_STATE_FIN_WAIT_2)
		return 0;
	return (size_t)node_u64(from, "unsent", c->sent_len + fin);
}

static size_t get_sent_urgent(const struct node *n, const struct tcp_connection *c)
{
	const struct node *from = node_object(n, "send");

	if (!node_has(from, "urgent"))
		return 0;
	if (!c->sent_len)
		return node_complain(from, "an urgent byte in an empty queue"), 0;
	return (size_t)node_u64(from, "urgent", c->sent_len - 1) + 1;
}

void tcp_error_put(const struct dump *d, int fd, const struct tcp_connection *c, struct node *n)
{
	struct node *report;

	if (c->error)
		node_put_i64(n, "error", c->error);
	if (c->soft_error)
		node_put_i64(n, "soft_error", c->soft_error);
	if (c->ended)
		node_put_bool(n, "ended", true);
	if (c->opening)
		node_put_bool(n, "opening", true);
	if (!c->reported)
		return;
	report = node_put_object(n, "report");
	node_put_u64(report, "type", c->report.type);
	node_put_u64(report, "code", c->report.code);
	inet_address_put(d, fd, report, "from", &c->report.from);
}

static bool get_bool(const struct node *n, const char *key)
{
	return node_has(n, key) && node_bool(n, key);
}

static int get_error_number(const struct node *n, const char *key)
{
	return node_has(n, key) ? (int)node_i64(n, key, 1, 4095) : 0;
}

static int get_error(struct restore *r, const struct node *n, int fd, int family, struct tcp_connection *c,
		     struct ct_error *err)
{
	bool closed = c->state == TCP_STATE_CLOSED;
	int e = 0;

	c->error = get_error_number(n, "error");
	c->soft_error = get_error_number(closed || !node_has(n, "volatile") ? n : node_object(n, "volatile"), "soft_error");
	c->ended = closed && get_bool(n, "ended");
	c->opening = closed && get_bool(n, "opening");
	c->reported = node_has(n, "report");
	if (c->reported) {
		const struct node *report = node_object(n, "report");

		c->report.type = (uint8_t)node_u64(report, "type", UINT8_MAX);
		c->report.code = (uint8_t)node_u64(report, "code", UINT8_MAX);
		e = inet_address_get(r, fd, family, report, "from", &c->report.from, err);
	}
	if (e == 0 && !tcp_can_restore_error(c))
		node_complain(n, "an error %d (%d) of a connection that is %s", c->error, c->soft_error,
			      tcp_state_name(c->state));
	return e;
}

int tcp_connection_get(struct restore *r, const struct node *n, int fd, unsigned int states,
		       struct tcp_connection *c, struct ct_error *err)
{
	int family = (int)node_i64(n, "family", AF_INET, AF_INET6), e = 0;
	int state = tcp_state_by_name(node_str(n, "state"));

	*c = (struct tcp_connection){ 0 };
	c->reset = states & 1u << TCP_STATE_SYN_RECEIVED && get_bool(n, "reset");
	if (state < 0 || !(states & 1u << state) || (c->reset && state == TCP_STATE_SYN_RECEIVED))
		node_complain(n, "a connection that is '%s'", node_str(n, "state"));
	c->state = (enum tcp_state)state;
	if (state != TCP_STATE_CLOSED || node_has(n, "local"))
		e = inet_address_get(r, fd, family, n, "local", &c->local, err);
	else
		c->local.ss_family = (sa_family_t)family;
	if (e == 0 && state != TCP_STATE_CLOSED) {
		e = inet_address_get(r, fd, family, n, "remote", &c->remote, err);
		get_queue(n, "send", &c->snd_una, &c->sent, &c->sent_len);
		c->unsent = get_unsent(n, c);
		c->sent_urgent = get_sent_urgent(n, c);
	}
	if (state != TCP_STATE_SYN_SENT)
		get_received(n, c);
	if (e == 0)
		e = get_error(r, n, fd, family, c, err);
	if (state != TCP_STATE_SYN_SENT && state != TCP_STATE_CLOSED)
		get_agreed(n, states & 1u << TCP_STATE_TIME_WAIT, c);
	return e < 0 ? e : doc_check(r->doc, err);
}

bool tcp_leads_outside(const struct node *n)
{
	const struct node *local = node_object(n, "local"), *remote;
	const char *ip;

	if (!node_has(n, "remote"))
		return false;
	remote = node_object(n, "remote");
	if (node_has(remote, "own") || node_has(remote, "own6"))
		return false;
	ip = node_str(remote, "ip");
	if (node_has(local, "ip") && !strcmp(ip, node_str(local, "ip")))
		return false;
	return strncmp(ip, "127.", 4) && strcmp(ip, "::1") && strncmp(ip, "::ffff:127.", 11);
}
