// SPDX-License-Identifier: Apache-2.0
/* Documents and their nodes: memory, lookup, complaints. Putting and getting are next door. */
#include "images/node-impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define BLOCK_SIZE (64u << 10)
#define BLOCK_SIZE_MAX (4u << 20)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	max_align_t data[];
};

struct doc *doc_new(void)
{
	struct doc *doc = calloc(1, sizeof(*doc));

	if (doc) {
		doc->root.type = NODE_OBJECT;
		doc->root.read = true;
	}
	return doc;
}

void doc_free(struct doc *doc)
{
	if (!doc)
		return;
	while (doc->blocks) {
		struct arena_block *next = doc->blocks->next;

		free(doc->blocks);
		doc->blocks = next;
	}
	free(doc->keys);
	free(doc);
}

struct node *doc_root(struct doc *doc)
{
	return doc ? &doc->root : NULL;
}

struct doc *node_doc(const struct node *n)
{
	while (n->parent)
		n = n->parent;
	return (struct doc *)n;
}

void *doc_alloc(struct doc *doc, size_t size)
{
	struct arena_block *b = doc->blocks;
	void *at;

	size = (size + 7) & ~(size_t)7;
	if (!b || b->size - b->used < size) {
		size_t want = b ? b->size * 2 : BLOCK_SIZE;

		if (want > BLOCK_SIZE_MAX)
			want = BLOCK_SIZE_MAX;
		if (want < size)
			want = size;
		b = malloc(sizeof(*b) + want);
		if (!b) {
			if (!doc->error.code)
				error_set(&doc->error, -ENOMEM, "out of memory");
			return NULL;
		}
		b->next = doc->blocks;
		b->used = 0;
		b->size = want;
		doc->blocks = b;
	}
	at = (char *)b->data + b->used;
	b->used += size;
	return at;
}

const char *doc_copy(struct doc *doc, const void *data, size_t len)
{
	char *copy = doc_alloc(doc, len + 1);

	if (copy) {
		if (len)
			memcpy(copy, data, len);
		copy[len] = '\0';
	}
	return copy;
}

/* ---- keys: there are few, given again and again ---- */

static const char **key_slot(const char **keys, size_t room, const char *key, size_t len)
{
	size_t i = (size_t)XXH3_64bits(key, len) & (room - 1);

	while (keys[i] && (strncmp(keys[i], key, len) || keys[i][len]))
		i = (i + 1) & (room - 1);
	return &keys[i];
}

static int keys_grow(struct doc *doc)
{
	size_t room = doc->keys_room ? doc->keys_room * 2 : 256;
	const char **grown = calloc(room, sizeof(*grown));

	if (!grown) {
		if (!doc->error.code)
			error_set(&doc->error, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < doc->keys_room; i++)
		if (doc->keys[i])
			*key_slot(grown, room, doc->keys[i], strlen(doc->keys[i])) = doc->keys[i];
	free(doc->keys);
	doc->keys = grown;
	doc->keys_room = room;
	return 0;
}

/* The document's copy of a key; NULL was recorded as -ENOMEM. */
static const char *key_copy(struct doc *doc, const char *key, size_t len)
{
	const char **slot;

	if (doc->n_keys * 2 >= doc->keys_room && keys_grow(doc) < 0)
		return NULL;
	slot = key_slot(doc->keys, doc->keys_room, key, len);
	if (!*slot) {
		*slot = doc_copy(doc, key, len);
		doc->n_keys += *slot != NULL;
	}
	return *slot;
}

/* ---- lookup ---- */

static bool has_table(const struct node *n)
{
	return n->type == NODE_OBJECT && n->room > NODE_LINEAR_MAX;
}

/* The slot that holds `key`, or the empty one where it belongs. Room is a power of two. */
static uint32_t *table_slot(const struct node *object, const char *key, size_t len)
{
	uint32_t *table = (uint32_t *)(object->children + object->room);
	uint32_t mask = object->room * 2 - 1;
	uint32_t i = (uint32_t)XXH3_64bits(key, len) & mask;

	for (;; i = (i + 1) & mask) {
		const char *k;

		if (!table[i])
			return &table[i];
		k = object->children[table[i] - 1]->key;
		if (!strncmp(k, key, len) && !k[len])
			return &table[i];
	}
}

struct node *node_find(const struct node *object, const char *key, size_t len)
{
	if (has_table(object)) {
		uint32_t at = *table_slot(object, key, len);

		return at ? object->children[at - 1] : NULL;
	}
	for (uint32_t i = 0; i < object->len; i++) {
		const char *k = object->children[i]->key;

		if (!strncmp(k, key, len) && !k[len])
			return object->children[i];
	}
	return NULL;
}

/* Of `room` children and their table. Both are powers of two and as long as each other. */
static size_t vector_size(const struct node *n, uint32_t room)
{
	bool table = n->type == NODE_OBJECT && room > NODE_LINEAR_MAX;

	return room * sizeof(struct node *) + (table ? room * 2 * sizeof(uint32_t) : 0);
}

static void **vector_class(struct doc *doc, size_t size)
{
	return &doc->spare[__builtin_ctzll(size)];
}

static void *vector_new(struct doc *doc, size_t size)
{
	void **class = vector_class(doc, size), *at = *class;

	if (!at)
		return doc_alloc(doc, size);
	*class = *(void **)at;
	return at;
}

static void vector_put(struct doc *doc, void *at, size_t size)
{
	void **class = vector_class(doc, size);

	*(void **)at = *class;
	*class = at;
}

static int grow(struct doc *doc, struct node *n)
{
	uint32_t room = n->room ? n->room * 2 : 4;
	bool table = n->type == NODE_OBJECT && room > NODE_LINEAR_MAX;
	struct node **children = vector_new(doc, vector_size(n, room));

	if (!children)
		return -ENOMEM;
	if (n->len)
		memcpy(children, n->children, n->len * sizeof(*children));
	if (n->room)
		vector_put(doc, n->children, vector_size(n, n->room));
	n->children = children;
	n->room = room;
	if (table) {
		memset(children + room, 0, room * 2 * sizeof(uint32_t));
		for (uint32_t i = 0; i < n->len; i++)
			*table_slot(n, children[i]->key, strlen(children[i]->key)) = i + 1;
	}
	return 0;
}

struct node *node_add(struct node *parent, const char *key, size_t key_len, enum node_type type)
{
	struct doc *doc;
	struct node *n;

	if (!parent)
		return NULL;
	doc = node_doc(parent);
	if (!node_is_container(parent) || (parent->type == NODE_OBJECT) != (key != NULL)) {
		node_complain(parent, key ? "not an object" : "not an array");
		return NULL;
	}
	if (parent->depth >= NODE_DEPTH_MAX) {
		node_complain(&doc->root, "nested deeper than %d", NODE_DEPTH_MAX);
		return NULL;
	}
	if (key && node_find(parent, key, key_len)) {
		node_complain_child(parent, key, 0, "given twice");
		return NULL;
	}
	if (parent->len == parent->room && grow(doc, parent) < 0)
		return NULL;
	n = doc_alloc(doc, sizeof(*n));
	if (!n)
		return NULL;
	*n = (struct node){ .parent = parent, .type = type, .depth = parent->depth + 1 };
	if (key) {
		n->key = key_copy(doc, key, key_len);
		if (!n->key)
			return NULL;
		if (has_table(parent))
			*table_slot(parent, key, key_len) = parent->len + 1;
	}
	parent->children[parent->len++] = n;
	doc->count++;
	return n;
}

/* ---- complaints ---- */

void text_printable(char *buf, size_t size, const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len && i + 1 < size; i++)
		buf[i] = text[i] >= ' ' && text[i] < 127 ? text[i] : '?';
	if (size)
		buf[i] = '\0';
	if (i < len && size > 4)
		memcpy(buf + size - 4, "...", 4);
}

