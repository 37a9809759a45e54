// SPDX-License-Identifier: Apache-2.0
#include "images/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "images/node.h"
#include "libct/base/cleanup.h"
#include "libct/base/error.h"

#define END_VERSION 1

DEFINE_CLEANUP(struct doc *, doc_free)

int rows_add(struct rows *rows, const char *name, uint64_t size, uint64_t xxh3)
{
	struct row *row;

	if (rows->n == rows->room) {
		size_t room = rows->room ? rows->room * 2 : 64;

		row = reallocarray(rows->row, room, sizeof(*row));
		if (!row)
			return -ENOMEM;
		rows->row = row;
		rows->room = room;
	}
	row = &rows->row[rows->n++];
	snprintf(row->name, sizeof(row->name), "%s", name);
	row->size = size;
	row->xxh3 = xxh3;
	return 0;
}

void rows_release(struct rows *rows)
{
	free(rows->row);
	*rows = (struct rows){ 0 };
}

int rows_digest(struct rows *rows)
{
	XXH3_state_t *state = XXH3_createState();
	XXH128_hash_t hash;

	if (!state)
		return -ENOMEM;
	XXH3_128bits_reset(state);
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *row = &rows->row[i];
		char line[ROW_NAME_MAX + 48];
		int n = snprintf(line, sizeof(line), "%s %" PRIu64 " %016" PRIx64 "\n", row->name,
				 row->size, row->xxh3);

		XXH3_128bits_update(state, line, (size_t)n);
	}
	hash = XXH3_128bits_digest(state);
	XXH3_freeState(state);
	snprintf(rows->digest, DIGEST_TEXT, "%016" PRIx64 "%016" PRIx64, hash.high64, hash.low64);
	return 0;
}

int end_format(struct rows *rows, char **ret, size_t *ret_len, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();
	struct node *list;
	char text[17];

	if (!doc)
		return error_set(err, -ENOMEM, "out of memory");
	node_put_u64(doc_root(doc), "version", END_VERSION);
	list = node_put_array(doc_root(doc), "members");
	for (size_t i = 0; i < rows->n; i++) {
		struct node *row = node_put_object(list, NULL);

		node_put_str(row, "name", rows->row[i].name);
		node_put_u64(row, "size", rows->row[i].size);
		snprintf(text, sizeof(text), "%016" PRIx64, rows->row[i].xxh3);
		node_put_str(row, "xxh3", text);
	}
	if (rows_digest(rows) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	node_put_str(doc_root(doc), "digest", rows->digest);
	return doc_format(doc, ret, ret_len, err);
}

static int check_row(const struct row *seen, const struct node *row, struct ct_error *err)
{
	const char *name = node_str(row, "name"), *xxh3 = node_str(row, "xxh3");
	uint64_t size = node_u64(row, "size", UINT64_MAX);
	char expected[17];

	if (strcmp(name, seen->name))
		return error_set(err, -EBADMSG, "%s: not the member that end.json lists there",
				 seen->name);
	if (size != seen->size)
		return error_set(err, -EBADMSG, "%s: size differs from end.json", seen->name);
	snprintf(expected, sizeof(expected), "%016" PRIx64, seen->xxh3);
	if (strcmp(xxh3, expected))
		return error_set(err, -EBADMSG, "%s: checksum differs from end.json", seen->name);
	return 0;
}

static int check_doc(struct rows *rows, const struct doc *doc, const struct node *root,
		     struct ct_error *err)
{
	const struct node *list;
	uint64_t version = node_u64(root, "version", UINT64_MAX);
	int r = doc_check(doc, err);

	if (r < 0)
		return error_prefix(err, r, "end.json");
	if (version != END_VERSION)
		return error_set(err, -EPROTONOSUPPORT,
				 "end.json: version %" PRIu64 " is not known here", version);
	list = node_array(root, "members");
	if (list && node_count(list) != rows->n)
		return error_set(err, -EBADMSG, "end.json: lists %zu members, the image has %zu",
				 node_count(list), rows->n);
	for (size_t i = 0; list && i < rows->n; i++) {
		const struct node *row = node_at(list, i);

		/* Read first, then judge: a row without a name is end.json's fault. */
		(void)node_str(row, "name");
		(void)node_u64(row, "size", UINT64_MAX);
		(void)node_str(row, "xxh3");
		r = doc_check(doc, err);
		if (r < 0)
			return error_prefix(err, r, "end.json");
		r = check_row(&rows->row[i], row, err);
		if (r < 0)
			return r;
	}
	if (rows_digest(rows) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	if (strcmp(node_str(root, "digest"), rows->digest) && !doc_check(doc, NULL))
		return error_set(err, -EBADMSG, "end.json: the digest differs");
	r = doc_check_all_read(doc, err);
	return r < 0 ? error_prefix(err, r, "end.json") : 0;
}

int end_check(struct rows *rows, const char *text, size_t len, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	int r = doc_parse(text, len, &doc, err);

	if (r < 0)
		return error_prefix(err, r, "end.json");
	return check_doc(rows, doc, doc_root(doc), err);
}
