/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind node.h share; nobody else includes this. */
#pragma once
#include "images/node.h"

#include "libct/base/error.h"

#define NODE_DEPTH_MAX 64	   /* nesting, in files we read and in files we write */
#define NODE_COUNT_MAX (8u << 20) /* values in a document, read or written: 0.5 GB of memory */
#define NODE_LINEAR_MAX 16	   /* objects with more keys have a hash table */

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
 * Children are reached through a vector of pointers, so nodes never move. An object with room for
 * more than NODE_LINEAR_MAX of them has 2 * room slots (index + 1, or 0) behind that vector.
 */
struct node {
	struct node *parent; /* NULL: the root, which is the first member of its struct doc */
	const char *key;     /* NULL in arrays */
	union {
		uint64_t magnitude;
		const char *text; /* STRING, NUMBER, BLOB: NUL behind it */
		struct node **children;
	};
	uint32_t len; /* bytes of text, or children */
	uint32_t room;
	uint8_t type;
	uint8_t depth;
	bool negative; /* INTEGER; BOOL keeps its value in `magnitude` */
	bool read;
};

struct arena_block;

#define NODE_SPARE_CLASSES 40

struct doc {
	struct node root;
	struct arena_block *blocks;
	/* Vectors of children that were outgrown, by the logarithm of their size: the next of each is its first word. */
	void *spare[NODE_SPARE_CLASSES];
	/* Every key once; a power of two of slots, at most half of them full. */
	const char **keys;
	size_t n_keys, keys_room;
	size_t count;
	struct ct_error error; /* the first one; code 0: none */
};

static inline bool node_is_container(const struct node *n)
{
	return n->type == NODE_OBJECT || n->type == NODE_ARRAY;
}

struct doc *node_doc(const struct node *n);

/* Memory that lives as long as the document; NULL was recorded as -ENOMEM. */
void *doc_alloc(struct doc *doc, size_t size);
const char *doc_copy(struct doc *doc, const void *data, size_t len);

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
