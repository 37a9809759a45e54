/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the TCP library. */
#pragma once
#include <linux/tcp.h>
#include <netinet/in.h>

#include "netns/tcp.h"

#define TCP_FLAG_BYTE_FIN 1
#define TCP_FLAG_BYTE_RST 4
#define TCP_FLAG_BYTE_ACK 16

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

#define TCP_WINDOW_ANY 65535

/* As if `from` had sent this segment, without data, to `to`: negative errno. A deaf socket hears it. */
int tcp_inject(const struct sockaddr_storage *from, const struct sockaddr_storage *to, uint32_t seq,
	       uint32_t ack, uint8_t flags, uint16_t window);

/*
 * The byte before snd_una, which the peer has acknowledged long ago, stands once more at the head of a restored
 * send queue. Its acknowledgement, which we give ourselves, is what makes the kernel take up sending at the release,
 * and not after the timeout of a connection that it knows nothing about (3 seconds).
 */
bool tcp_has_spare(int fd, enum tcp_state state);

/* Drops every packet but those of tcp_inject(), unless the socket has a filter already. Undone by tcp_hear(). */
int tcp_deafen(int fd, struct ct_error *err);
int tcp_hear(int fd, struct ct_error *err);
