/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/tcp-held.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libct/base/cleanup.h"
#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "libct/base/kernel.h"
#include "netns/skb.h"
#include "netns/tcp-kept.h"

#define URGENT_STATES 0xff00 /* of urg_data, above the byte: net/tcp.h */
#define URGENT_HERE 0x0100
#define STATE_NEW_SYN_RECEIVED 12 /* net/tcp_states.h: a request, which is no socket yet */
#define OBJECT_MAX 8192
#define QUEUE_MAX (1u << 30)
#define LIST_MAX 10000000 /* of a list that somebody changes under us */
#define DEPTH_MAX 128

/* The fields that are read; of those marked with ? not every kernel has one. */
#define FIELDS(X)                                                                                  \
	X(family, "sock_common.skc_family")                                                        \
	X(state, "sock_common.skc_state")                                                          \
	X(local_port, "sock_common.skc_num")                                                       \
	X(remote_port, "sock_common.skc_dport")                                                    \
	X(local, "sock_common.skc_rcv_saddr")                                                      \
	X(remote, "sock_common.skc_daddr")                                                         \
	X(local6, "sock_common.skc_v6_rcv_saddr")                                                  \
	X(remote6, "sock_common.skc_v6_daddr")                                                     \
	X(bound_link, "sock_common.skc_bound_dev_if")                                              \
	X(cookie, "sock_common.skc_cookie")                                                        \
	X(socket, "sock.sk_socket")                                                                \
	X(flags, "sock_common.skc_flags")                                                          \
	X(error, "sock.sk_err")                                                                    \
	X(soft_error, "sock.sk_err_soft")                                                          \
	X(receive_queue, "sock.sk_receive_queue")                                                  \
	X(write_queue, "sock.sk_write_queue")                                                      \
	X(sent_queue, "sock.tcp_rtx_queue")                                                        \
	X(accept_queue, "inet_connection_sock.icsk_accept_queue.rskq_accept_head")                 \
	X(request_next, "request_sock.dl_next")                                                    \
	X(request_sock, "request_sock.sk")                                                         \
	X(request_listener, "sock_common.skc_listener")                                            \
	X(request_mss, "request_sock.mss")                                                         \
	X(request_recent, "request_sock.ts_recent")                                                \
	X(request_snd_scale, "inet_request_sock.snd_wscale")                                       \
	X(request_rcv_scale, "inet_request_sock.rcv_wscale")                                       \
	X(request_timestamps, "inet_request_sock.tstamp_ok")                                       \
	X(request_sack, "inet_request_sock.sack_ok")                                               \
	X(request_scaling, "inet_request_sock.wscale_ok")                                          \
	X(request_isn, "tcp_request_sock.snt_isn")                                                 \
	X(request_rcv_nxt, "tcp_request_sock.rcv_nxt")                                             \
	X(request_clock, "tcp_request_sock.ts_off")                                                \
	X(wait_snd_nxt, "sock_common.skc_tw_snd_nxt")                                            \
	X(wait_rcv_nxt, "sock_common.skc_tw_rcv_nxt")                                            \
	X(wait_rcv_wnd, "tcp_timewait_sock.tw_rcv_wnd")                                            \
	X(wait_clock, "tcp_timewait_sock.tw_ts_offset")                                            \
	X(wait_recent, "tcp_timewait_sock.tw_ts_recent")                                           \
	X(wait_recent_at, "tcp_timewait_sock.tw_ts_recent_stamp")                                  \
	X(wait_state, "inet_timewait_sock.tw_substate")                                            \
	X(wait_rcv_scale, "inet_timewait_sock.tw_rcv_wscale")                                      \
	X(snd_una, "tcp_sock.snd_una")                                                             \
	X(snd_up, "tcp_sock.snd_up")                                                               \
	X(snd_nxt, "tcp_sock.snd_nxt")                                                             \
	X(write_seq, "tcp_sock.write_seq")                                                         \
	X(snd_wl1, "tcp_sock.snd_wl1")                                                             \
	X(snd_wnd, "tcp_sock.snd_wnd")                                                             \
	X(max_window, "tcp_sock.max_window")                                                       \
	X(rcv_nxt, "tcp_sock.rcv_nxt")                                                             \
	X(copied_seq, "tcp_sock.copied_seq")                                                       \
	X(rcv_wnd, "tcp_sock.rcv_wnd")                                                             \
	X(rcv_wup, "tcp_sock.rcv_wup")                                                             \
	X(clock, "tcp_sock.tsoffset")                                                              \
	X(round_trip, "tcp_sock.srtt_us")                                                          \
	X(urgent, "tcp_sock.urg_data")                                                             \
	X(urgent_at, "tcp_sock.urg_seq")                                                           \
	X(recent, "tcp_sock.rx_opt.ts_recent")                                                     \
	X(timestamps, "tcp_sock.rx_opt.tstamp_ok")                                                 \
	X(sack, "tcp_sock.rx_opt.sack_ok")                                                         \
	X(scaling, "tcp_sock.rx_opt.wscale_ok")                                                    \
	X(snd_scale, "tcp_sock.rx_opt.snd_wscale")                                                 \
	X(rcv_scale, "tcp_sock.rx_opt.rcv_wscale")                                                 \
	X(mss, "tcp_sock.rx_opt.mss_clamp")                                                        \
	X(skb_node, "sk_buff.rbnode")                                                              \
	X(node_left, "rb_node.rb_left")                                                            \
	X(node_right, "rb_node.rb_right")                                                          \
	X(segment_seq, "tcp_skb_cb.seq")                                                           \
	X(micro, "?tcp_sock.tcp_usec_ts")                                                          \
	X(request_micro, "?tcp_request_sock.req_usec_ts")                                          \
	X(wait_micro, "?inet_timewait_sock.tw_usec_ts")

