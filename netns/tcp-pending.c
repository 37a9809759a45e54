/* SPDX-License-Identifier: Apache-2.0 */
/* What an error, or the end of a connection, has left to be told, read from the kernel's memory: any call would take it. */
#include <time.h>

#include <linux/errqueue.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/base/kernel.h"
#include "netns/skb.h"
#include "netns/tcp-kept.h"

#define SOCKET_MAX 2048
#define DATA_MAX 2048 /* a message of ICMP is shorter */
#define CONNECTING 2 /* SS_CONNECTING of <linux/net.h> */

struct reader {
	struct skb_reader skb;
	struct kernel_field sk, state, flags, error, soft_error, queue, network_header;
	struct kernel_field number, origin, type, code, address, port;
	size_t socket_size, sock_size;
	struct tcp_pending *ret;
	int (*each)(void *context, const struct told *told, struct ct_error *err);
	void *context;
	uint8_t data[DATA_MAX];
	size_t len;
};

static int find_fields(struct reader *w, struct kernel *k, struct ct_error *err)
{
	const struct kernel_path fields[] = {
		{ &w->sk, "socket.sk" },
		{ &w->state, "socket.state" },
		{ &w->flags, "sock_common.skc_flags" },
		{ &w->error, "sock.sk_err" },
		{ &w->soft_error, "sock.sk_err_soft" },
		{ &w->queue, "sock.sk_error_queue" },
		{ &w->number, "sock_exterr_skb.ee.ee_errno" },
		{ &w->origin, "sock_exterr_skb.ee.ee_origin" },
		{ &w->type, "sock_exterr_skb.ee.ee_type" },
		{ &w->code, "sock_exterr_skb.ee.ee_code" },
		{ &w->address, "sock_exterr_skb.addr_offset" },
		{ &w->port, "sock_exterr_skb.port" },
		{ &w->network_header, "sk_buff.network_header" },
	};
	int r = kernel_fields(k, fields, sizeof(fields) / sizeof(fields[0]), err);

	if (r == 0)
		r = kernel_size(k, "socket", SOCKET_MAX, &w->socket_size, err);
	if (r == 0)
		r = kernel_size(k, "sock", SOCKET_MAX, &w->sock_size, err);
	return r < 0 ? r : skb_reader_init(&w->skb, k, err);
}

/* An address in the packet that came, `at` bytes behind its head. */
static int read_address(struct reader *w, const uint8_t *skb, uint64_t at, bool six, struct sockaddr_storage *ret,
			struct ct_error *err)
{
	const uint64_t packet = kernel_get(skb, w->skb.head) + kernel_get(skb, w->network_header);

	*ret = (struct sockaddr_storage){ .ss_family = six ? AF_INET6 : AF_INET };
	if (six)
		return kernel_fetch(w->skb.k, packet + at, &((struct sockaddr_in6 *)ret)->sin6_addr, 16, err);
	return kernel_fetch(w->skb.k, packet + at, &((struct sockaddr_in *)ret)->sin_addr, 4, err);
}

static int take_bytes(void *context, uint64_t address, size_t len, struct ct_error *err)
{
	struct reader *w = context;

	if (len > sizeof(w->data) - w->len)
		return error_set(err, -EOPNOTSUPP, "a message in its error queue is too long");
	w->len += len;
	return kernel_fetch(w->skb.k, address, w->data + w->len - len, len, err);
}

static int read_report(void *context, const uint8_t *skb, struct ct_error *err)
{
	struct reader *w = context;
	const uint8_t *control = skb + w->skb.control.at / 8;
	const uint64_t origin = kernel_get(control, w->origin);
	const bool six = origin == SO_EE_ORIGIN_ICMP6;
	struct told told = { .error = (int)kernel_get(control, w->number), .data = w->data };
	int r;

	if (origin != SO_EE_ORIGIN_ICMP && !six) {
		w->ret->foreign = true;
		return 0;
	}
	told.report.type = (uint8_t)kernel_get(control, w->type);
	told.report.code = (uint8_t)kernel_get(control, w->code);
	/* Who says so is the sender of what came, and we were its receiver. */
	r = read_address(w, skb, six ? 8 : 12, six, &told.report.from, err);
	if (r == 0)
		r = read_address(w, skb, six ? 24 : 16, six, &told.local, err);
	if (r == 0)
		r = read_address(w, skb, kernel_get(control, w->address), six, &told.remote, err);
	if (r < 0)
		return r;
	((struct sockaddr_in *)&told.remote)->sin_port = (uint16_t)kernel_get(control, w->port);
	if (!w->ret->reports++)
		w->ret->report = told.report;
	if (!w->each)
		return 0;
	w->len = 0;
	r = skb_bytes(&w->skb, skb, take_bytes, w, err);
	told.len = w->len;
	return r < 0 ? r : w->each(w->context, &told, err);
}

int tcp_pending(struct kernel *k, int fd, struct tcp_pending *ret, struct ct_error *err)
{
	return tcp_pending_each(k, fd, ret, NULL, NULL, err);
}

int tcp_pending_each(struct kernel *k, int fd, struct tcp_pending *ret,
		     int (*each)(void *context, const struct told *told, struct ct_error *err), void *context,
		     struct ct_error *err)
{
	uint8_t socket[SOCKET_MAX], sk[SOCKET_MAX];
	struct reader w = { .ret = ret, .each = each, .context = context };
	uint64_t address = 0;
	int r = find_fields(&w, k, err);

	*ret = (struct tcp_pending){ 0 };
	if (r == 0)
		r = kernel_file(k, fd, &address, err);
	if (r == 0)
		r = kernel_fetch(k, address, socket, w.socket_size, err);
	if (r < 0)
		return r;
	address = kernel_get(socket, w.sk);
	r = kernel_fetch(k, address, sk, w.sock_size, err);
	if (r < 0)
		return r;
	ret->opening = kernel_get(socket, w.state) == CONNECTING;
	ret->error = (int)kernel_get(sk, w.error);
	ret->soft_error = (int)kernel_get(sk, w.soft_error);
	ret->ended = kernel_get(sk, w.flags) >> KERNEL_SOCK_DONE & 1;
	return skb_queue(&w.skb, address + w.queue.at / 8, read_report, &w, err);
}
