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

/* That of the "options" `from`. */
int tcp_congestion_get(const struct node *from, int fd, struct ct_error *err);
/*
 * Options of one that no process has any more, as "options" of `n`: those that were read of it; NULL: those of `fd`.
 */
struct tcp_kept;
int tcp_kept_put(const struct dump *d, int fd, const struct tcp_kept *kept, int family, struct node *n, struct ct_error *err);
/* With what the pod may have. */
int tcp_kept_get(struct restore *r, const struct node *n, int fd, struct ct_error *err);

/*
 * The sizes of a connection's buffers. What a program has set is for it to have or not, as ever; what the kernel
 * has grown by itself grows to what it would here at most.
 */
int tcp_buffers_get(struct restore *r, const struct node *n, int fd, struct ct_error *err);

/*
 * A connection in the manifest, its queues too; `fd`: any socket of the pod's network. `held`: no descriptor leads to it. Returns
 * the node of what it sends; NULL: it is over.
 */
struct node *tcp_connection_put(const struct dump *d, int fd, const struct tcp_connection *c, bool held,
				struct node *n);
/* What waits to be told: "error" and its like. */
void tcp_error_put(const struct dump *d, int fd, const struct tcp_connection *c, struct node *n);
/* `states`: those allowed, a bit for each. The queues stay the document's. */
int tcp_connection_get(struct restore *r, const struct node *n, int fd, unsigned int states,
		       struct tcp_connection *c, struct ct_error *err);
/* Binds to the local address: a port below 1024 is for those who may have it, as ever. */
int tcp_bind_local(struct restore *r, const struct node *n, struct tcp_connection *c, int fd, struct ct_error *err);
/* Is the other end another host, or this one outside the pod? */
bool tcp_leads_outside(const struct node *n);

/* After the links of all descriptors. */
int tcp_dump_unsent(struct dump *d, struct ct_error *err);

/*
 * Connections without a descriptor (tcp-held.c), and keys: looks for them, after the sending sides of the others were read. What
 * they have not sent is looked at again after the receiving sides; then they are put, some of them below `n`.
 */
int tcp_held_look(struct dump *d, struct ct_error *err);
int tcp_held_settle(struct dump *d, struct ct_error *err);
/* Says of a connection whose sending side was read which of its bytes is urgent. */
void tcp_held_urgent(const struct dump *d, int fd, struct tcp_connection *c);
int tcp_held_put(struct dump *d, struct node *n, struct ct_error *err);
/* Can this host make them? -EOPNOTSUPP with words. */
int tcp_held_check(struct restore *r, struct ct_error *err);
/* Makes them, in the pod's network, when all descriptors are there; and lets them go on. */
int tcp_held_restore(struct restore *r, const struct node *n, struct ct_error *err);
int tcp_held_release(struct restore *r, struct ct_error *err);
/* How many of them lead outside and are something to lose. */
size_t tcp_held_count(struct restore *r);

/* Can the connections go on at the pod's address? -EINVAL with words. */
int tcp_check_address(struct restore *r, struct ct_error *err);
/* The restored connections hear and speak, when packets flow again and before the processes go on. */
int tcp_release_all(struct restore *r, struct ct_error *err);
extern const struct kind kind_tcp, kind_tcp_connection, kind_net;

/* Connections between the two looks of a dump: kind/fd-tcp-connection.c. */
struct tcp_registry;
void tcp_registry_free(struct tcp_registry *t);
struct held_registry;
void held_registry_free(struct held_registry *h);
