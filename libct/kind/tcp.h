/* SPDX-License-Identifier: Apache-2.0 */
/* What TCP sockets with and without a connection share. */
#pragma once
#include "libct/kind/inet.h"
#include "netns/tcp.h"

bool tcp_is_socket(const struct fd_view *v);
/* Has it a connection, or had one whose end can still be told? */
bool tcp_is_connection(int fd);

/* The options of man 7 tcp below "options", `to`. A connection has some that are its own doing. */
void tcp_options_put(struct dump *d, const struct fd_view *v, bool connection, struct node *to);
int tcp_options_get(struct restore *r, const struct node *n, bool connection, int fd,
		    struct ct_error *err);

/*
 * The sizes of a connection's buffers. What a program has set is for it to have or not, as ever; what the kernel
 * has grown by itself grows to what it would here at most.
 */
int tcp_buffers_get(struct restore *r, const struct node *n, int fd, struct ct_error *err);

/* After the links of all descriptors. */
int tcp_dump_unsent(struct dump *d, struct ct_error *err);

/* Findings about what no descriptor tells: connections without one, keys. After the descriptors. */
int tcp_check_sockets(struct dump *d, struct ct_error *err);

/*
 * Is it in a state that is over in a moment, and cannot be carried: connections that wait to be accepted, or that no
 * descriptor leads to?
 */
struct sockdiag_inet;
bool tcp_in_passing(const struct sockdiag_inet *s);

/* Can the connections go on at the pod's address? -EINVAL with words. */
int tcp_check_address(struct restore *r, struct ct_error *err);
/* The restored connections hear and speak, when packets flow again and before the processes go on. */
int tcp_release_all(struct restore *r, struct ct_error *err);
extern const struct kind kind_tcp, kind_tcp_connection;

/* Connections between the two looks of a dump: kind/fd-tcp-connection.c. */
struct tcp_registry;
void tcp_registry_free(struct tcp_registry *t);
