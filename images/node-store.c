// SPDX-License-Identifier: Apache-2.0
/* A document's memory: pages of nodes, texts, lists of children, keys. */
#include "images/node-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define BLOCK_SIZE (16u << 10)
#define BLOCK_SIZE_MAX (4u << 20)
#define PAGES_AT_ONCE 4
#define PAGES_AT_ONCE_MAX 256
#define LIST_ROOM 2 /* the smallest list is 16 bytes long, each next one twice as long */

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	max_align_t data[];
};

int doc_no_memory(struct doc *doc)
{
	if (!doc->error.code)
		error_set(&doc->error, -ENOMEM, "out of memory");
	return -ENOMEM;
}

struct doc *doc_new(void)
{
	struct doc *doc = calloc(1, sizeof(*doc));
	struct node *root;

	if (!doc)
		return NULL;
	doc->next = NODE_ROOT;
	root = doc_new_node(doc);
	if (!root) {
		doc_free(doc);
		return NULL;
	}
	*root = (struct node){ .type = NODE_OBJECT, .read = true };
	return doc;
}

void doc_free(struct doc *doc)
{
	if (!doc)
		return;
	for (uint32_t i = 0, n; i < doc->n_pages; i += n) {
		n = doc->pages[i]->allocated;
		free(doc->pages[i]);
	}
	while (doc->blocks) {
		struct arena_block *next = doc->blocks->next;

		free(doc->blocks);
		doc->blocks = next;
	}
	free(doc->pages);
	free(doc->keys);
	free(doc->key_slots);
	free(doc);
}

struct node *doc_root(struct doc *doc)
{
	return doc ? doc_node(doc, NODE_ROOT) : NULL;
}

/* ---- nodes ---- */

static int add_page(struct doc *doc)
{
	struct node_page *page;

	if (doc->n_pages == doc->pages_room) {
		uint32_t room = doc->pages_room ? doc->pages_room * 2 : 16;
		struct node_page **grown = realloc(doc->pages, room * sizeof(struct node_page *));

		if (!grown)
			return doc_no_memory(doc);
		doc->pages = grown;
		doc->pages_room = room;
	}
	if (doc->pages_ready) {
		page = (struct node_page *)((char *)doc->pages[doc->n_pages - 1] + NODE_PAGE);
		page->allocated = 0;
	} else {
		uint32_t n = doc->n_pages < PAGES_AT_ONCE     ? PAGES_AT_ONCE
			     : doc->n_pages < PAGES_AT_ONCE_MAX ? doc->n_pages
								: PAGES_AT_ONCE_MAX;

		page = aligned_alloc(NODE_PAGE, (size_t)n * NODE_PAGE);
		if (!page)
			return doc_no_memory(doc);
		page->allocated = doc->pages_ready = n;
	}
	page->doc = doc;
	page->number = doc->n_pages;
	doc->pages[doc->n_pages++] = page;
	doc->pages_ready--;
	return 0;
}

struct node *doc_new_node(struct doc *doc)
{
	if (doc->next / NODES_PER_PAGE == doc->n_pages && add_page(doc) < 0)
		return NULL;
	/* The first place of a page is its head's. */
	if (doc->next % NODES_PER_PAGE == 0)
		doc->next++;
	return doc_node(doc, doc->next++);
}

/* ---- all else ---- */

static void *doc_alloc(struct doc *doc, size_t size)
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
			doc_no_memory(doc);
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

struct node_text *doc_new_text(struct doc *doc, size_t len)
{
	struct node_text *text = doc_alloc(doc, sizeof(*text) + len + 1);

	if (text) {
		text->len = (uint32_t)len;
		text->bytes[len] = '\0';
	}
	return text;
}

const struct node_text *doc_copy_text(struct doc *doc, const void *data, size_t len)
{
	struct node_text *text = doc_new_text(doc, len);

	if (text && len)
		memcpy(text->bytes, data, len);
	return text;
}

/* ---- keys: there are few, given again and again ---- */

static uint32_t *key_slot(const struct doc *doc, const char *key, size_t len)
{
	uint32_t mask = doc->keys_room * 2 - 1, i = (uint32_t)XXH3_64bits(key, len) & mask;

	for (;; i = (i + 1) & mask) {
		uint32_t at = doc->key_slots[i];

		if (!at || (!strncmp(doc->keys[at], key, len) && !doc->keys[at][len]))
			return &doc->key_slots[i];
	}
}

