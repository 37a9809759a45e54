/* SPDX-License-Identifier: Apache-2.0 */
/* The list of members in end.json, one row each, and the digest over them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct ct_error;

#define ROW_NAME_MAX 80
#define ROW_FILES "files" /* stands for all rootfs/ and log/ members with their headers */
#define DIGEST_TEXT 33	  /* 32 hexadecimal digits and a NUL */

struct row {
	char name[ROW_NAME_MAX];
	uint64_t size;
	uint64_t xxh3;
};

struct rows {
	struct row *row;
	size_t n, room;
	char digest[DIGEST_TEXT]; /* after rows_digest() */
};

int rows_add(struct rows *rows, const char *name, uint64_t size, uint64_t xxh3);
void rows_release(struct rows *rows);

/* 0 or -ENOMEM; end_format() and end_check() call it. */
int rows_digest(struct rows *rows);

/* The text of end.json; the caller frees it. */
int end_format(struct rows *rows, char **ret, size_t *ret_len, struct ct_error *err);

/* Compares end.json with what was seen: -EBADMSG with the first difference. */
int end_check(struct rows *rows, const char *text, size_t len, struct ct_error *err);

/* An upper bound for the size of end.json over so many rows. */
static inline uint64_t end_size_max(const struct rows *rows)
{
	return 4096 + (uint64_t)rows->n * 512;
}
