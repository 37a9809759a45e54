// SPDX-License-Identifier: Apache-2.0
#include "images/node-impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct node *add(struct node *parent, const char *key, enum node_type type)
{
	return node_add(parent, key, key ? strlen(key) : 0, type);
}

struct node *node_put_object(struct node *parent, const char *key)
{
	return add(parent, key, NODE_OBJECT);
}

struct node *node_put_array(struct node *parent, const char *key)
{
	return add(parent, key, NODE_ARRAY);
}

static void put_integer(struct node *parent, const char *key, uint64_t magnitude, bool negative)
{
	struct node *n = add(parent, key, NODE_INTEGER);

	if (n) {
		n->magnitude = magnitude;
		n->negative = negative;
	}
}

void node_put_u64(struct node *parent, const char *key, uint64_t v)
{
	put_integer(parent, key, v, false);
}

void node_put_i64(struct node *parent, const char *key, int64_t v)
{
	put_integer(parent, key, v < 0 ? -(uint64_t)v : (uint64_t)v, v < 0);
}

void node_put_bool(struct node *parent, const char *key, bool v)
{
	struct node *n = add(parent, key, NODE_BOOL);

	if (n)
		n->magnitude = v;
}

static void put_text(struct node *parent, const char *key, enum node_type type, const void *data,
		     size_t len)
{
	static const struct node_text empty = { 0, { "" } };
	struct node *n = add(parent, key, type);
	const struct node_text *text;

	if (!n)
		return;
	/* The child must be whole even where its text could not be kept. */
	n->text = &empty;
	if (len > UINT32_MAX) {
		node_complain(n, "longer than %" PRIu32 " bytes", UINT32_MAX);
		return;
	}
	text = doc_copy_text(node_doc(parent), data, len);
	if (text)
		n->text = text;
}

void node_put_hex(struct node *parent, const char *key, uint64_t v)
{
	char text[20];
	int n = snprintf(text, sizeof(text), "0x%" PRIx64, v);

	put_text(parent, key, NODE_STRING, text, (size_t)n);
}

void node_put_str(struct node *parent, const char *key, const char *s)
{
	size_t len;

	if (!s)
		return;
	len = strlen(s);
	put_text(parent, key, utf8_valid(s, len) ? NODE_STRING : NODE_BLOB, s, len);
}

void node_put_strings(struct node *parent, const char *key, const char *const *strings)
{
	struct node *array = node_put_array(parent, key);

	for (; strings && *strings; strings++)
		node_put_str(array, NULL, *strings);
}

void node_put_blob(struct node *parent, const char *key, const void *data, size_t len)
{
	put_text(parent, key, NODE_BLOB, data, len);
}

void node_copy(struct node *to, const char *key, const struct node *from)
{
	struct node *n;

	if (!to || !from)
		return;
	if (!node_is_container(from)) {
		if (from->type == NODE_STRING || from->type == NODE_BLOB ||
		    from->type == NODE_NUMBER) {
			put_text(to, key, from->type, from->text->bytes, from->text->len);
			return;
		}
		n = add(to, key, from->type);
		if (n) {
			n->magnitude = from->magnitude;
			n->negative = from->negative;
		}
		return;
	}
	n = add(to, key, from->type);
	for (uint32_t i = 0; n && i < node_len(from); i++)
		node_copy(n, node_key(node_child(from, i)), node_child(from, i));
}
