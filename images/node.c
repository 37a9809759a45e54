// SPDX-License-Identifier: Apache-2.0
/* Documents and their nodes: lookup, adding, complaints. Their memory, putting and getting are next door. */
#include "images/node-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- lookup ---- */

struct node *node_find(const struct node *object, const char *key, size_t len)
{
	uint32_t number = doc_find_key(node_doc(object), key, len);

	return number ? doc_find_child(node_doc(object), object, number) : NULL;
}

struct node *node_add(struct node *parent, const char *key, size_t key_len, enum node_type type)
{
	uint32_t number = 0;
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
		node_complain(doc_root(doc), "nested deeper than %d", NODE_DEPTH_MAX);
		return NULL;
	}
	if (doc->count >= NODE_COUNT_MAX) {
		if (!doc->error.code)
			error_set(&doc->error, -EOPNOTSUPP, "more than %u values, which nobody would read",
				  NODE_COUNT_MAX);
		return NULL;
	}
	if (key) {
		number = doc_add_key(doc, key, key_len);
		if (!number)
			return NULL;
		if (doc_find_child(doc, parent, number)) {
			node_complain_child(parent, key, 0, "given twice");
			return NULL;
		}
	}
	n = doc_new_node(doc);
	if (!n)
		return NULL;
	*n = (struct node){ .parent = node_index(parent) & 0xffffff, .type = type & 0xf,
			    .depth = (parent->depth + 1) & 0xff, .key = number & 0xffffff };
	if (doc_add_child(doc, parent, n) < 0)
		return NULL;
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

	while (node_child(node_parent(n), (uint32_t)i) != n)
		i++;
	return i;
}

void node_path_text(const struct node *n, char *buf, size_t size)
{
	const struct node *up[NODE_DEPTH_MAX + 1];
	size_t k = 0;

	buf[0] = '\0';
	for (; n->parent; n = node_parent(n))
		up[k++] = n;
	while (k--)
		path_step(buf, size, node_key(up[k]), up[k]->key ? 0 : index_in_parent(up[k]));
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
	for (uint32_t i = 0; i < node_len(n); i++) {
		const struct node *u = first_unread(node_child(n, i));

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
	unread = first_unread(doc_node(doc, NODE_ROOT));
	if (!unread)
		return 0;
	node_path_text(unread, path, sizeof(path));
	return error_set(err, -EBADMSG, "%s: unknown to this version", path);
}