struct reader {
	struct kernel *k;
	struct skb_reader skb;
#define X(name, path) struct kernel_field name;
	FIELDS(X)
#undef X
	size_t sock_size, tcp_size, request_size, wait_size, common_size;
	struct tcp_held *list;
	size_t n, max;
};

static int find_fields(struct reader *w, struct ct_error *err)
{
	const struct kernel_path fields[] = {
#define X(name, path) { &w->name, path },
		FIELDS(X)
#undef X
	};
	const struct {
		const char *name;
		size_t *size;
	} sizes[] = {
		{ "sock_common", &w->common_size }, { "sock", &w->sock_size },
		{ "tcp_sock", &w->tcp_size }, { "tcp_request_sock", &w->request_size },
		{ "tcp_timewait_sock", &w->wait_size },
	};

	int r = kernel_fields(w->k, fields, sizeof(fields) / sizeof(fields[0]), err);

	for (size_t i = 0; r == 0 && i < sizeof(sizes) / sizeof(sizes[0]); i++)
		r = kernel_size(w->k, sizes[i].name, OBJECT_MAX, sizes[i].size, err);
	return r < 0 ? r : skb_reader_init(&w->skb, w->k, err);
}

static int changed(struct ct_error *err)
{
	return kernel_changed(err);
}

static int fetch(struct reader *w, uint64_t address, void *to, size_t len, struct ct_error *err)
{
	return kernel_fetch(w->k, address, to, len, err);
}

static int fetch_pointer(struct reader *w, uint64_t address, uint64_t *ret, struct ct_error *err)
{
	return fetch(w, address, ret, sizeof(*ret), err);
}

static uint32_t get(const void *object, struct kernel_field f)
{
	return (uint32_t)kernel_get(object, f);
}

/* ---- queues ---- */

/* A part of a stream: bytes first, first + 1, ... */
struct part {
	uint32_t first;
	uint8_t *bytes;
	size_t len, found;
};

/* A segment that is being taken. */
struct segment {
	struct reader *w;
	struct part *part;
	uint32_t seq; /* of the next byte */
};

static int take_bytes(void *context, uint64_t address, size_t len, struct ct_error *err)
{
	struct segment *s = context;
	struct part *part = s->part;
	const uint32_t before = part->first - s->seq; /* which are not wanted, where it begins earlier */
	size_t skip = (int32_t)before > 0 ? before : 0, at = skip ? 0 : s->seq - part->first;

	s->seq += (uint32_t)len;
	if (skip >= len)
		return 0;
	len -= skip;
	if (at >= part->len || len > part->len - at)
		return changed(err);
	part->found += len;
	return fetch(s->w, address + skip, part->bytes + at, len, err);
}

static int take_segment(void *context, const uint8_t *skb, struct ct_error *err)
{
	struct segment *s = context;

	s->seq = get(skb + s->w->skb.control.at / 8, s->w->segment_seq);
	return skb_bytes(&s->w->skb, skb, take_bytes, s, err);
}

