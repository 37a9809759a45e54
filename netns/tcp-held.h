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
#include "netns/tcp.h"

struct kernel;

struct tcp_held {
	struct tcp_connection c; /* snd_una of the last two: what we send next */
	uint64_t listener;	 /* SO_COOKIE of the listening socket, where that has been asked for one; 0: an orphan */
	uint32_t place;		 /* 1: is accepted next; 0: is not to be accepted yet, or an orphan */
};

/*
 * All in the caller's network namespace, those of one listening socket together and in its order, where no packet and no program moves anything. What is read twice and differs is
 * -EAGAIN, with words: a timer went off. -EOPNOTSUPP with words: this kernel's are built otherwise. tcp_held_free() frees.
 */
int tcp_held_all(struct kernel *k, struct tcp_held **ret, size_t *ret_n, struct ct_error *err);
void tcp_held_free(struct tcp_held *list, size_t n);

/*
 * The error of a connection that the next call will get (man 7 socket, SO_ERROR, which would take it); 0: none. `fd` is of the
 * caller. Errors as above.
 */
int tcp_pending_error(struct kernel *k, int fd, int *ret, struct ct_error *err);

/* The urgent byte that a connection has sent or is to send, and that the peer has not acknowledged. */
struct tcp_urgent {
	uint64_t cookie; /* SO_COOKIE of the connection, where that has been asked for one */
	uint32_t end;	 /* the number of the byte behind it */
};

/* Of all connections in the caller's network namespace, whoever has them. Errors as above; the caller frees. */
int tcp_urgent_all(struct kernel *k, struct tcp_urgent **ret, size_t *ret_n, struct ct_error *err);
