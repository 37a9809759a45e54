/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind node.h share; nobody else includes this. */
#pragma once
#include "images/node.h"

#include "libct/base/error.h"

#define NODE_DEPTH_MAX 64	   /* nesting, in files we read and in files we write */
#define NODE_COUNT_MAX (8u << 20) /* values in a document, read or written: 0.3 GB of memory */
#define NODE_LINEAR_MAX 14	   /* objects with room for more keys have a table */

enum node_type {
	NODE_NULL,
	NODE_BOOL,
	NODE_INTEGER, /* magnitude and sign: all of u64 and i64 */
	NODE_NUMBER,  /* any other number, as its text: nobody here understands it */
	NODE_STRING,
	NODE_BLOB, /* decoded; an object {"base64": ...} becomes one when it is first asked for */
	NODE_OBJECT,
	NODE_ARRAY,
};

/*
 * A value in 16 bytes: a manifest has a million of them. Nodes never move. They lie in pages, aligned to their size,
 * each of which begins with whose it is; so a node leads to its document, and another one is named by its index.
 */
struct node {
	union {
		uint64_t magnitude;	     /* INTEGER, BOOL */
		const struct node_text *text; /* STRING, NUMBER, BLOB */
		struct node_list *children;  /* OBJECT, ARRAY; NULL: none */
	};
	uint32_t parent : 24; /* 0: the root */
	uint32_t depth : 8;
	uint32_t key : 24; /* 0: in arrays */
	uint32_t type : 4;
	uint32_t negative : 1; /* INTEGER */
	uint32_t read : 1;
};

struct node_text {
	uint32_t len;
	char bytes[]; /* NUL behind them */
};

/* Behind those of objects with more room than NODE_LINEAR_MAX is a table of where among them a key is. */
struct node_list {
	uint32_t len, room;
	uint32_t at[]; /* indices of nodes */
};

#define NODE_PAGE 4096
#define NODES_PER_PAGE (NODE_PAGE / sizeof(struct node))
#define NODE_ROOT 1 /* its index */

/* In the place of a page's first node. */
struct node_page {
	struct doc *doc;
	uint32_t number;
	uint32_t allocated; /* pages that were allocated at once, from this one on; 0: with one before */
};

_Static_assert(sizeof(struct node) == 16 && sizeof(struct node_page) == 16, "the size of a node");
_Static_assert(NODE_COUNT_MAX + NODE_COUNT_MAX / 128 < 1u << 24, "an index has 24 bits");

struct arena_block;

#define NODE_SPARE_CLASSES 28

struct doc {
	struct node_page **pages;
	uint32_t n_pages, pages_room;
	uint32_t pages_ready; /* allocated, from the last one on */
	uint32_t next;	      /* the index of the next node */
	struct arena_block *blocks;
	/*
	 * Lists of children that were outgrown, without and with a table, by the logarithm of their places: the next of
	 * each is its first word.
	 */
	void *spare[2][NODE_SPARE_CLASSES];
	/* Every key once, by its number; and a table of these numbers, a power of two, at most half of it full. */
	const char **keys;
	uint32_t *key_slots;
	uint32_t n_keys, keys_room;
	uint32_t count;
	struct ct_error error; /* the first one; code 0: none */
};

static inline bool node_is_container(const struct node *n)
{
	return n->type == NODE_OBJECT || n->type == NODE_ARRAY;
}

/* The page that a node lies in. */
static inline struct node_page *node_page(const struct node *n)
{
	return (struct node_page *)((uintptr_t)n & ~(uintptr_t)(NODE_PAGE - 1));
}

static inline struct doc *node_doc(const struct node *n)
{
	return node_page(n)->doc;
}

static inline uint32_t node_index(const struct node *n)
{
	const struct node_page *page = node_page(n);

	return page->number * (uint32_t)NODES_PER_PAGE + (uint32_t)(n - (const struct node *)page);
}

static inline struct node *doc_node(const struct doc *doc, uint32_t index)
{
	return (struct node *)doc->pages[index / NODES_PER_PAGE] + index % NODES_PER_PAGE;
}

/* NULL: the root's. */
static inline struct node *node_parent(const struct node *n)
{
	return n->parent ? doc_node(node_doc(n), n->parent) : NULL;
}

/* NULL: in an array, or the root's. */
static inline const char *node_key(const struct node *n)
{
	return n->key ? node_doc(n)->keys[n->key] : NULL;
}

/* The children of a container. */
static inline uint32_t node_len(const struct node *n)
{
	return n->children ? n->children->len : 0;
}

static inline struct node *node_child(const struct node *n, uint32_t i)
{
	return doc_node(node_doc(n), n->children->at[i]);
}

/* Memory that lives as long as the document; NULL was recorded as -ENOMEM. */
struct node *doc_new_node(struct doc *doc);
struct node_text *doc_new_text(struct doc *doc, size_t len);
const struct node_text *doc_copy_text(struct doc *doc, const void *data, size_t len);
int doc_add_child(struct doc *doc, struct node *parent, struct node *child);

/* The number of a key: 0 where the document has none such, or of doc_add_key() where there was no memory. */
uint32_t doc_find_key(const struct doc *doc, const char *key, size_t len);
uint32_t doc_add_key(struct doc *doc, const char *key, size_t len);

struct node *doc_find_child(const struct doc *doc, const struct node *object, uint32_t key);
int doc_no_memory(struct doc *doc);

/* The child with that key, or NULL. Marks and complains about nothing. */
struct node *node_find(const struct node *object, const char *key, size_t len);

/*
 * Appends an empty child; NULL was recorded (no memory, a key twice, too deep, a key where none
 * belongs) or `parent` is NULL. `key` is copied.
 */
struct node *node_add(struct node *parent, const char *key, size_t key_len, enum node_type type);

/* Records a complaint about child `key` of `n` (or element `index` where key is NULL). */
void node_complain_child(const struct node *n, const char *key, size_t index, const char *text);

/* The path of a node ("processes[3].ppid"), cut to fit; "" for the root. */
void node_path_text(const struct node *n, char *buf, size_t size);

/* Copies untrusted text for people: what is not printable ASCII becomes '?'; cut to fit. */
void text_printable(char *buf, size_t size, const char *text, size_t len);

bool utf8_valid(const char *s, size_t len);

size_t base64_encoded_size(size_t len);
void base64_encode(const void *data, size_t len, char *ret); /* no NUL */
/* Strict: padding, no spaces, no stray bits. `ret` has room for len / 4 * 3. -EBADMSG. */
ssize_t base64_decode(const char *text, size_t len, unsigned char *ret);