static int take_list(struct reader *w, uint64_t head, struct part *part, struct ct_error *err)
{
	struct segment s = { w, part, 0 };

	return skb_queue(&w->skb, head, take_segment, &s, err);
}

/* What was sent and not acknowledged is in a tree by number. */
static int take_tree(struct reader *w, uint64_t node, struct part *part, int depth, struct ct_error *err)
{
	while (node) {
		struct segment s = { w, part, 0 };
		uint8_t skb[SKB_MAX];
		int r = depth > DEPTH_MAX ? changed(err)
					  : fetch(w, node - w->skb_node.at / 8, skb, w->skb.size, err);

		if (r == 0)
			r = take_segment(&s, skb, err);
		if (r == 0)
			r = take_tree(w, kernel_get(skb + w->skb_node.at / 8, w->node_left), part, depth + 1, err);
		if (r < 0)
			return r;
		node = kernel_get(skb + w->skb_node.at / 8, w->node_right);
		depth++;
	}
	return 0;
}

static int room_for(struct part *part, uint32_t first, size_t len, struct ct_error *err)
{
	*part = (struct part){ .first = first, .len = len };
	if (len > QUEUE_MAX)
		return changed(err);
	part->bytes = len ? malloc(len) : NULL;
	return len && !part->bytes ? error_errno(err, -ENOMEM, "a queue of %zu bytes", len) : 0;
}

/* All of it was there, and nothing twice. */
static int whole(const struct part *part, struct ct_error *err)
{
	return part->found == part->len ? 0 : changed(err);
}

static int read_sent(struct reader *w, uint64_t address, struct tcp_connection *c, size_t len, struct ct_error *err)
{
	struct part part;
	uint64_t root = 0;
	int r = room_for(&part, c->snd_una, len, err);

	c->sent = part.bytes;
	c->sent_len = len;
	if (r == 0)
		r = fetch_pointer(w, address + w->sent_queue.at / 8, &root, err);
	if (r == 0)
		r = take_tree(w, root, &part, 0, err);
	if (r == 0)
		r = take_list(w, address + w->write_queue.at / 8, &part, err);
	return r < 0 ? r : whole(&part, err);
}

static int read_received(struct reader *w, uint64_t address, struct tcp_connection *c, uint32_t first, size_t len,
			 struct ct_error *err)
{
	struct part part;
	int r = room_for(&part, first, len, err);

	c->received = part.bytes;
	c->received_len = len;
	if (r == 0)
		r = take_list(w, address + w->receive_queue.at / 8, &part, err);
	return r < 0 ? r : whole(&part, err);
}

/* ---- connections ---- */

static void put_address(struct sockaddr_storage *ret, const uint8_t *sk, struct kernel_field v4,
			struct kernel_field v6, uint16_t port, struct reader *w)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	uint32_t four = get(sk, v4);

	*ret = (struct sockaddr_storage){ .ss_family = (sa_family_t)get(sk, w->family) };
	six->sin6_port = port;
	if (ret->ss_family == AF_INET) {
		memcpy(&((struct sockaddr_in *)ret)->sin_addr, &four, sizeof(four));
		return;
	}
	memcpy(&six->sin6_addr, sk + v6.at / 8, sizeof(six->sin6_addr));
	if (IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr))
		six->sin6_scope_id = get(sk, w->bound_link);
}

static void put_addresses(struct reader *w, const uint8_t *sk, struct tcp_connection *c)
{
	put_address(&c->local, sk, w->local, w->local6, htons((uint16_t)get(sk, w->local_port)), w);
	put_address(&c->remote, sk, w->remote, w->remote6, (uint16_t)get(sk, w->remote_port), w);
}

/* As TCP_TIMESTAMP has it: the lowest bit says that it counts microseconds. */
static uint32_t timestamp(uint32_t offset, bool micro)
{
	int64_t now = monotonic_us();

	return micro ? (uint32_t)(now + offset) | 1 : (uint32_t)(now / 1000 + offset) & ~1u;
}

static void put_agreed(struct reader *w, const uint8_t *sk, struct tcp_connection *c)
{
	c->max_segment = get(sk, w->mss);
	c->timestamps = get(sk, w->timestamps);
	c->sack = get(sk, w->sack);
	c->scaling = get(sk, w->scaling);
	c->snd_scale = c->scaling ? (uint8_t)get(sk, w->snd_scale) : 0;
	c->rcv_scale = c->scaling ? (uint8_t)get(sk, w->rcv_scale) : 0;
	c->timestamp = timestamp(get(sk, w->clock), get(sk, w->micro));
	c->peer_timestamp = get(sk, w->recent);
	c->round_trip = get(sk, w->round_trip) >> 3;
	c->window = (struct tcp_window){ get(sk, w->snd_wl1), get(sk, w->snd_wnd), get(sk, w->max_window),
					 get(sk, w->rcv_wnd), get(sk, w->rcv_wup) };
}

