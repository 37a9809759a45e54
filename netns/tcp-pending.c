/* SPDX-License-Identifier: Apache-2.0 */
/* What an error, or the end of a connection, has left to be told, read from the kernel's memory: any call would take it. */
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>

#include "libct/base/kernel.h"
#include "netns/skb.h"
#include "netns/tcp-held.h"

#define SOCKET_MAX 2048
#define CONNECTING 2 /* SS_CONNECTING of <linux/net.h> */
#define DONE 1	     /* SOCK_DONE of enum sock_flags: a bit of skc_flags */

struct reader {
	struct skb_reader skb;
	struct kernel_field sk, state, flags, error, soft_error, queue, origin, type, code, network_header;
	size_t socket_size, sock_size;
	struct tcp_pending *ret;
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
		{ &w->origin, "sock_exterr_skb.ee.ee_origin" },
		{ &w->type, "sock_exterr_skb.ee.ee_type" },
		{ &w->code, "sock_exterr_skb.ee.ee_code" },
		{ &w->network_header, "sk_buff.network_header" },
	};
	int r = kernel_fields(k, fields, sizeof(fields) / sizeof(fields[0]), err);

	if (r == 0)
		r = kernel_size(k, "socket", SOCKET_MAX, &w->socket_size, err);
	if (r == 0)
		r = kernel_size(k, "sock", SOCKET_MAX, &w->sock_size, err);
	return r < 0 ? r : skb_reader_init(&w->skb, k, err);
}

/* Who says so is in the head of the packet. */
static int read_report(void *context, const uint8_t *skb, struct ct_error *err)
{
	struct reader *w = context;
	const uint8_t *control = skb + w->skb.control.at / 8;
	const uint64_t origin = kernel_get(control, w->origin);
	const uint64_t packet = kernel_get(skb, w->skb.head) + kernel_get(skb, w->network_header);
	struct icmp_report *report = &w->ret->report;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&report->from;

	w->ret->foreign |= origin != SO_EE_ORIGIN_ICMP && origin != SO_EE_ORIGIN_ICMP6;
	if (w->ret->reports++ || w->ret->foreign)
		return 0;
	report->type = (uint8_t)kernel_get(control, w->type);
	report->code = (uint8_t)kernel_get(control, w->code);
	report->from.ss_family = origin == SO_EE_ORIGIN_ICMP ? AF_INET : AF_INET6;
	if (origin == SO_EE_ORIGIN_ICMP)
		return kernel_fetch(w->skb.k, packet + 12, &((struct sockaddr_in *)six)->sin_addr, 4, err);
	return kernel_fetch(w->skb.k, packet + 8, &six->sin6_addr, 16, err);
}

int tcp_pending(struct kernel *k, int fd, struct tcp_pending *ret, struct ct_error *err)
{
	uint8_t socket[SOCKET_MAX], sk[SOCKET_MAX];
	struct reader w = { .ret = ret };
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
	ret->ended = kernel_get(sk, w.flags) >> DONE & 1;
	return skb_queue(&w.skb, address + w.queue.at / 8, read_report, &w, err);
}
