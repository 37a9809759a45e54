/* SPDX-License-Identifier: Apache-2.0 */
/* What sockets of all families have in common: owner, options, filter (man 7 socket). */
#pragma once
#include <stddef.h>

#include "libct/kind.h"

/* An option whose value is an int that getsockopt(2) and setsockopt(2) agree on. */
struct sock_option {
	const char *name;
	int level, number;
};

/* Is it a socket of that family (AF_UNSPEC: any)? */
bool sock_is(const struct fd_view *v, int family);

/* An int option; `otherwise` where the socket has no such. */
int sock_int(int fd, int level, int number, int otherwise);
/*
 * Sets SO_RCVBUF or SO_SNDBUF, whose `number` it is, to `want` bytes as getsockopt(2) shows them (man 7 socket).
 * -EPERM: more than the caller may have.
 */
int sock_set_buffer(int fd, int number, int want, struct ct_error *err);

/* Bytes in the receive queue by the kernel's accounting: not 0 when anything is in it, not even where it is empty. */
unsigned int sock_queued(int fd);

/*
 * Every option of the table that the socket has, as fields of `to`, and back, those that differ. A preflight does not
 * ask: none of these is refused, and there are a hundred.
 */
void sock_options_put(struct dump *d, int fd, const struct sock_option *table, size_t n, struct node *to);
int sock_options_get(int fd, const struct sock_option *table, size_t n, const struct node *from,
		     struct ct_error *err);

/*
 * "type", "protocol", "uid", "gid", "mode" and "options" with everything of SOL_SOCKET; returns the node of the options,
 * where a family adds its own. What cannot be read is refused.
 */
struct node *sock_put(struct dump *d, const struct fd_view *v, struct node *n);

/* A new socket of type and protocol `n` has, with its owner, which is what the kernel goes by when ports are shared. */
int sock_make(const struct node *n, int family, int *ret_fd, struct ct_error *err);
/* Owner only, for a socket that was made otherwise. */
int sock_own(const struct node *n, int fd, struct ct_error *err);
/* The options of SOL_SOCKET, but for its filter. A family whose own options change some of these (IP_TOS, SO_PRIORITY) sets them before. */
int sock_get(const struct node *n, int fd, struct ct_error *err);
/* Only those that say what it passes (SO_PASSCRED and its like). */
int sock_get_passes(const struct node *n, int fd, struct ct_error *err);
/* Those that are no plain numbers: its link, SO_LINGER, SO_MAX_PACING_RATE, SO_TXTIME. */
int sock_get_structs(int fd, const struct node *from, struct ct_error *err);
/* All but the sizes of its buffers. */
int sock_get_unsized(const struct node *n, int fd, struct ct_error *err);
/* The last of it: what is put into its queue has to pass its filter (SO_ATTACH_FILTER), which may be locked. */
int sock_filter_get(const struct restore *r, const struct node *n, int fd, struct ct_error *err);

/*
 * While it lasts, this thread has only capabilities that the pod may have; sock_limit_end() gives the others back, and may be
 * repeated.
 */
struct sock_limit {
	bool limited;
	uint32_t effective[2];
};
int sock_limit(const struct restore *r, struct sock_limit *ret, struct ct_error *err);
void sock_limit_end(struct sock_limit *l);
