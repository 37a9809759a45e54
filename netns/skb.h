/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is queued at a socket, read from the kernel's memory (libct/base/kernel.h): a queue is a ring of buffers (struct
 * sk_buff), and a buffer has its bytes in a head, in fragments of pages, and in further buffers behind it.
 *
 * All of these return -EAGAIN, with words, where the queue changes while it is read.
 */
#pragma once
#include <stdint.h>

#include "libct/base/kernel.h"

#define SKB_MAX 512 /* a struct sk_buff */

struct skb_reader {
	struct kernel *k;
	struct kernel_field next, len, rest, data, head, end, control;
	struct kernel_field first, last, count;		      /* of a queue */
	struct kernel_field shared_n, shared_list, fragments; /* of what follows a head */
	struct kernel_field fragment_memory, fragment_len, fragment_at;
	size_t size, head_size, shared_size;
};

/* -EOPNOTSUPP with words: this kernel's are built otherwise. */
int skb_reader_init(struct skb_reader *ret, struct kernel *k, struct ct_error *err);

/* For each buffer of the queue at `address` (struct sk_buff_head), the oldest first, with a copy of it. */
typedef int skb_each(void *context, const uint8_t *skb, struct ct_error *err);
int skb_queue(const struct skb_reader *s, uint64_t address, skb_each *each, void *context, struct ct_error *err);

/* For the bytes of a buffer, piece by piece: where in the kernel's memory they are. */
typedef int skb_piece(void *context, uint64_t address, size_t len, struct ct_error *err);
int skb_bytes(const struct skb_reader *s, const uint8_t *skb, skb_piece *piece, void *context, struct ct_error *err);
