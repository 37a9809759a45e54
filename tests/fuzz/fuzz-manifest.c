// SPDX-License-Identifier: Apache-2.0
/* Manifests: whatever the bytes are, parsing, asking, comparing and printing them is harmless. */
#include <stdlib.h>
#include <string.h>

#include "images/node.h"
#include "libct/libct.h"
#include "tests/fuzz/fuzz.h"

/* Asks every question about a value, the wrong ones too. */
static void ask(const struct node *n, int depth)
{
	static const char *const keys[] = { "", "a", "version", "pod", "base64" };
	size_t len;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!node_has(n, keys[i]))
			continue;
		node_u64(n, keys[i], 1000);
		node_i64(n, keys[i], -5, 5);
		node_hex(n, keys[i]);
		node_bool(n, keys[i]);
		node_str(n, keys[i]);
		node_path(n, keys[i]);
		node_blob(n, keys[i], &len);
		if (depth < 8)
			ask(node_object(n, keys[i]), depth + 1);
		n = node_array(n, keys[i]) ? node_array(n, keys[i]) : n;
	}
	for (size_t i = 0; i < node_count(n) && i < 20; i++) {
		node_at_u64(n, i, UINT64_MAX);
		node_at_str(n, i);
		if (depth < 8)
			ask(node_at(n, i), depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ct_error err = { 0 };
	struct doc *doc = NULL, *again = NULL, *copy;
	char *text = NULL, *text_again = NULL, diff[512];
	size_t len = 0;

	if (doc_parse((const char *)data, size, &doc, &err) < 0)
		return 0;
	/* What was read can be written, and reads back as the same. */
	if (doc_format(doc, &text, &len, &err) < 0 || doc_parse(text, len, &again, &err) < 0 ||
	    node_diff(doc_root(doc), doc_root(again), 4, diff, sizeof(diff)))
		abort();
	if (doc_format(again, &text_again, &len, &err) < 0 || strcmp(text, text_again))
		abort();
	copy = doc_new();
	node_copy(doc_root(copy), "a", doc_root(doc));
	if (doc_check(copy, &err) == 0 &&
	    node_diff(node_object(doc_root(copy), "a"), doc_root(doc), 4, diff, sizeof(diff)))
		abort();
	ask(doc_root(doc), 0);
	doc_check(doc, &err);
	doc_check_all_read(doc, &err);
	/* Asking turns {"base64": ...} into bytes; that must not look like a difference. */
	if (node_diff(doc_root(doc), doc_root(again), 4, diff, sizeof(diff)))
		abort();
	node_ignore(doc_root(again));
	if (doc_check_all_read(again, &err) < 0)
		abort();
	free(text);
	free(text_again);
	doc_free(copy);
	doc_free(again);
	doc_free(doc);
	return 0;
}

int fuzz_seed(const char *directory)
{
	static const char text[] = "{\"version\": 1, \"a\": [1, -2, \"0x1f\", {\"base64\": \"AAECAw==\"}, "
				   "null, true, \"caf\\u00e9\"], \"pod\": {\"a\": \"/x/y\"}}";

	return fuzz_write_seed(directory, text, strlen(text));
}
