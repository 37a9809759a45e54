/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest as a tree of values. This is the only place that knows JSON.
 *
 * Errors are sticky: puts and gets return nothing to check. What went wrong first (no memory, a
 * missing field, a wrong type, a number out of bounds) is recorded in the document, with the path
 * of the field; a reader gets zero, "" or NULL meanwhile, and asks doc_check() once before it acts
 * on what it read.
 *
 * Every get marks the field as read. doc_check_all_read() then names the first field that nobody
 * understood, so that an image from the future is refused and not half-restored.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ct_error;
struct doc;
struct node;

/* A new document whose root is an empty object; NULL: no memory. */
struct doc *doc_new(void);
void doc_free(struct doc *doc);
struct node *doc_root(struct doc *doc);

/* Parses untrusted JSON: bounded depth and size, duplicate keys refused. -EBADMSG, -ENOMEM. */
int doc_parse(const char *text, size_t len, struct doc **ret, struct ct_error *err);

/* The JSON text, canonical (the order of putting, two spaces of indent); the caller frees it. */
int doc_format(const struct doc *doc, char **ret, size_t *ret_len, struct ct_error *err);
/* The same text in pieces, to `write`, whose first negative errno ends it. */
int doc_write(const struct doc *doc, int (*write)(void *context, const void *data, size_t len),
	      void *context, struct ct_error *err);

/* 0, or the first error recorded in the document: -ENOMEM or -EBADMSG. */
int doc_check(const struct doc *doc, struct ct_error *err);
/* Also -EBADMSG where a field was never read. */
int doc_check_all_read(const struct doc *doc, struct ct_error *err);

/* Records a reader's own complaint ("processes[3].ppid: no such process"); the first counts. */
void node_complain(const struct node *n, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- putting: `key` is NULL to append to an array. A NULL parent (an error) is ignored. ---- */
struct node *node_put_object(struct node *parent, const char *key);
struct node *node_put_array(struct node *parent, const char *key);
void node_put_u64(struct node *parent, const char *key, uint64_t v);
void node_put_i64(struct node *parent, const char *key, int64_t v);
/* "0x1f": masks and bit sets. */
void node_put_hex(struct node *parent, const char *key, uint64_t v);
void node_put_bool(struct node *parent, const char *key, bool v);
/* Any bytes: valid UTF-8 is a JSON string, else {"base64": "..."}. NULL puts nothing. */
void node_put_str(struct node *parent, const char *key, const char *s);
void node_put_strings(struct node *parent, const char *key, const char *const *strings); /* up to a NULL */
/* Binary data, always {"base64": "..."}. */
void node_put_blob(struct node *parent, const char *key, const void *data, size_t len);

/* ---- getting: a missing field is an error, so ask node_has() for optional ones ---- */
/* A field that is null counts as absent. */
bool node_has(const struct node *n, const char *key);
const struct node *node_object(const struct node *n, const char *key); /* NULL-safe all through */
const struct node *node_array(const struct node *n, const char *key);
uint64_t node_u64(const struct node *n, const char *key, uint64_t max);
int64_t node_i64(const struct node *n, const char *key, int64_t min, int64_t max);
uint64_t node_hex(const struct node *n, const char *key);
bool node_bool(const struct node *n, const char *key);
/* No NUL inside; lives as long as the document. */
const char *node_str(const struct node *n, const char *key);
/* A path: a string that is absolute and has no "..", "." or empty component; else an error. */
const char *node_path(const struct node *n, const char *key);
const void *node_blob(const struct node *n, const char *key, size_t *ret_len);

/* Elements of an array; index from 0. node_at() marks the element as read. Constant time. */
size_t node_count(const struct node *array);
const struct node *node_at(const struct node *array, size_t index);
uint64_t node_at_u64(const struct node *array, size_t index, uint64_t max);
int64_t node_at_i64(const struct node *array, size_t index, int64_t min, int64_t max);
const char *node_at_str(const struct node *array, size_t index);

/* Marks a whole subtree as read: for parts that this version may ignore by the format's promise. */
void node_ignore(const struct node *n);

/* A deep copy of `from` below `to` (key or append). */
void node_copy(struct node *to, const char *key, const struct node *from);

/*
 * Compares two trees, fields called "volatile" (what runs on by itself) left out, and writes up to
 * `max` lines "path: 3 != 4" to `text` (at most `size` bytes, always NUL-terminated).
 * Returns the number of differences.
 */
size_t node_diff(const struct node *a, const struct node *b, size_t max, char *text, size_t size);