static void path_step(char *buf, size_t size, const char *key, size_t index)
{
	size_t n = strlen(buf);
	char clean[80];

	if (key) {
		text_printable(clean, sizeof(clean), key, strlen(key));
		snprintf(buf + n, size - n, "%s%s", n ? "." : "", clean);
	} else {
		snprintf(buf + n, size - n, "[%zu]", index);
	}
}

static size_t index_in_parent(const struct node *n)
{
	size_t i = 0;

	while (n->parent->children[i] != n)
		i++;
	return i;
}

void node_path_text(const struct node *n, char *buf, size_t size)
{
	const struct node *up[NODE_DEPTH_MAX + 1];
	size_t k = 0;

	buf[0] = '\0';
	for (; n->parent; n = n->parent)
		up[k++] = n;
	while (k--)
		path_step(buf, size, up[k]->key, up[k]->key ? 0 : index_in_parent(up[k]));
}

void node_complain(const struct node *n, const char *format, ...)
{
	char path[512], text[1024];
	struct doc *doc;
	va_list ap;

	if (!n)
		return;
	doc = node_doc(n);
	if (doc->error.code)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	node_path_text(n, path, sizeof(path));
	error_set(&doc->error, -EBADMSG, "%s%s%s", path, path[0] ? ": " : "", text);
}

void node_complain_child(const struct node *n, const char *key, size_t index, const char *text)
{
	struct doc *doc = node_doc(n);
	char path[512];

	if (doc->error.code)
		return;
	node_path_text(n, path, sizeof(path));
	path_step(path, sizeof(path), key, index);
	error_set(&doc->error, -EBADMSG, "%s: %s", path, text);
}

int doc_check(const struct doc *doc, struct ct_error *err)
{
	if (!doc)
		return error_set(err, -ENOMEM, "out of memory");
	if (!doc->error.code)
		return 0;
	return error_set(err, doc->error.code, "%s", doc->error.text);
}

static const struct node *first_unread(const struct node *n)
{
	if (!n->read)
		return n;
	if (!node_is_container(n))
		return NULL;
	for (uint32_t i = 0; i < n->len; i++) {
		const struct node *u = first_unread(n->children[i]);

		if (u)
			return u;
	}
	return NULL;
}

int doc_check_all_read(const struct doc *doc, struct ct_error *err)
{
	const struct node *unread;
	char path[512];
	int r = doc_check(doc, err);

	if (r < 0)
		return r;
	unread = first_unread(&doc->root);
	if (!unread)
		return 0;
	node_path_text(unread, path, sizeof(path));
	return error_set(err, -EBADMSG, "%s: unknown to this version", path);
}
