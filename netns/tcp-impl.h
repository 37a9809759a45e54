/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the TCP library. */
#pragma once
#include <linux/tcp.h>
#include <netinet/in.h>

#include "netns/tcp.h"

#define TCP_FLAG_BYTE_FIN 1
#define TCP_FLAG_BYTE_RST 4
#define TCP_FLAG_BYTE_ACK 16
#define TCP_FLAG_BYTE_URG 32

static inline int tcp_get(int fd, int option, void *value, socklen_t len)
{
	return getsockopt(fd, IPPROTO_TCP, option, value, &len);
}

static inline int tcp_set(int fd, int option, const void *value, socklen_t len)
{
	return setsockopt(fd, IPPROTO_TCP, option, value, len);
}

static inline int tcp_set_int(int fd, int option, int value)
{
	return tcp_set(fd, option, &value, sizeof(value));
}

struct tcp_segment {
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window;
	uint32_t echo; /* our timestamp that the peer has seen last; 0: no timestamps */
	const uint8_t *data; /* a byte, or NULL */
};

/* As if `from` had sent this segment to `to`: negative errno. A deaf socket hears it. */
int tcp_inject(const struct sockaddr_storage *from, const struct sockaddr_storage *to,
	       const struct tcp_segment *segment);

/*
 * The byte before snd_una, which the peer has acknowledged long ago, stands once more at the head of a restored
 * send queue. Its acknowledgement, which we give ourselves, is what makes the kernel take up sending at the release,
 * and not after the timeout of a connection that it knows nothing about (3 seconds).
 */
bool tcp_has_spare(int fd, enum tcp_state state);

int tcp_set_window(int fd, const struct tcp_window *w, struct ct_error *err);

/* Loopback delivers at once, but for a busy machine: waits for a packet of our own to have its effect. */
int tcp_await(int fd, enum tcp_state state, struct ct_error *err);
int tcp_await_received(int fd, uint32_t rcv_nxt, struct ct_error *err);
int tcp_await_acknowledged(int fd, int left, struct ct_error *err);

/* Drops every packet but those of tcp_inject(), unless the socket has a filter already. Undone by tcp_hear(). */
int tcp_deafen(int fd, struct ct_error *err);
int tcp_hear(int fd, struct ct_error *err);