/* The numbers that any packet and any timer would change. */
static bool same(struct reader *w, const uint8_t *a, const uint8_t *b)
{
	return get(a, w->state) == get(b, w->state) && get(a, w->snd_una) == get(b, w->snd_una) &&
	       get(a, w->snd_nxt) == get(b, w->snd_nxt) && get(a, w->write_seq) == get(b, w->write_seq) &&
	       get(a, w->rcv_nxt) == get(b, w->rcv_nxt) && get(a, w->copied_seq) == get(b, w->copied_seq);
}

/*
 * What a connection that waits has received. One that the peer has reset is over, and what it was is to be seen by what is
 * left of it.
 */
static int read_waiting(struct reader *w, uint64_t address, const uint8_t *sk, struct tcp_connection *c,
			struct ct_error *err)
{
	const uint32_t urgent = get(sk, w->urgent), first = get(sk, w->copied_seq);
	const int error = (int)get(sk, w->error);
	size_t len;

	c->reset = c->state == TCP_STATE_CLOSED && (error == ECONNRESET || error == EPIPE);
	if (c->reset)
		c->state = kernel_get(sk, w->flags) >> KERNEL_SOCK_DONE & 1 ? TCP_STATE_CLOSE_WAIT : TCP_STATE_ESTABLISHED;
	len = c->rcv_nxt - first - tcp_fin_received(c->state);
	/* One that has not arrived is announced by its own segment, too. */
	c->urgent = (urgent & URGENT_STATES) == URGENT_HERE;
	c->urgent_at = c->urgent ? get(sk, w->urgent_at) - first : 0;
	if (c->urgent && c->urgent_at >= len)
		return changed(err);
	return read_received(w, address, c, first, len, err);
}

/* A whole socket. */
static int read_socket(struct reader *w, uint64_t address, struct tcp_connection *c, bool orphan,
		       struct ct_error *err)
{
	uint8_t sk[OBJECT_MAX], again[OBJECT_MAX];
	uint32_t end;
	size_t fin;
	int r = fetch(w, address, sk, w->tcp_size, err);

	if (r < 0)
		return r;
	put_addresses(w, sk, c);
	c->state = (enum tcp_state)get(sk, w->state);
	fin = tcp_fin_sent(c->state) && c->state != TCP_STATE_FIN_WAIT_2;
	c->snd_una = get(sk, w->snd_una);
	c->rcv_nxt = get(sk, w->rcv_nxt);
	end = get(sk, w->write_seq);
	c->unsent = end - get(sk, w->snd_nxt);
	c->sent_urgent = get(sk, w->snd_up) - c->snd_una;
	put_agreed(w, sk, c);
	if (end - c->snd_una < fin || c->unsent > end - c->snd_una || c->sent_urgent > end - c->snd_una - fin)
		return changed(err);
	r = read_sent(w, address, c, end - c->snd_una - fin, err);
	/* What an orphan is sent nobody will read. */
	if (r == 0 && !orphan)
		r = read_waiting(w, address, sk, c, err);
	if (r == 0)
		r = fetch(w, address, again, w->tcp_size, err);
	return r < 0 ? r : same(w, sk, again) ? 0 : changed(err);
}

static int read_request(struct reader *w, uint64_t address, struct tcp_connection *c, uint64_t *ret_listener,
			struct ct_error *err)
{
	uint8_t request[OBJECT_MAX];
	int r = fetch(w, address, request, w->request_size, err);

	if (r < 0)
		return r;
	put_addresses(w, request, c);
	c->state = TCP_STATE_SYN_RECEIVED;
	c->snd_una = get(request, w->request_isn) + 1;
	c->rcv_nxt = get(request, w->request_rcv_nxt);
	c->max_segment = get(request, w->request_mss);
	c->timestamps = get(request, w->request_timestamps);
	c->sack = get(request, w->request_sack);
	c->scaling = get(request, w->request_scaling);
	c->snd_scale = c->scaling ? (uint8_t)get(request, w->request_snd_scale) : 0;
	c->rcv_scale = c->scaling ? (uint8_t)get(request, w->request_rcv_scale) : 0;
	c->timestamp = timestamp(get(request, w->request_clock), get(request, w->request_micro));
	c->peer_timestamp = get(request, w->request_recent);
	*ret_listener = kernel_get(request, w->request_listener);
	return 0;
}