static int keys_grow(struct doc *doc)
{
	uint32_t room = doc->keys_room ? doc->keys_room * 2 : 128;
	uint32_t *slots = calloc(room * 2, sizeof(*slots));
	const char **keys = slots ? realloc(doc->keys, room * sizeof(*keys)) : NULL;

	if (!keys) {
		free(slots);
		return doc_no_memory(doc);
	}
	free(doc->key_slots);
	doc->keys = keys;
	doc->key_slots = slots;
	doc->keys_room = room;
	for (uint32_t i = 1; i <= doc->n_keys; i++)
		*key_slot(doc, keys[i], strlen(keys[i])) = i;
	return 0;
}

uint32_t doc_find_key(const struct doc *doc, const char *key, size_t len)
{
	return doc->n_keys ? *key_slot(doc, key, len) : 0;
}

uint32_t doc_add_key(struct doc *doc, const char *key, size_t len)
{
	const struct node_text *copy;
	uint32_t *slot;

	if (doc->n_keys + 1 >= doc->keys_room && keys_grow(doc) < 0)
		return 0;
	slot = key_slot(doc, key, len);
	if (!*slot) {
		copy = doc_copy_text(doc, key, len);
		if (!copy)
			return 0;
		doc->keys[++doc->n_keys] = copy->bytes;
		*slot = doc->n_keys;
	}
	return *slot;
}

/* ---- lists of children ---- */

/* A power of two: those of the head count. */
static uint32_t list_places(uint32_t room)
{
	return room + sizeof(struct node_list) / sizeof(uint32_t);
}

/* Twice as many places, of two bytes where these can name a child. */
static size_t table_size(const struct node *n, uint32_t room)
{
	if (n->type != NODE_OBJECT || room <= NODE_LINEAR_MAX)
		return 0;
	return list_places(room) * 2 * (room < UINT16_MAX ? sizeof(uint16_t) : sizeof(uint32_t));
}

static uint32_t table_get(const struct node_list *list, uint32_t i)
{
	const void *table = list->at + list->room;

	return list->room < UINT16_MAX ? ((const uint16_t *)table)[i] : ((const uint32_t *)table)[i];
}

static void table_set(struct node_list *list, uint32_t i, uint32_t v)
{
	void *table = list->at + list->room;

	if (list->room < UINT16_MAX)
		((uint16_t *)table)[i] = (uint16_t)v;
	else
		((uint32_t *)table)[i] = v;
}

/* The place that holds the number of the child with that key, from 1 on, or the empty one where it belongs. */
static uint32_t table_place(const struct doc *doc, const struct node_list *list, uint32_t key)
{
	uint32_t mask = list_places(list->room) * 2 - 1;
	uint32_t i = (uint32_t)XXH3_64bits(&key, sizeof(key)) & mask, at;

	for (;; i = (i + 1) & mask) {
		at = table_get(list, i);
		if (!at || doc_node(doc, list->at[at - 1])->key == key)
			return i;
	}
}

struct node *doc_find_child(const struct doc *doc, const struct node *object, uint32_t key)
{
	const struct node_list *list = object->children;

	if (list && list->room > NODE_LINEAR_MAX) {
		uint32_t at = table_get(list, table_place(doc, list, key));

		return at ? doc_node(doc, list->at[at - 1]) : NULL;
	}
	for (uint32_t i = 0; list && i < list->len; i++) {
		struct node *c = doc_node(doc, list->at[i]);

		if (c->key == key)
			return c;
	}
	return NULL;
}

static void **list_class(struct doc *doc, const struct node *n, uint32_t room)
{
	return &doc->spare[table_size(n, room) > 0][__builtin_ctz(list_places(room))];
}

static int grow(struct doc *doc, struct node *n)
{
	struct node_list *old = n->children, *list;
	uint32_t room = old ? list_places(old->room) * 2 - list_places(0) : LIST_ROOM;
	void **class = list_class(doc, n, room);

	list = *class;
	if (list)
		*class = *(void **)list;
	else
		list = doc_alloc(doc, list_places(room) * sizeof(uint32_t) + table_size(n, room));
	if (!list)
		return -ENOMEM;
	list->len = node_len(n);
	list->room = room;
	memset(list->at + room, 0, table_size(n, room));
	if (old) {
		memcpy(list->at, old->at, old->len * sizeof(*old->at));
		class = list_class(doc, n, old->room);
		*(void **)old = *class;
		*class = old;
	}
	for (uint32_t i = 0; table_size(n, room) && i < list->len; i++)
		table_set(list, table_place(doc, list, doc_node(doc, list->at[i])->key), i + 1);
	n->children = list;
	return 0;
}

int doc_add_child(struct doc *doc, struct node *parent, struct node *child)
{
	struct node_list *list = parent->children;

	if ((!list || list->len == list->room) && grow(doc, parent) < 0)
		return -ENOMEM;
	list = parent->children;
	if (table_size(parent, list->room))
		table_set(list, table_place(doc, list, child->key), list->len + 1);
	list->at[list->len++] = node_index(child);
	return 0;
}
