/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests over netlink sockets that live in a given network namespace.
 *
 * A socket belongs for ever to the namespace in which it was made. So only its making happens in
 * the foreign namespace; everything else runs where the caller is.
 */
#pragma once
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stddef.h>

#include "libct/base/cleanup.h"

struct ct_error;

DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)
DEFINE_CLEANUP(struct nl_msg *, nlmsg_free)
#define cleanup_sock __cleanup(nl_socket_free_cleanup)
#define cleanup_msg __cleanup(nlmsg_free_cleanup)

/*
 * Calls `function` inside the namespace `netns_fd` (directly where it is -1) and returns what it
 * returned. The calling thread enters it for that long, with all signals blocked. (A thread of its own
 * cost a small checkpoint a dozen waits for the scheduler.) man 2 setns.
 */
int netns_call(int netns_fd, int (*function)(void *arg), void *arg);
/* The same in a new namespace, which ends with its last socket. */
int netns_call_new(int (*function)(void *arg), void *arg);

/*
 * socket(2) inside `netns_fd` (-1: the caller's): a descriptor (close-on-exec) or a negative errno.
 */
int netns_socket(int netns_fd, int domain, int type, int protocol);

/*
 * A connected netlink socket of `protocol` (NETLINK_ROUTE, ...) inside `netns_fd` (-1: the
 * caller's).
 */
int netlink_open(int netns_fd, int protocol, struct nl_sock **ret, struct ct_error *err);

/* All messages of an answer, one behind the other. */
struct netlink_reply {
	char *buf;
	size_t len;
	size_t size;
};

static inline void netlink_reply_release(struct netlink_reply *r)
{
	free(r->buf);
	*r = (struct netlink_reply){ 0 };
}
#define cleanup_reply __cleanup(netlink_reply_release)

/*
 * Sends `msg` and reads the answer to its end (the acknowledgement, or all of a dump; a dump that
 * was disturbed by a change is asked for again). Returns the kernel's negative errno, or 0 and,
 * where `reply` is not NULL, the messages, which netlink_reply_release() frees.
 */
int netlink_request(struct nl_sock *sock, struct nl_msg *msg, struct netlink_reply *reply);

/* The messages of an answer: NULL behind the last. */
struct nlmsghdr *netlink_next(const struct netlink_reply *reply, struct nlmsghdr *last);
#define netlink_each(h, reply)                                                                     \
	for (struct nlmsghdr *h = netlink_next(reply, NULL); h; h = netlink_next(reply, h))

/* A new request: header plus the family's own fixed part. NULL: no memory. */
struct nl_msg *netlink_message(int type, int flags, const void *fixed, size_t len);