/* FIN_WAIT_2 after a while, and TIME_WAIT. */
static int read_wait(struct reader *w, uint64_t address, struct tcp_connection *c, struct ct_error *err)
{
	uint8_t wait[OBJECT_MAX];
	int r = fetch(w, address, wait, w->wait_size, err);

	if (r < 0)
		return r;
	put_addresses(w, wait, c);
	c->state = (enum tcp_state)get(wait, w->wait_state);
	c->snd_una = get(wait, w->wait_snd_nxt);
	c->rcv_nxt = get(wait, w->wait_rcv_nxt);
	c->window.rcv_wnd = get(wait, w->wait_rcv_wnd);
	c->window.rcv_wup = c->rcv_nxt;
	c->timestamps = kernel_get(wait, w->wait_recent_at);
	c->timestamp = timestamp(get(wait, w->wait_clock), get(wait, w->wait_micro));
	c->peer_timestamp = get(wait, w->wait_recent);
	c->rcv_scale = (uint8_t)get(wait, w->wait_rcv_scale);
	c->scaling = c->rcv_scale;
	return 0;
}

static struct tcp_held *add(struct reader *w)
{
	if (w->n == w->max) {
		size_t max = w->max ? w->max * 2 : 16;
		struct tcp_held *grown = realloc(w->list, sizeof(*grown) * max);

		if (!grown)
			return NULL;
		w->list = grown;
		w->max = max;
	}
	w->list[w->n] = (struct tcp_held){ 0 };
	return &w->list[w->n++];
}

/* Those that a listening socket has to be accepted, the next one first. */
static int read_accept_queue(struct reader *w, uint64_t listener, struct ct_error *err)
{
	uint64_t request = 0, cookie;
	uint8_t common[OBJECT_MAX];
	int r = fetch_pointer(w, listener + w->accept_queue.at / 8, &request, err);

	if (r == 0)
		r = fetch(w, listener, common, w->common_size, err);
	cookie = kernel_get(common, w->cookie);
	for (uint32_t place = 1; r == 0 && request; place++) {
		uint64_t socket = 0;
		struct tcp_held *held = add(w);

		if (!held)
			return error_errno(err, -ENOMEM, "connections");
		held->place = place;
		held->listener = cookie;
		if (place > LIST_MAX)
			return changed(err);
		r = fetch_pointer(w, request + w->request_sock.at / 8, &socket, err);
		if (r == 0)
			r = read_socket(w, socket, &held->c, false, err);
		/* One that is over has no port any more. */
		((struct sockaddr_in *)&held->c.local)->sin_port = htons((uint16_t)get(common, w->local_port));
		if (r == 0)
			r = fetch_pointer(w, request + w->request_next.at / 8, &request, err);
	}
	return r;
}

static int read_one(struct reader *w, uint64_t address, struct ct_error *err)
{
	uint8_t common[OBJECT_MAX];
	uint64_t socket = 0, listener = 0;
	struct tcp_held *held;
	uint32_t state;
	int r = fetch(w, address, common, w->common_size, err);

	if (r < 0)
		return r;
	state = get(common, w->state);
	if (state == TCP_STATE_LISTENING)
		return read_accept_queue(w, address, err);
	if (state != STATE_NEW_SYN_RECEIVED && state != TCP_STATE_TIME_WAIT) {
		r = fetch_pointer(w, address + w->socket.at / 8, &socket, err);
		/* Somebody's; or of an accept queue, where it is met. */
		if (r < 0 || socket || !tcp_fin_sent((enum tcp_state)state))
			return r;
	}
	held = add(w);
	if (!held)
		return error_errno(err, -ENOMEM, "connections");
	if (state == TCP_STATE_TIME_WAIT)
		return read_wait(w, address, &held->c, err);
	if (state != STATE_NEW_SYN_RECEIVED) {
		r = read_socket(w, address, &held->c, true, err);
		return r < 0 ? r : tcp_kept_read(w->k, address, &held->kept, err);
	}
	r = read_request(w, address, &held->c, &listener, err);
	return r < 0 || !listener ? r : fetch_pointer(w, listener + w->cookie.at / 8, &held->listener, err);
}

