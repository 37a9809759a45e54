// SPDX-License-Identifier: Apache-2.0
/* JSON text to document, through yajl. Numbers pass as text: 64 bits stay exact. */
#include "images/node-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "libct/base/cleanup.h"

DEFINE_CLEANUP(struct doc *, doc_free)
DEFINE_CLEANUP(yajl_handle, yajl_free)

/* ---- parsing ---- */

struct parser {
	struct doc *doc;
	struct node *in; /* the container that is open; NULL: before or behind the root */
	bool started;
	char *key; /* of the value to come */
	size_t key_len, key_room;
};

static struct node *value(struct parser *p, enum node_type type)
{
	struct node *n;

	if (!p->in) {
		node_complain(doc_root(p->doc), "not a JSON object");
		return NULL;
	}
	if (p->doc->count >= NODE_COUNT_MAX) {
		node_complain(doc_root(p->doc), "more than %u values", NODE_COUNT_MAX);
		return NULL;
	}
	n = node_add(p->in, p->in->type == NODE_OBJECT ? p->key : NULL, p->key_len, type);
	return n;
}

static int on_text(struct parser *p, enum node_type type, const void *text, size_t len)
{
	struct node *n = value(p, type);

	if (!n)
		return 0;
	n->text = doc_copy_text(p->doc, text, len);
	return n->text != NULL;
}

static int on_null(void *ctx)
{
	return value(ctx, NODE_NULL) != NULL;
}

static int on_bool(void *ctx, int v)
{
	struct node *n = value(ctx, NODE_BOOL);

	if (n)
		n->magnitude = v != 0;
	return n != NULL;
}

static int on_number(void *ctx, const char *text, size_t len)
{
	bool negative = text[0] == '-';
	uint64_t v = 0;
	struct node *n;

	for (size_t i = negative; i < len; i++) {
		unsigned int d = (unsigned int)(text[i] - '0');

		if (d > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v))
			return on_text(ctx, NODE_NUMBER, text, len);
	}
	if (negative && (!v || v > (uint64_t)INT64_MAX + 1))
		return on_text(ctx, NODE_NUMBER, text, len);
	n = value(ctx, NODE_INTEGER);
	if (!n)
		return 0;
	n->magnitude = v;
	n->negative = negative;
	return 1;
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
	return on_text(ctx, NODE_STRING, text, len);
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
	struct parser *p = ctx;

	if (memchr(text, '\0', len)) {
		node_complain(p->in, "a key has a NUL inside");
		return 0;
	}
	if (len >= p->key_room) {
		char *grown = realloc(p->key, len + 64);

		if (!grown) {
			error_set(&p->doc->error, -ENOMEM, "out of memory");
			return 0;
		}
		p->key = grown;
		p->key_room = len + 64;
	}
	memcpy(p->key, text, len);
	p->key[len] = '\0';
	p->key_len = len;
	return 1;
}

static int on_open(struct parser *p, enum node_type type)
{
	if (!p->started && type == NODE_OBJECT) {
		p->started = true;
		p->in = doc_root(p->doc);
		return 1;
	}
	p->in = value(p, type);
	return p->in != NULL;
}

static int on_object(void *ctx)
{
	return on_open(ctx, NODE_OBJECT);
}

static int on_array(void *ctx)
{
	return on_open(ctx, NODE_ARRAY);
}

static int on_close(void *ctx)
{
	struct parser *p = ctx;

	p->in = node_parent(p->in);
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_bool,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_object,
	.yajl_map_key = on_key,
	.yajl_end_map = on_close,
	.yajl_start_array = on_array,
	.yajl_end_array = on_close,
};

static int syntax_error(yajl_handle yajl, const char *text, size_t len, size_t at,
			struct ct_error *err)
{
	unsigned char *words = yajl_get_error(yajl, 0, (const unsigned char *)text, len);
	char clean[160];

	text_printable(clean, sizeof(clean), words ? (char *)words : "",
		       words ? strcspn((char *)words, "\n") : 0);
	yajl_free_error(yajl, words);
	return error_set(err, -EBADMSG, "not JSON near byte %zu: %s", at, clean);
}

int doc_parse(const char *text, size_t len, struct doc **ret, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();
	__cleanup(yajl_free_cleanup) yajl_handle yajl = NULL;
	struct parser p = { .doc = doc };
	yajl_status status;
	size_t at;

	if (len > UINT32_MAX)
		return error_set(err, -EBADMSG, "longer than %" PRIu32 " bytes", UINT32_MAX);
	yajl = doc ? yajl_alloc(&callbacks, NULL, &p) : NULL;
	if (!yajl)
		return error_set(err, -ENOMEM, "out of memory");
	status = yajl_parse(yajl, (const unsigned char *)text, len);
	at = status == yajl_status_ok ? len : yajl_get_bytes_consumed(yajl);
	if (status == yajl_status_ok)
		status = yajl_complete_parse(yajl);
	free(p.key);
	if (status == yajl_status_client_canceled || doc->error.code)
		return doc_check(doc, err);
	if (status != yajl_status_ok)
		return syntax_error(yajl, text, len, at, err);
	*ret = take_ptr(doc);
	return 0;
}
