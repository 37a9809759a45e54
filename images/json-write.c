// SPDX-License-Identifier: Apache-2.0
/* Document to JSON text, in pieces: a manifest can be big, and is written without having all of it at once. */
#include "images/node-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 16384

struct output {
	const struct doc *doc;
	int (*write)(void *context, const void *data, size_t len);
	void *context;
	int error; /* sticky */
	size_t used;
	char piece[PIECE];
};

static void flush(struct output *o)
{
	if (!o->error && o->used)
		o->error = o->write(o->context, o->piece, o->used);
	o->used = 0;
}

static void put(struct output *o, const char *text, size_t len)
{
	while (len) {
		size_t n = len < PIECE - o->used ? len : PIECE - o->used;

		memcpy(o->piece + o->used, text, n);
		o->used += n;
		text += n;
		len -= n;
		if (o->used == PIECE)
			flush(o);
	}
}

static void put_char(struct output *o, char c)
{
	o->piece[o->used++] = c;
	if (o->used == PIECE)
		flush(o);
}

static void put_line(struct output *o, unsigned int depth)
{
	put_char(o, '\n');
	while (depth--)
		put(o, "  ", 2);
}

static void put_integer(struct output *o, const struct node *n)
{
	char text[20], *at = text + sizeof(text);
	uint64_t v = n->magnitude;

	do
		*--at = (char)('0' + v % 10);
	while (v /= 10);
	if (n->negative)
		put_char(o, '-');
	put(o, at, (size_t)(text + sizeof(text) - at));
}

static void put_escape(struct output *o, unsigned char c)
{
	static const char plain[] = "\"\"\\\\\bb\ff\nn\rr\tt", digits[] = "0123456789ABCDEF";
	char text[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };

	for (const char *p = plain; *p; p += 2) {
		if ((unsigned char)*p != c)
			continue;
		text[1] = p[1];
		put(o, text, 2);
		return;
	}
	put(o, text, sizeof(text));
}

static void put_string(struct output *o, const char *s, size_t len)
{
	size_t from = 0;

	put_char(o, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		put(o, s + from, i - from);
		put_escape(o, c);
		from = i + 1;
	}
	put(o, s + from, len - from);
	put_char(o, '"');
}

static void put_blob(struct output *o, const struct node *n)
{
	const struct node_text *data = n->text;
	char text[4096]; /* of three quarters as many bytes */

	put_char(o, '{');
	put_line(o, n->depth + 1u);
	put(o, "\"base64\": \"", 11);
	for (size_t i = 0, step; i < data->len; i += step) {
		step = data->len - i < sizeof(text) / 4 * 3 ? data->len - i : sizeof(text) / 4 * 3;
		base64_encode(data->bytes + i, step, text);
		put(o, text, base64_encoded_size(step));
	}
	put_char(o, '"');
	put_line(o, n->depth);
	put_char(o, '}');
}

static void put_node(struct output *o, const struct node *n);

static void put_children(struct output *o, const struct node *n)
{
	bool object = n->type == NODE_OBJECT;

	put_char(o, object ? '{' : '[');
	/* An empty one has an empty line. */
	if (!node_len(n))
		put_char(o, '\n');
	for (uint32_t i = 0; i < node_len(n) && !o->error; i++) {
		const struct node *c = doc_node(o->doc, n->children->at[i]);

		if (i)
			put_char(o, ',');
		put_line(o, c->depth);
		if (object) {
			put_string(o, o->doc->keys[c->key], strlen(o->doc->keys[c->key]));
			put(o, ": ", 2);
		}
		put_node(o, c);
	}
	put_line(o, n->depth);
	put_char(o, object ? '}' : ']');
}

static void put_node(struct output *o, const struct node *n)
{
	switch ((enum node_type)n->type) {
	case NODE_NULL:
		put(o, "null", 4);
		break;
	case NODE_BOOL:
		put(o, n->magnitude ? "true" : "false", n->magnitude ? 4 : 5);
		break;
	case NODE_INTEGER:
		put_integer(o, n);
		break;
	case NODE_NUMBER:
		put(o, n->text->bytes, n->text->len);
		break;
	case NODE_STRING:
		put_string(o, n->text->bytes, n->text->len);
		break;
	case NODE_BLOB:
		put_blob(o, n);
		break;
	case NODE_OBJECT:
	case NODE_ARRAY:
		put_children(o, n);
		break;
	}
}

int doc_write(const struct doc *doc, int (*write)(void *context, const void *data, size_t len),
	      void *context, struct ct_error *err)
{
	struct output o = { .doc = doc, .write = write, .context = context };
	int r = doc_check(doc, err);

	if (r < 0)
		return r;
	put_node(&o, doc_node(doc, NODE_ROOT));
	put_char(&o, '\n');
	flush(&o);
	return o.error < 0 ? error_errno(err, o.error, "write a document") : 0;
}

struct text {
	char *text;
	size_t len, room;
};

/* It grows by a quarter, in place where the kernel can move it. */
static int append(void *context, const void *data, size_t len)
{
	struct text *t = context;

	if (t->room - t->len <= len) {
		size_t room = t->len + len + 1 + t->len / 4;
		char *grown = realloc(t->text, room);

		if (!grown)
			return -ENOMEM;
		t->text = grown;
		t->room = room;
	}
	memcpy(t->text + t->len, data, len);
	t->len += len;
	t->text[t->len] = '\0';
	return 0;
}

int doc_format(const struct doc *doc, char **ret, size_t *ret_len, struct ct_error *err)
{
	struct text t = { 0 };
	int r = doc_write(doc, append, &t, err);

	if (r < 0) {
		free(t.text);
		return r;
	}
	*ret = t.text;
	*ret_len = t.len;
	return 0;
}