void tcp_held_free(struct tcp_held *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tcp_connection_release(&list[i].c);
	free(list);
}

/* By listening socket and place; requests, and orphans among themselves, by the addresses of their ends. */
static int in_order(const void *a, const void *b)
{
	const struct tcp_held *x = a, *y = b;
	const uint32_t none = UINT32_MAX, x_place = x->place ? x->place : none, y_place = y->place ? y->place : none;
	int r;

	if (x->listener != y->listener)
		return x->listener < y->listener ? -1 : 1;
	if (x_place != y_place)
		return x_place < y_place ? -1 : 1;
	r = memcmp(&x->c.local, &y->c.local, sizeof(x->c.local));
	return r ? r : memcmp(&x->c.remote, &y->c.remote, sizeof(x->c.remote));
}

int tcp_held_all(struct kernel *k, struct tcp_held **ret, size_t *ret_n, struct ct_error *err)
{
	cleanup_free uint64_t *sockets = NULL;
	struct reader w = { .k = k };
	size_t n = 0;
	int r = find_fields(&w, err);

	if (r == 0)
		r = kernel_tcp_sockets(k, &sockets, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = read_one(&w, sockets[i], err);
	if (r < 0) {
		tcp_held_free(w.list, w.n);
		return r;
	}
	if (w.n)
		qsort(w.list, w.n, sizeof(*w.list), in_order);
	*ret = w.list;
	*ret_n = w.n;
	return 0;
}

/* These are whole sockets: what is no more than a record of a connection is in TIME_WAIT by this number. */
static bool may_have_queues(enum tcp_state state)
{
	return state == TCP_STATE_ESTABLISHED || state == TCP_STATE_CLOSE_WAIT || state == TCP_STATE_FIN_WAIT_1 ||
	       state == TCP_STATE_FIN_WAIT_2 || state == TCP_STATE_CLOSING || state == TCP_STATE_LAST_ACK;
}

/* A received one, with bytes that were not read on both sides. */
static bool is_between(struct reader *w, const uint8_t *sk, enum tcp_state state)
{
	const uint32_t before = get(sk, w->urgent_at) - get(sk, w->copied_seq);
	const uint32_t all = get(sk, w->rcv_nxt) - get(sk, w->copied_seq) - tcp_fin_received(state);

	return get(sk, w->urgent) && before && before + 1 < all && (int32_t)all > 0;
}

static int read_urgent(struct reader *w, uint64_t address, struct tcp_urgent *ret, struct ct_error *err)
{
	uint8_t sk[OBJECT_MAX];
	enum tcp_state state;
	uint32_t una;
	int r = fetch(w, address, sk, w->common_size, err);

	*ret = (struct tcp_urgent){ 0 };
	state = r < 0 ? TCP_STATE_TIME_WAIT : (enum tcp_state)get(sk, w->state);
	if (r < 0 || !may_have_queues(state))
		return r == -EAGAIN ? 0 : r; /* gone meanwhile: nobody has it */
	r = fetch(w, address, sk, w->tcp_size, err);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	una = get(sk, w->snd_una);
	ret->end = get(sk, w->snd_up);
	ret->urgent = ret->end != una;
	ret->between = is_between(w, sk, state);
	if (get(sk, w->snd_nxt) != una)
		ret->soft_error = (int)get(sk, w->soft_error);
	if (ret->urgent || ret->between || ret->soft_error)
		ret->cookie = kernel_get(sk, w->cookie);
	return 0;
}

int tcp_urgent_all(struct kernel *k, struct tcp_urgent **ret, size_t *ret_n, struct ct_error *err)
{
	cleanup_free uint64_t *sockets = NULL;
	cleanup_free struct tcp_urgent *list = NULL;
	struct reader w = { .k = k };
	size_t n = 0, found = 0;
	int r = find_fields(&w, err);

	if (r == 0)
		r = kernel_tcp_sockets(k, &sockets, &n, err);
	list = r < 0 ? NULL : calloc(n + 1, sizeof(*list));
	if (r == 0 && !list)
		return error_errno(err, -ENOMEM, "connections");
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = read_urgent(&w, sockets[i], &list[found], err);
		found += list[found].cookie != 0;
	}
	if (r < 0)
		return r;
	*ret = take_ptr(list);
	*ret_n = found;
	return 0;
}
