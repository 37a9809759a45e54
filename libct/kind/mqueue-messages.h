/* SPDX-License-Identifier: Apache-2.0 */
/* What waits in a POSIX message queue: man 7 mq_overview. */
#pragma once
#include "images/node.h"
#include "libct/base/error.h"

/*
 * Puts the messages, in the order in which they would be received, as the array "messages" into `n`. They
 * are taken out and put back by a process of its own that ends what it began, whatever happens to us. Nobody
 * else may use the queue meanwhile, and nobody may wait to be notified. `fd`: O_RDWR and O_NONBLOCK.
 */
int mqueue_put_messages(int fd, size_t count, size_t message_size, size_t bytes, struct node *n,
			struct ct_error *err);
/* Sends them to an empty queue that has room for them. -EBADMSG: it has not. */
int mqueue_get_messages(int fd, const struct node *n, struct ct_error *err);
