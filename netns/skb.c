/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/skb.h"

#include <string.h>

#include "libct/base/error.h"

#define HEAD_MAX 64	 /* a struct sk_buff_head */
#define SHARED_MAX 2048 /* a struct skb_shared_info */
#define FRAGMENT_SIZE 16
#define FRAGMENTS_MAX 64
#define LIST_MAX 10000000 /* of a list that somebody changes under us */
#define DEPTH_MAX 128

static int find_fragments(struct skb_reader *s, struct ct_error *err)
{
	int r;

	/* Until Linux 6.10 a fragment was a struct bio_vec. */
	if (kernel_field(s->k, "skb_frag.netmem", &s->fragment_memory, NULL) < 0) {
		r = kernel_field(s->k, "bio_vec.bv_page", &s->fragment_memory, err);
		if (r == 0)
			r = kernel_field(s->k, "bio_vec.bv_len", &s->fragment_len, err);
		return r < 0 ? r : kernel_field(s->k, "bio_vec.bv_offset", &s->fragment_at, err);
	}
	r = kernel_field(s->k, "skb_frag.len", &s->fragment_len, err);
	return r < 0 ? r : kernel_field(s->k, "skb_frag.offset", &s->fragment_at, err);
}

int skb_reader_init(struct skb_reader *ret, struct kernel *k, struct ct_error *err)
{
	const struct kernel_path fields[] = {
		{ &ret->next, "sk_buff.next" },
		{ &ret->len, "sk_buff.len" },
		{ &ret->rest, "sk_buff.data_len" },
		{ &ret->data, "sk_buff.data" },
		{ &ret->head, "sk_buff.head" },
		{ &ret->end, "sk_buff.end" },
		{ &ret->control, "sk_buff.cb" },
		{ &ret->first, "sk_buff_head.next" },
		{ &ret->last, "sk_buff_head.prev" },
		{ &ret->count, "sk_buff_head.qlen" },
		{ &ret->shared_n, "skb_shared_info.nr_frags" },
		{ &ret->shared_list, "skb_shared_info.frag_list" },
		{ &ret->fragments, "skb_shared_info.frags" },
	};
	int r;

	*ret = (struct skb_reader){ .k = k };
	r = kernel_fields(k, fields, sizeof(fields) / sizeof(fields[0]), err);
	if (r == 0)
		r = find_fragments(ret, err);
	if (r == 0)
		r = kernel_size(k, "sk_buff", SKB_MAX, &ret->size, err);
	if (r == 0)
		r = kernel_size(k, "sk_buff_head", HEAD_MAX, &ret->head_size, err);
	return r < 0 ? r : kernel_size(k, "skb_shared_info", SHARED_MAX, &ret->shared_size, err);
}

static bool same_queue(const struct skb_reader *s, const uint8_t *a, const uint8_t *b)
{
	return kernel_get(a, s->first) == kernel_get(b, s->first) && kernel_get(a, s->last) == kernel_get(b, s->last) &&
	       kernel_get(a, s->count) == kernel_get(b, s->count);
}

/* A ring through its own head. */
int skb_queue(const struct skb_reader *s, uint64_t address, skb_each *each, void *context, struct ct_error *err)
{
	uint8_t head[HEAD_MAX], skb[SKB_MAX];
	uint64_t at = 0, count = 0;
	int r = kernel_fetch(s->k, address, head, s->head_size, err);

	if (r < 0)
		return r;
	count = kernel_get(head, s->count);
	if (count > LIST_MAX)
		return kernel_changed(err);
	at = kernel_get(head, s->first);
	for (uint64_t i = 0; r == 0 && i < count && at != address; i++) {
		r = kernel_fetch(s->k, at, skb, s->size, err);
		if (r == 0)
			r = each(context, skb, err);
		at = kernel_get(skb, s->next);
	}
	if (r == 0)
		r = kernel_fetch(s->k, address, skb, s->head_size, err);
	if (r < 0)
		return r;
	return at == address && same_queue(s, head, skb) ? 0 : kernel_changed(err);
}

static int fragments(const struct skb_reader *s, uint64_t shared, skb_piece *piece, void *context, uint64_t *ret_list,
		     struct ct_error *err)
{
	uint8_t info[SHARED_MAX];
	uint64_t n;
	int r = kernel_fetch(s->k, shared, info, s->shared_size, err);

	if (r < 0)
		return r;
	n = kernel_get(info, s->shared_n);
	*ret_list = kernel_get(info, s->shared_list);
	if (n > FRAGMENTS_MAX || s->fragments.at / 8 + n * FRAGMENT_SIZE > s->shared_size)
		return kernel_changed(err);
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		const uint8_t *f = info + s->fragments.at / 8 + i * FRAGMENT_SIZE;
		uint64_t page = kernel_get(f, s->fragment_memory);

		/* Of a device: no page. */
		if (page & 1)
			return error_set(err, -EOPNOTSUPP, "it has bytes in the memory of a device");
		r = piece(context, kernel_page(s->k, page) + kernel_get(f, s->fragment_at),
			  kernel_get(f, s->fragment_len), err);
	}
	return r;
}

static int bytes(const struct skb_reader *s, const uint8_t *skb, skb_piece *piece, void *context, int depth,
		 struct ct_error *err)
{
	const uint64_t len = kernel_get(skb, s->len), rest = kernel_get(skb, s->rest);
	uint64_t list = 0;
	int r;

	if (rest > len || depth > DEPTH_MAX)
		return kernel_changed(err);
	r = len > rest ? piece(context, kernel_get(skb, s->data), len - rest, err) : 0;
	if (r == 0 && rest)
		r = fragments(s, kernel_get(skb, s->head) + kernel_get(skb, s->end), piece, context, &list, err);
	while (r == 0 && list) {
		uint8_t next[SKB_MAX];

		r = kernel_fetch(s->k, list, next, s->size, err);
		if (r == 0)
			r = bytes(s, next, piece, context, depth + 1, err);
		list = kernel_get(next, s->next);
	}
	return r;
}

int skb_bytes(const struct skb_reader *s, const uint8_t *skb, skb_piece *piece, void *context, struct ct_error *err)
{
	return bytes(s, skb, piece, context, 0, err);
}
