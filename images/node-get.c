// SPDX-License-Identifier: Apache-2.0
#include "images/node-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * The gets take a `const struct node *`: to their callers a document is read-only. Marking a field
 * as read and keeping a decoded blob are ours, hence the casts (every node lives in writable
 * memory).
 */
static struct node *writable(const struct node *n)
{
	return (struct node *)n;
}

static struct node *field(const struct node *n, const char *key)
{
	struct node *f;

	if (!n)
		return NULL;
	if (n->type != NODE_OBJECT) {
		node_complain(n, "not an object");
		return NULL;
	}
	f = node_find(n, key, strlen(key));
	if (!f) {
		node_complain_child(n, key, 0, "missing");
		return NULL;
	}
	f->read = true;
	return f;
}

static struct node *element(const struct node *n, size_t index)
{
	struct node *child;

	if (!n)
		return NULL;
	if (n->type != NODE_ARRAY) {
		node_complain(n, "not an array");
		return NULL;
	}
	if (index >= node_len(n)) {
		node_complain_child(n, NULL, index, "missing");
		return NULL;
	}
	child = node_child(n, (uint32_t)index);
	child->read = true;
	return child;
}

/* ---- values ---- */

static uint64_t to_u64(const struct node *n, uint64_t max)
{
	if (!n)
		return 0;
	if (n->type != NODE_INTEGER) {
		node_complain(n, n->type == NODE_NUMBER ? "not a 64-bit integer" : "not a number");
		return 0;
	}
	if (n->negative) {
		node_complain(n, "-%" PRIu64 " is negative", n->magnitude);
		return 0;
	}
	if (n->magnitude > max) {
		node_complain(n, "%" PRIu64 " is more than %" PRIu64, n->magnitude, max);
		return 0;
	}
	return n->magnitude;
}

static int64_t to_i64(const struct node *n, int64_t min, int64_t max)
{
	int64_t v;

	if (!n)
		return 0;
	if (n->type != NODE_INTEGER) {
		node_complain(n, n->type == NODE_NUMBER ? "not a 64-bit integer" : "not a number");
		return 0;
	}
	if (n->magnitude > (uint64_t)INT64_MAX + n->negative) {
		node_complain(n, "%s%" PRIu64 " is out of bounds", n->negative ? "-" : "",
			      n->magnitude);
		return 0;
	}
	v = (int64_t)(n->negative ? -n->magnitude : n->magnitude);
	if (v < min || v > max) {
		node_complain(n, "%" PRId64 " is not within %" PRId64 " and %" PRId64, v, min, max);
		return 0;
	}
	return v;
}

/* {"base64": "..."} becomes a blob in its place, which format writes the same way again. */
static void decode_blob(struct node *n)
{
	const struct node_text *text;
	struct node_text *data;
	ssize_t len;

	if (n->type != NODE_OBJECT || node_len(n) != 1 || strcmp(node_key(node_child(n, 0)), "base64") ||
	    node_child(n, 0)->type != NODE_STRING)
		return;
	text = node_child(n, 0)->text;
	data = doc_new_text(node_doc(n), text->len / 4 * 3);
	if (!data)
		return;
	len = base64_decode(text->bytes, text->len, (unsigned char *)data->bytes);
	if (len < 0) {
		node_complain(n, "not base64");
		return;
	}
	data->bytes[len] = '\0';
	data->len = (uint32_t)len;
	n->type = NODE_BLOB;
	n->text = data;
}

static const char *to_str(const struct node *n)
{
	if (!n)
		return "";
	decode_blob(writable(n));
	if (n->type != NODE_STRING && n->type != NODE_BLOB) {
		node_complain(n, "not a string");
		return "";
	}
	if (memchr(n->text->bytes, '\0', n->text->len)) {
		node_complain(n, "has a NUL inside");
		return "";
	}
	return n->text->bytes;
}

/* ---- fields ---- */

