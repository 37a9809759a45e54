/* SPDX-License-Identifier: Apache-2.0 */
/* What UDP sockets have received: datagrams, and an error that came back. */
#pragma once
#include "libct/kind/inet.h"

/*
 * Puts the datagrams that nobody has read yet as "queue". Those that could not be given to the restored socket
 * as they are, are refused.
 */
int udp_queue_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err);
/* Sends them once more, from inside; the socket is bound, and not connected yet. */
int udp_queue_restore(struct restore *r, const struct node *n, int fd, struct ct_error *err);

/*
 * The pending error of a connected socket as "error", or the messages in its error queue as "reports"; they stay. 1: refused, 2: there
 * are messages, and no datagrams.
 */
int udp_error_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err);
int udp_error_restore(struct restore *r, const struct node *n, int fd, struct ct_error *err);
