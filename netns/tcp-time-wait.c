/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel keeps of a connection when its program has let go of it and all has been said, for packets that come late. */
#include <netinet/in.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "netns/sockdiag.h"
#include "netns/tcp-impl.h"

int tcp_ifindex(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? (int)((const struct sockaddr_in6 *)a)->sin6_scope_id : 0;
}

int tcp_stand_in(const struct tcp_connection *c, int *ret, struct ct_error *err)
{
	struct sockdiag_inet there = { 0 };
	cleanup_fd int fd = socket(c->remote.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	*ret = -1;
	if (fd < 0)
		return error_errno(err, -errno, "socket");
	r = tcp_repair_on(fd, err);
	if (r < 0)
		return r;
	/* No address of this network, as mostly. */
	if (bind(fd, (const struct sockaddr *)&c->remote, tcp_name_len(&c->remote)) < 0)
		return errno == EADDRNOTAVAIL ? 0 : error_errno(err, -errno, "bind");
	r = sockdiag_tcp_one(-1, &c->remote, &c->local, tcp_ifindex(&c->remote), &there, NULL);
	/* To connect in the place of one that is over would be its end. */
	if (r == 0 && there.state != TCP_STATE_LISTENING)
		return 0;
	r = tcp_deafen(fd, err);
	if (r < 0)
		return r;
	if (connect(fd, (const struct sockaddr *)&c->local, tcp_name_len(&c->local)) < 0)
		return error_errno(err, -errno, "connect");
	*ret = take_fd(&fd);
	return 0;
}

int tcp_restore_time_wait(const struct tcp_connection *c, struct ct_error *err)
{
	struct tcp_connection mine = *c;
	cleanup_fd int fd = socket(c->local.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), other = -1;
	int r;

	if (c->state != TCP_STATE_TIME_WAIT && c->state != TCP_STATE_FIN_WAIT_2)
		return error_set(err, -EINVAL, "a connection that is %s is not over", tcp_state_name(c->state));
	if (fd < 0)
		return error_errno(err, -errno, "socket");
	if (!mine.max_segment)
		mine.max_segment = TCP_MSS_DEFAULT;
	mine.window = (struct tcp_window){ .snd_wl1 = c->rcv_nxt, .max_window = TCP_ROOM,
					   .rcv_wnd = c->window.rcv_wnd, .rcv_wup = c->rcv_nxt };
	r = tcp_stand_in(c, &other, err);
	if (r == 0)
		r = tcp_restore(fd, &mine, err);
	if (r < 0 || c->state == TCP_STATE_TIME_WAIT)
		return r;
	/* Whose address may be taken again is for the next to say, as it is with servers. */
	return tcp_repair_off(fd, 1, false, err);
}