bool node_has(const struct node *n, const char *key)
{
	const struct node *f = n && n->type == NODE_OBJECT ? node_find(n, key, strlen(key)) : NULL;

	return f && f->type != NODE_NULL;
}

const struct node *node_object(const struct node *n, const char *key)
{
	const struct node *f = field(n, key);

	if (f && f->type != NODE_OBJECT) {
		node_complain(f, "not an object");
		return NULL;
	}
	return f;
}

const struct node *node_array(const struct node *n, const char *key)
{
	const struct node *f = field(n, key);

	if (f && f->type != NODE_ARRAY) {
		node_complain(f, "not an array");
		return NULL;
	}
	return f;
}

uint64_t node_u64(const struct node *n, const char *key, uint64_t max)
{
	return to_u64(field(n, key), max);
}

int64_t node_i64(const struct node *n, const char *key, int64_t min, int64_t max)
{
	return to_i64(field(n, key), min, max);
}

uint64_t node_hex(const struct node *n, const char *key)
{
	const struct node *f = field(n, key);
	uint64_t v = 0;
	const char *s;
	uint32_t len;

	if (!f)
		return 0;
	if (f->type != NODE_STRING)
		goto bad;
	/* Only what node_put_hex() writes: one text for one number. */
	s = f->text->bytes;
	len = f->text->len;
	if (len < 3 || len > 18 || memcmp(s, "0x", 2) || (s[2] == '0' && len > 3))
		goto bad;
	for (uint32_t i = 2; i < len; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			v = v << 4 | (uint64_t)(s[i] - '0');
		else if (s[i] >= 'a' && s[i] <= 'f')
			v = v << 4 | (uint64_t)(s[i] - 'a' + 10);
		else
			goto bad;
	}
	return v;
bad:
	node_complain(f, "not a hexadecimal number");
	return 0;
}

bool node_bool(const struct node *n, const char *key)
{
	const struct node *f = field(n, key);

	if (!f)
		return false;
	if (f->type != NODE_BOOL) {
		node_complain(f, "not true or false");
		return false;
	}
	return f->magnitude;
}

const char *node_str(const struct node *n, const char *key)
{
	return to_str(field(n, key));
}

static bool is_plain_path(const char *s)
{
	if (*s != '/')
		return false;
	if (!s[1])
		return true;
	while (*s) {
		size_t len = strcspn(++s, "/");

		if (!len || (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		s += len;
	}
	return true;
}

const char *node_path(const struct node *n, const char *key)
{
	const struct node *f = field(n, key);
	const char *s = to_str(f);

	if (!f || f->type == NODE_OBJECT || is_plain_path(s))
		return s;
	node_complain(f, "not an absolute path without '.', '..' and empty parts");
	return "";
}

const void *node_blob(const struct node *n, const char *key, size_t *ret_len)
{
	const struct node *f = field(n, key);

	*ret_len = 0;
	if (!f)
		return NULL;
	decode_blob(writable(f));
	if (f->type != NODE_BLOB) {
		node_complain(f, "not binary data");
		return NULL;
	}
	*ret_len = f->text->len;
	return f->text->bytes;
}

/* ---- elements ---- */

size_t node_count(const struct node *array)
{
	return array && array->type == NODE_ARRAY ? node_len(array) : 0;
}

const struct node *node_at(const struct node *array, size_t index)
{
	return element(array, index);
}

uint64_t node_at_u64(const struct node *array, size_t index, uint64_t max)
{
	return to_u64(element(array, index), max);
}

int64_t node_at_i64(const struct node *array, size_t index, int64_t min, int64_t max)
{
	return to_i64(element(array, index), min, max);
}

const char *node_at_str(const struct node *array, size_t index)
{
	return to_str(element(array, index));
}

void node_ignore(const struct node *n)
{
	if (!n)
		return;
	writable(n)->read = true;
	for (uint32_t i = 0; node_is_container(n) && i < node_len(n); i++)
		node_ignore(node_child(n, i));
}
