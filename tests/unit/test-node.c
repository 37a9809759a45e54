// SPDX-License-Identifier: Apache-2.0
/* images/node.h: the manifest as a tree. */
#include "images/node.h"

#include <errno.h>

#include "libct/libct.h"
#include "tests/unit/unit.h"

static struct doc *parse(const char *text)
{
	struct ct_error err = { 0 };
	struct doc *doc = NULL;

	if (doc_parse(text, strlen(text), &doc, &err) < 0)
		printf("# parse: %s\n", err.text);
	return doc;
}

static void test_round_trip(void)
{
	static const char bytes[] = { 0, 1, (char)0xff, 'x', 0 };
	struct ct_error err = { 0 };
	struct doc *a = doc_new(), *b = NULL;
	struct node *root = doc_root(a), *list, *o;
	const struct node *n;
	char *text = NULL, *again = NULL, diff[256];
	size_t len = 0, again_len = 0;
	const void *blob;

	node_put_u64(root, "max", UINT64_MAX);
	node_put_u64(root, "zero", 0);
	node_put_i64(root, "min", INT64_MIN);
	node_put_i64(root, "minus", -1);
	node_put_hex(root, "mask", 0xfffffffffffffff1);
	node_put_bool(root, "yes", true);
	node_put_bool(root, "no", false);
	node_put_str(root, "name", "caf\xc3\xa9 \"quoted\" \t/x");
	node_put_str(root, "latin1", "caf\xe9");
	node_put_str(root, "nothing", NULL);
	node_put_blob(root, "data", bytes, sizeof(bytes));
	node_put_blob(root, "empty", NULL, 0);
	list = node_put_array(root, "list");
	o = node_put_object(list, NULL);
	node_put_u64(o, "pos", 7);
	node_put_u64(list, NULL, 8);
	node_put_str(list, NULL, "nine");
	REQUIRE("a document formats", !doc_format(a, &text, &len, &err) && strlen(text) == len);
	REQUIRE("what was written parses", !doc_parse(text, len, &b, &err));
	CHECK("both are equal", node_diff(root, doc_root(b), 9, diff, sizeof(diff)) == 0);
	n = doc_root(b);
	CHECK("u64 is exact", node_u64(n, "max", UINT64_MAX) == UINT64_MAX);
	CHECK("zero", node_u64(n, "zero", 9) == 0);
	CHECK("i64 is exact", node_i64(n, "min", INT64_MIN, 0) == INT64_MIN);
	CHECK("negative", node_i64(n, "minus", -1, 0) == -1);
	CHECK("hex", node_hex(n, "mask") == 0xfffffffffffffff1);
	CHECK("bools", node_bool(n, "yes") && !node_bool(n, "no"));
	CHECK_STR("a string of UTF-8", node_str(n, "name"), "caf\xc3\xa9 \"quoted\" \t/x");
	CHECK_STR("a string of other bytes", node_str(n, "latin1"), "caf\xe9");
	CHECK("NULL puts nothing", !node_has(n, "nothing"));
	blob = node_blob(n, "data", &len);
	CHECK("a blob", blob && len == sizeof(bytes) && !memcmp(blob, bytes, len));
	blob = node_blob(n, "data", &len);
	CHECK("a blob, asked twice", blob && len == sizeof(bytes) && !memcmp(blob, bytes, len));
	CHECK("an empty blob", node_blob(n, "empty", &len) && !len);
	n = node_array(n, "list");
	CHECK("array", node_count(n) == 3 && node_u64(node_at(n, 0), "pos", 9) == 7 &&
			       node_at_u64(n, 1, 9) == 8);
	CHECK_STR("string in an array", node_at_str(n, 2), "nine");
	CHECK("no errors", !doc_check(b, &err));
	CHECK("all was read", !doc_check_all_read(b, &err));
	CHECK("decoded blobs format the same", !doc_format(b, &again, &again_len, &err));
	CHECK_STR("the text is canonical", again, text);
	free(text);
	free(again);
	doc_free(a);
	doc_free(b);
}

