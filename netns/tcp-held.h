/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections that the kernel alone holds: no descriptor leads to them, so they cannot be asked. They are read from
 * the kernel's memory (libct/base/kernel.h), and nothing becomes of them by that.
 *
 *	a listening socket's		ESTABLISHED, CLOSE_WAIT, ...: to be accepted
 *					SYN_RECEIVED: the last packet of three is to come
 *	orphans, which somebody closed	FIN_WAIT_1, CLOSING, LAST_ACK: with what the peer has not acknowledged
 *					FIN_WAIT_2, TIME_WAIT: the kernel keeps little more than the numbers
 */
#pragma once
#include "netns/icmp.h"
#include "netns/tcp.h"

struct kernel;

/*
 * Options that an orphan still goes by, as getsockopt() would tell them (man 7 socket, ip, ipv6, tcp); not those that
 * follow the settings of the network.
 */
#define TCP_KEPT_MAX 24
struct tcp_kept {
	struct tcp_kept_option {
		int level, number, value;
	} list[TCP_KEPT_MAX];
	size_t n;
	int link;		  /* SO_BINDTODEVICE; 0: none */
	uint64_t max_pacing_rate; /* UINT64_MAX: none */
	char congestion[16];
};

struct tcp_held {
	struct tcp_connection c; /* snd_una of the last two: what we send next */
	struct tcp_kept kept;	 /* of orphans that have bytes or their end to send */
	uint64_t listener;	 /* SO_COOKIE of the listening socket, where that has been asked for one; 0: an orphan */
	uint32_t place;		 /* 1: is accepted next; 0: is not to be accepted yet, or an orphan */
};

/*
 * All in the caller's network namespace, those of one listening socket together and in its order, where no packet and no program moves anything. What is read twice and differs is
 * -EAGAIN, with words: a timer went off. -EOPNOTSUPP with words: this kernel's are built otherwise. tcp_held_free() frees.
 */
int tcp_held_all(struct kernel *k, struct tcp_held **ret, size_t *ret_n, struct ct_error *err);
void tcp_held_free(struct tcp_held *list, size_t n);

/* What waits to be told to a program, and is gone when it was told. */
struct tcp_pending {
	int error;	 /* what the next call gets, whichever (man 7 socket, SO_ERROR); 0: none */
	int soft_error;	 /* what SO_ERROR tells where there is none: of a connection that may yet recover */
	bool opening;	 /* connect(2), that did not wait, has not told yet how it ended */
	bool ended;	 /* the peer's FIN had come before */
	size_t reports;	 /* in its error queue (man 7 ip, IP_RECVERR), */
	bool foreign;	 /* also others than messages of ICMP */
	struct icmp_report report; /* the first */
};

/* Of a TCP socket of the caller's, or another of internet sockets. Errors as above. */
int tcp_pending(struct kernel *k, int fd, struct tcp_pending *ret, struct ct_error *err);

/* A message in an error queue, about a packet of ours. */
struct told {
	struct icmp_report report;
	int error;
	struct sockaddr_storage local, remote; /* of the packet; `local` has no port */
	const void *data;		       /* what it quotes of what the packet carried */
	size_t len;
};

/* The same, and calls `each` for every message of ICMP, the oldest first. What it returns, if negative, is the end. */
int tcp_pending_each(struct kernel *k, int fd, struct tcp_pending *ret,
		     int (*each)(void *context, const struct told *told, struct ct_error *err), void *context,
		     struct ct_error *err);

/* What a connection has sent or is to send, and the peer has not acknowledged; and what it has received. */
struct tcp_urgent {
	uint64_t cookie; /* SO_COOKIE of the connection, where that has been asked for one */
	uint32_t end;	 /* the number of the byte behind the urgent one, */
	bool urgent;	 /* if there is one */
	bool between;	 /* bytes wait to be read before and behind a received one: tcp_hides_behind_mark() */
	int soft_error;	 /* what was reported of it, as above */
};

/* Of all connections in the caller's network namespace, whoever has them. Errors as above; the caller frees. */
int tcp_urgent_all(struct kernel *k, struct tcp_urgent **ret, size_t *ret_n, struct ct_error *err);
