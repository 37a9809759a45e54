/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the TCP library. */
#pragma once
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "netns/tcp.h"

#define TCP_FLAG_BYTE_FIN 1
#define TCP_FLAG_BYTE_SYN 2
#define TCP_FLAG_BYTE_RST 4
#define TCP_FLAG_BYTE_ACK 16
#define TCP_FLAG_BYTE_URG 32

/* Options of a SYN (RFC 9293, 7323, 2018), and of TCP_REPAIR_OPTIONS. */
#define TCP_OPTION_MSS 2
#define TCP_OPTION_SCALE 3
#define TCP_OPTION_SACK 4
#define TCP_OPTION_TIMESTAMPS 8

#define TCP_ARRIVAL_MS 30000 /* a packet to ourselves has come by then, on a busy host too */
#define TCP_AGAIN_MS 100     /* after that it is taken to be lost */
#define TCP_ROOM 65535	     /* a receive window, for what we say in the peer's name to be heard */

static inline socklen_t tcp_name_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* The answer decides what a connection goes on with, so lack of memory is not the last word. */
static inline int sock_get(int fd, int level, int option, void *value, socklen_t *len)
{
	const socklen_t room = *len;
	int r = -1;

	errno = ENOMEM;
	for (int i = 0; r < 0 && errno == ENOMEM && i < 3; i++) {
		*len = room;
		r = getsockopt(fd, level, option, value, len);
	}
	return r;
}

static inline int tcp_get(int fd, int option, void *value, socklen_t len)
{
	return sock_get(fd, IPPROTO_TCP, option, value, &len);
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
	bool timestamps;
	/* The peer's timestamp, and the one of ours that it has seen last; 0: none, it does not count. */
	uint32_t time, echo;
	const struct tcp_connection *offer; /* of a SYN: what is to be agreed on, but for timestamps; or NULL */
	const void *data;
	size_t len; /* at most TCP_SEGMENT_MAX */
};

/* With its headers it fills a buffer of the kernel's, whose size is a power of two: what is received counts with that. */
#define TCP_SEGMENT_MAX (15 << 10)

/* As if `from` had sent this segment to `to`: negative errno. A deaf socket hears it. */
int tcp_inject(const struct sockaddr_storage *from, const struct sockaddr_storage *to,
	       const struct tcp_segment *segment);
/* The same, but a deaf socket does not hear it. */
int tcp_emit(const struct sockaddr_storage *from, const struct sockaddr_storage *to,
	     const struct tcp_segment *segment);

/*
 * The byte before snd_una, which the peer has acknowledged long ago, stands once more at the head of a restored
 * send queue. Its acknowledgement, which we give ourselves, is what makes the kernel take up sending at the release,
 * and not after the timeout of a connection that it knows nothing about (3 seconds). Not where nothing is to be sent:
 * there no timer runs, and the connection may wait for its release for hours.
 */
bool tcp_has_spare(int fd, enum tcp_state state);

/* ---- steps of tcp_restore() ---- */

/* In repair mode, both ways and all numbers; no packet. The local address is filled in. */
int tcp_make(int fd, struct tcp_connection *c, uint32_t snd, uint32_t rcv, struct ct_error *err);
/* `seq`: the number behind the last of it. */
int tcp_fill_received(int fd, const struct tcp_connection *c, uint32_t snd, uint32_t seq, struct ct_error *err);
/* The byte `snd`, of no meaning, goes out and is acknowledged at once: from that the kernel has a timeout. */
int tcp_learn_round_trip(int fd, const struct tcp_connection *c, uint32_t snd, uint32_t seq, struct ct_error *err);
int tcp_put_spare(int fd, struct ct_error *err);
/* Our FIN, and what was not sent before it. */
int tcp_end_ours(int fd, const struct tcp_connection *c, struct ct_error *err);
/* The peer says so, and it becomes that. */
int tcp_become(int fd, const struct tcp_connection *c, uint32_t seq, uint32_t ack, uint8_t flags,
	       enum tcp_state becomes, struct ct_error *err);
/* A SYN goes out; not in repair mode. */
int tcp_open_again(int fd, const struct tcp_connection *c, struct ct_error *err);

/* One that is over, in repair mode and deaf (tcp-end.c). */
int tcp_restore_closed(int fd, const struct tcp_connection *c, struct ct_error *err);
/* The error of a connection that lives, as the last step; and its soft one, when nothing is heard of the peer any more. */
int tcp_raise_error(int fd, const struct tcp_connection *c, struct ct_error *err);
int tcp_raise_soft_error(const struct tcp_connection *c, struct ct_error *err);

/*
 * Makes the segment answer one of ours that was sent a round trip ago, by its timestamp: from that the kernel learns how
 * long one takes, and its timeout is what goes with it. Nothing where timestamps are not used or nobody knows.
 */
int tcp_echo(int fd, const struct tcp_connection *c, struct tcp_segment *s, struct ct_error *err);

int tcp_set_window(int fd, const struct tcp_window *w, struct ct_error *err);

/* What a packet is to bring about. */
struct tcp_effect {
	enum {
		TCP_BECOMES,	  /* the connection is in the state `value` */
		TCP_ACKNOWLEDGED, /* at most `value` bytes are left in its send queue */
		TCP_RECEIVED,	  /* `value` is the next number it receives; it is in repair mode */
	} what;
	uint32_t value;
};

/*
 * Says something in the peer's name until it has its effect. Loopback delivers at once, but a busy machine takes its
 * time, and drops packets.
 */
int tcp_tell(int fd, const struct tcp_connection *c, const struct tcp_segment *segment,
	     const struct tcp_effect *effect, struct ct_error *err);

/* Drops every packet but those of tcp_inject(), unless the socket has a filter already. Undone by tcp_hear(). */
int tcp_deafen(int fd, struct ct_error *err);
int tcp_hear(int fd, struct ct_error *err);

/*
 * An answer to what we make would come to nobody where the other end, in the same network, is over; the reset that
 * follows would end what we make. Until the descriptor is closed somebody is there who hears nothing; *ret is -1
 * where none is needed.
 */
int tcp_stand_in(const struct tcp_connection *c, int *ret, struct ct_error *err);
int tcp_ifindex(const struct sockaddr_storage *a); /* 0, or the link that a link-local address belongs to */
