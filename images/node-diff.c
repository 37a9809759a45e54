// SPDX-License-Identifier: Apache-2.0
#include "images/node-impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct diff {
	char path[512];
	char *text;
	size_t size, used;
	size_t max, found;
};

static void describe(const struct node *n, char *buf, size_t size)
{
	char clean[80];

	if (!n) {
		snprintf(buf, size, "(absent)");
		return;
	}
	switch ((enum node_type)n->type) {
	case NODE_NULL:
		snprintf(buf, size, "null");
		break;
	case NODE_BOOL:
		snprintf(buf, size, "%s", n->magnitude ? "true" : "false");
		break;
	case NODE_INTEGER:
		snprintf(buf, size, "%s%" PRIu64, n->negative ? "-" : "", n->magnitude);
		break;
	case NODE_NUMBER:
		text_printable(buf, size, n->text->bytes, n->text->len);
		break;
	case NODE_STRING:
		text_printable(clean, sizeof(clean), n->text->bytes, n->text->len);
		snprintf(buf, size, "\"%s\"", clean);
		break;
	case NODE_BLOB:
		snprintf(buf, size, "(%" PRIu32 " bytes)", n->text->len);
		break;
	case NODE_OBJECT:
		snprintf(buf, size, "(an object)");
		break;
	case NODE_ARRAY:
		snprintf(buf, size, "(an array of %" PRIu32 ")", node_len(n));
		break;
	}
}

static void report(struct diff *d, const struct node *a, const struct node *b)
{
	char left[96], right[96];
	int n;

	if (d->found++ >= d->max || d->used + 1 >= d->size)
		return;
	describe(a, left, sizeof(left));
	describe(b, right, sizeof(right));
	n = snprintf(d->text + d->used, d->size - d->used, "%s%s%s%s != %s", d->used ? "\n" : "",
		     d->path, d->path[0] ? ": " : "", left, right);
	d->used += (size_t)n;
	if (d->used >= d->size)
		d->used = d->size - 1;
}

static bool same_leaf(const struct node *a, const struct node *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == NODE_STRING || a->type == NODE_NUMBER || a->type == NODE_BLOB)
		return a->text->len == b->text->len &&
		       !memcmp(a->text->bytes, b->text->bytes, a->text->len);
	return a->type == NODE_NULL || (a->magnitude == b->magnitude && a->negative == b->negative);
}

/* A blob that was asked for is decoded, one that was not is still the object it was parsed as. */
static bool same_blob(const struct node *a, const struct node *b)
{
	const struct node_text *blob = a->type == NODE_BLOB ? a->text : b->text, *text;
	const struct node *object = a->type == NODE_BLOB ? b : a;
	unsigned char quad[4];

	if (object->type != NODE_OBJECT || node_len(object) != 1 ||
	    strcmp(node_key(node_child(object, 0)), "base64") ||
	    node_child(object, 0)->type != NODE_STRING)
		return false;
	text = node_child(object, 0)->text;
	if (text->len != base64_encoded_size(blob->len))
		return false;
	for (uint32_t i = 0, k = 0; i < blob->len; i += 3, k += 4) {
		base64_encode(blob->bytes + i, blob->len - i < 3 ? blob->len - i : 3, (char *)quad);
		if (memcmp(quad, text->bytes + k, 4))
			return false;
	}
	return true;
}

static void compare(struct diff *d, const struct node *a, const struct node *b);

static void compare_child(struct diff *d, const char *key, size_t index, const struct node *a,
			  const struct node *b)
{
	size_t end = strlen(d->path);
	char clean[80];

	if (key) {
		text_printable(clean, sizeof(clean), key, strlen(key));
		snprintf(d->path + end, sizeof(d->path) - end, "%s%s", end ? "." : "", clean);
	} else {
		snprintf(d->path + end, sizeof(d->path) - end, "[%zu]", index);
	}
	compare(d, a, b);
	d->path[end] = '\0';
}

static void compare_objects(struct diff *d, const struct node *a, const struct node *b)
{
	for (uint32_t i = 0; i < node_len(a); i++) {
		const char *key = node_key(node_child(a, i));

		compare_child(d, key, 0, node_child(a, i), node_find(b, key, strlen(key)));
	}
	for (uint32_t i = 0; i < node_len(b); i++) {
		const char *key = node_key(node_child(b, i));

		if (!node_find(a, key, strlen(key)))
			compare_child(d, key, 0, NULL, node_child(b, i));
	}
}

static void compare_arrays(struct diff *d, const struct node *a, const struct node *b)
{
	for (uint32_t i = 0; i < node_len(a) || i < node_len(b); i++)
		compare_child(d, NULL, i, i < node_len(a) ? node_child(a, i) : NULL,
			      i < node_len(b) ? node_child(b, i) : NULL);
}

static void compare(struct diff *d, const struct node *a, const struct node *b)
{
	const struct node *either = a ? a : b;

	if (either && either->key && !strcmp(node_key(either), "volatile"))
		return;
	if (!a || !b) {
		if (a != b)
			report(d, a, b);
	} else if (a->type == NODE_OBJECT && b->type == NODE_OBJECT) {
		compare_objects(d, a, b);
	} else if (a->type == NODE_ARRAY && b->type == NODE_ARRAY) {
		compare_arrays(d, a, b);
	} else if ((a->type == NODE_BLOB) != (b->type == NODE_BLOB)) {
		if (!same_blob(a, b))
			report(d, a, b);
	} else if (a->type != b->type || !same_leaf(a, b)) {
		report(d, a, b);
	}
}

size_t node_diff(const struct node *a, const struct node *b, size_t max, char *text, size_t size)
{
	struct diff d = { .text = text, .size = size, .max = max };

	if (size)
		text[0] = '\0';
	compare(&d, a, b);
	return d.found;
}
