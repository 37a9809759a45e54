/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a kernel goes on from the numbers of a connection in TIME_WAIT, on which tcp-enqueue.c builds: tried on one to ourselves. */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "netns/net.h"
#include "netns/netlink.h"
#include "netns/tcp.h"

static struct sockaddr_storage loopback(uint16_t port)
{
	struct sockaddr_storage a = { .ss_family = AF_INET };

	((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	((struct sockaddr_in *)&a)->sin_port = htons(port);
	return a;
}

/* From `c->remote` to `c->local`, where `c` is over; its numbers go on from there. */
static int connect_again(const struct tcp_connection *c, struct tcp_connection *ret, struct ct_error *err)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const uint32_t first = c->rcv_nxt + 1000;
	int r = fd < 0 ? error_errno(err, -errno, "socket") : tcp_repair_on(fd, err);

	if (r < 0)
		return r;
	if (bind(fd, (const struct sockaddr *)&c->remote, sizeof(c->remote)) < 0)
		return error_errno(err, -errno, "bind");
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &(int){ TCP_SEND_QUEUE }, sizeof(int)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &first, sizeof(first)) < 0)
		return error_errno(err, -errno, "TCP_QUEUE_SEQ");
	r = tcp_repair_off(fd, 0, false, err);
	if (r == 0 && connect(fd, (const struct sockaddr *)&c->local, sizeof(c->local)) < 0)
		r = error_errno(err, -errno, "connect");
	if (r == 0)
		r = tcp_repair_on(fd, err);
	if (r == 0)
		r = tcp_dump_send(fd, ret, err);
	return r < 0 ? r : tcp_dump_receive(fd, ret, err);
}

static int try_numbers(void *arg)
{
	struct ct_error *err = arg;
	const struct tcp_connection old = { .local = loopback(10001), .remote = loopback(10002), .state = TCP_STATE_TIME_WAIT,
					    .snd_una = 1 << 20, .rcv_nxt = 1 << 20 };
	struct tcp_connection now = { 0 };
	cleanup_fd int listener = -1;
	int r = net_loopback_up(-1, err);

	if (r < 0)
		return r;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (const struct sockaddr *)&old.local, sizeof(old.local)) < 0 ||
	    listen(listener, 1) < 0)
		return error_errno(err, -errno, "listen");
	r = tcp_restore_time_wait(&old, err);
	if (r == 0)
		r = connect_again(&old, &now, err);
	if (r == 0 && now.rcv_nxt != old.snd_una + TCP_BEHIND + 1)
		r = error_set(err, -EOPNOTSUPP, "this kernel chooses other sequence numbers for it (Linux 6.10 does not)");
	tcp_connection_release(&now);
	return r;
}

int tcp_can_enqueue(struct ct_error *err)
{
	int r = netns_call_new(try_numbers, err);

	return r < 0 && r != -EOPNOTSUPP ? error_prefix(err, r, "a trial connection") : r;
}