/* Applies one get to a parsed document and compares the error it records. */
#define CHECK_COMPLAINT(json, get, expected) \
	do { \
		struct ct_error e = { 0 }; \
		struct doc *d = parse(json); \
		const struct node *n = doc_root(d); \
		size_t size; \
\
		(void)size; \
		(void)(get); \
		CHECK(#get, doc_check(d, &e) == -EBADMSG); \
		CHECK_STR(expected, e.text, expected); \
		doc_free(d); \
	} while (0)

static void test_complaints(void)
{
	CHECK_COMPLAINT("{}", node_u64(n, "a", 1), "a: missing");
	CHECK_COMPLAINT("{\"a\":\"1\"}", node_u64(n, "a", 1), "a: not a number");
	CHECK_COMPLAINT("{\"a\":2}", node_u64(n, "a", 1), "a: 2 is more than 1");
	CHECK_COMPLAINT("{\"a\":-2}", node_u64(n, "a", 1), "a: -2 is negative");
	CHECK_COMPLAINT("{\"a\":1.5}", node_u64(n, "a", 1), "a: not a 64-bit integer");
	CHECK_COMPLAINT("{\"a\":18446744073709551616}", node_u64(n, "a", 1),
			"a: not a 64-bit integer");
	CHECK_COMPLAINT("{\"a\":9223372036854775808}", node_i64(n, "a", INT64_MIN, INT64_MAX),
			"a: 9223372036854775808 is out of bounds");
	CHECK_COMPLAINT("{\"a\":3}", node_i64(n, "a", -1, 2), "a: 3 is not within -1 and 2");
	CHECK_COMPLAINT("{\"a\":true}", node_str(n, "a"), "a: not a string");
	CHECK_COMPLAINT("{\"a\":\"x\\u0000y\"}", node_str(n, "a"), "a: has a NUL inside");
	CHECK_COMPLAINT("{\"a\":null}", node_bool(n, "a"), "a: not true or false");
	CHECK_COMPLAINT("{\"a\":[1,2,3,4]}", node_hex(n, "a"), "a: not a hexadecimal number");
	CHECK_COMPLAINT("{\"a\":\"0X1\"}", node_hex(n, "a"), "a: not a hexadecimal number");
	CHECK_COMPLAINT("{\"a\":\"0x01\"}", node_hex(n, "a"), "a: not a hexadecimal number");
	CHECK_COMPLAINT("{\"a\":\"0x11111111111111111\"}", node_hex(n, "a"),
			"a: not a hexadecimal number");
	CHECK_COMPLAINT("{\"a\":[1,2,3,4]}", node_hex(n, "a"), "a: not a hexadecimal number");
	CHECK_COMPLAINT("{\"a\":{\"base64\":\"QQ=\"}}", node_blob(n, "a", &size), "a: not base64");
	CHECK_COMPLAINT("{\"a\":{\"base64\":\"QR==\"}}", node_blob(n, "a", &size), "a: not base64");
	CHECK_COMPLAINT("{\"a\":{\"base64\":\"====\"}}", node_blob(n, "a", &size), "a: not base64");
	CHECK_COMPLAINT("{\"a\":\"QQ==\"}", node_blob(n, "a", &size), "a: not binary data");
	CHECK_COMPLAINT("{\"a\":[{\"b\":[1,2,\"x\"]}]}",
			node_at_u64(node_array(node_at(node_array(n, "a"), 0), "b"), 2, 9),
			"a[0].b[2]: not a number");
	CHECK_COMPLAINT("{\"a\":[]}", node_at(node_array(n, "a"), 0), "a[0]: missing");
	CHECK_COMPLAINT("{\"a\":[]}", node_object(n, "a"), "a: not an object");
	CHECK_COMPLAINT("{\"a\":{}}", node_array(n, "a"), "a: not an array");
	CHECK_COMPLAINT("{\"a\":[3]}", node_u64(node_at(node_array(n, "a"), 0), "b", 1),
			"a[0]: not an object");
	CHECK_COMPLAINT("{\"a\":\"/x/../y\"}", node_path(n, "a"),
			"a: not an absolute path without '.', '..' and empty parts");
	for (const char *const *p =
		     (const char *[]){ "x", "", "//", "/a/", "/.", "/a/..", "/a//b", NULL };
	     *p; p++) {
		char json[64];

		snprintf(json, sizeof(json), "{\"a\":\"%s\"}", *p);
		CHECK_COMPLAINT(json, node_path(n, "a"),
				"a: not an absolute path without '.', '..' and empty parts");
	}
}

static void test_sticky(void)
{
	struct ct_error err = { 0 };
	struct doc *d = parse("{\"p\":[{\"pid\":1,\"ppid\":9}],\"extra\":{\"x\":1}}");
	const struct node *p = node_array(doc_root(d), "p");

	CHECK("get", node_u64(node_at(p, 0), "pid", 9) == 1);
	CHECK("an unread field is named", doc_check_all_read(d, &err) == -EBADMSG);
	CHECK_STR("unread", err.text, "p[0].ppid: unknown to this version");
	CHECK("get", node_u64(node_at(p, 0), "ppid", 9) == 9);
	CHECK("an unread object is named", doc_check_all_read(d, &err) == -EBADMSG);
	CHECK_STR("unread", err.text, "extra: unknown to this version");
	node_ignore(node_object(doc_root(d), "extra"));
	CHECK("ignored is read", !doc_check_all_read(d, &err));
	node_complain(node_at(p, 0), "no such %s", "process");
	node_complain(node_at(p, 0), "second");
	CHECK("a complaint is an error", doc_check(d, &err) == -EBADMSG);
	CHECK_STR("the first counts", err.text, "p[0]: no such process");
	CHECK("all reads fail then", doc_check_all_read(d, &err) == -EBADMSG);
	CHECK_STR("NULL-safe", node_str(node_at(node_array(NULL, "a"), 3), "b"), "");
	doc_free(d);
	CHECK("no document at all", doc_check(NULL, &err) == -ENOMEM);
}

static void check_refused(const char *text, size_t len, const char *expected)
{
	struct ct_error err = { 0 };
	struct doc *d = NULL;

	CHECK("refused", doc_parse(text, len, &d, &err) == -EBADMSG && !d);
	CHECK_STR(expected, err.text, expected);
}

static void test_refusals(void)
{
	char deep[600] = "{\"a\":";
	struct doc *d;

	check_refused("", 0, "not JSON near byte 0: parse error: premature EOF");
	check_refused("[]", 2, "not a JSON object");
	check_refused("3", 1, "not a JSON object");
	check_refused("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", 25, "b.c: given twice");
	check_refused("{\"a\\u0000b\":1}", 14, "a key has a NUL inside");
	check_refused("{} {}", 5, "not JSON near byte 4: parse error: trailing garbage");
	check_refused("{\"a\":\"\xff\"}", 9,
		      "not JSON near byte 7: lexical error: invalid bytes in UTF8 string.");
	memset(deep + 5, '[', 64);
	memset(deep + 69, ']', 64);
	deep[133] = '}';
	d = parse(deep);
	CHECK("64 levels are fine", d);
	doc_free(d);
	memset(deep + 5, '[', 65);
	check_refused(deep, 70, "nested deeper than 64");
}

static void test_many(void)
{
	struct ct_error err = { 0 };
	struct doc *d = doc_new(), *back = NULL;
	struct node *list = node_put_array(doc_root(d), "list"), *big;
	const struct node *l;
	char key[24], *text;
	bool ok = true;
	size_t len;

	for (uint64_t i = 0; i < 30000; i++) {
		struct node *o = node_put_object(list, NULL);

		node_put_u64(o, "id", i);
		node_put_str(o, "kind", "file");
	}
	big = node_put_object(doc_root(d), "big");
	/* More than two bytes can count. */
	for (uint64_t i = 0; i < 70000; i++) {
		snprintf(key, sizeof(key), "k%d", (int)i);
		node_put_u64(big, key, i);
	}
	REQUIRE("big documents format", !doc_format(d, &text, &len, &err));
	REQUIRE("big documents parse", !doc_parse(text, len, &back, &err));
	l = node_array(doc_root(back), "list");
	for (size_t i = 0; i < 30000; i++)
		ok = ok && node_u64(node_at(l, i), "id", 30000) == i;
	for (size_t i = 0; i < 70000; i++) {
		snprintf(key, sizeof(key), "k%d", (int)i);
		ok = ok && node_u64(node_object(doc_root(back), "big"), key, 70000) == i;
	}
	CHECK("every element and every key is found", ok && !doc_check(back, &err));
	free(text);
	doc_free(d);
	doc_free(back);
}

static void test_text(void)
{
	static const char json[] = "{\n"
				   "  \"s\": \"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001F\x7f/\xc3\xa9\",\n"
				   "  \"k\\n\": [\n    {\n\n    },\n    [\n\n    ],\n    null,\n    -0.5e3\n  ],\n"
				   "  \"b\": {\n    \"base64\": \"QUJD\"\n  }\n}\n";
	struct ct_error err = { 0 };
	struct doc *d = parse(json);
	char *text = NULL;
	size_t len = 0;

	CHECK("a blob", node_blob(doc_root(d), "b", &len) && len == 3);
	CHECK("formatted", !doc_format(d, &text, &len, &err));
	CHECK_STR("the same text", text, json);
	free(text);
	doc_free(d);
}

/* Of `calls` pieces the last one fails. */
static int write_some(void *calls, const void *data, size_t len)
{
	return --*(int *)calls > 0 ? 0 : *(int *)calls < 0 ? -EIO : -ENOSPC;
}

static void test_write_errors(void)
{
	struct ct_error err = { 0 };
	struct doc *d = doc_new();
	struct node *list = node_put_array(doc_root(d), "list");
	int calls = 3;

	for (int i = 0; i < 100000; i++)
		node_put_str(list, NULL, "something");
	CHECK("what could not be written", doc_write(d, write_some, &calls, &err) == -ENOSPC);
	CHECK("ends it", calls == 0);
	doc_free(d);
}

static void test_put_errors(void)
{
	struct ct_error err = { 0 };
	struct doc *d = doc_new();
	char *text = NULL;
	size_t len;

	node_put_u64(NULL, "a", 1);
	CHECK("a NULL parent is ignored", !doc_check(d, &err));
	node_put_u64(doc_root(d), "a", 1);
	node_put_u64(doc_root(d), "a", 2);
	CHECK("a key put twice", doc_check(d, &err) == -EBADMSG);
	CHECK_STR("is named", err.text, "a: given twice");
	CHECK("and is not formatted", doc_format(d, &text, &len, &err) == -EBADMSG && !text);
	doc_free(d);
	d = doc_new();
	node_put_u64(node_put_array(doc_root(d), "l"), "k", 2);
	CHECK("a key in an array", doc_check(d, &err) == -EBADMSG);
	CHECK_STR("is named", err.text, "l: not an object");
	doc_free(d);
}

static void test_diff_and_copy(void)
{
	struct doc *a = parse(
		"{\"processes\":[{},{\"fds\":[{\"pos\":3,\"name\":\"x\"}]}],\"g\":1,\"n\":null}");
	struct doc *b = parse("{\"g\":true,\"processes\":[{},{\"fds\":[{\"pos\":4,\"name\":\"y\"},{"
			      "}]}],\"h\":-5}");
	struct doc *c = doc_new();
	char text[512], small[20];

	CHECK("differences are counted",
	      node_diff(doc_root(a), doc_root(b), 20, text, sizeof(text)) == 6);
	CHECK_STR("and named", text,
		  "processes[1].fds[0].pos: 3 != 4\n"
		  "processes[1].fds[0].name: \"x\" != \"y\"\n"
		  "processes[1].fds[1]: (absent) != (an object)\n"
		  "g: 1 != true\n"
		  "n: null != (absent)\n"
		  "h: (absent) != -5");
	CHECK("at most max lines", node_diff(doc_root(a), doc_root(b), 1, text, sizeof(text)) == 6);
	CHECK_STR("one", text, "processes[1].fds[0].pos: 3 != 4");
	CHECK("cut to the size", node_diff(doc_root(a), doc_root(b), 9, small, sizeof(small)) == 6);
	CHECK("NUL-terminated", strlen(small) == sizeof(small) - 1);
	node_copy(doc_root(c), "copy", doc_root(a));
	CHECK("a copy is equal",
	      node_diff(node_object(doc_root(c), "copy"), doc_root(a), 9, text, sizeof(text)) == 0);
	doc_free(a);
	doc_free(b);
	doc_free(c);
}

int main(void)
{
	test_round_trip();
	test_complaints();
	test_sticky();
	test_refusals();
	test_many();
	test_text();
	test_write_errors();
	test_put_errors();
	test_diff_and_copy();
	return UNIT_DONE();
}
