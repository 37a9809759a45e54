// SPDX-License-Identifier: Apache-2.0
#include "images/tar.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(struct tar_block) == TAR_BLOCK, "a tar header is one block");

/* Six digits, a NUL, a space: as every tar since the seventh edition writes it. */
static unsigned int checksum(const struct tar_block *b)
{
	const unsigned char *bytes = (const unsigned char *)b;
	unsigned int sum = 0;

	for (size_t i = 0; i < sizeof(*b); i++) {
		bool own = i >= offsetof(struct tar_block, checksum) &&
			   i < offsetof(struct tar_block, type);

		sum += own ? ' ' : bytes[i];
	}
	return sum;
}

static void put_octal(char *field, size_t len, uint64_t v)
{
	for (size_t i = len - 1; i-- > 0; v >>= 3)
		field[i] = (char)('0' + (v & 7));
	field[len - 1] = '\0';
}

static void build_block(struct tar_block *b, const char *prefix, const char *name, char type,
			uint64_t size, uint64_t mtime)
{
	memset(b, 0, sizeof(*b));
	snprintf(b->name, sizeof(b->name), "%s%s", prefix, name);
	put_octal(b->mode, sizeof(b->mode), 0600);
	put_octal(b->uid, sizeof(b->uid), 0);
	put_octal(b->gid, sizeof(b->gid), 0);
	put_octal(b->size, sizeof(b->size), size);
	put_octal(b->mtime, sizeof(b->mtime), mtime);
	b->type = type;
	memcpy(b->magic, "ustar", 6);
	memcpy(b->version, "00", 2);
	memcpy(b->uname, "root", 5);
	memcpy(b->gname, "root", 5);
	put_octal(b->devmajor, sizeof(b->devmajor), 0);
	put_octal(b->devminor, sizeof(b->devminor), 0);
	put_octal(b->checksum, 7, checksum(b));
	b->checksum[7] = ' ';
}

/* "LEN comment=TEXT\n", where LEN counts its own digits too. */
static size_t record_size(const char *text, size_t record)
{
	size_t rest = sizeof(" comment=\n") - 1 + strlen(text);

	if (record)
		return record;
	return rest + (rest + 2 < 100 ? 2 : 3);
}

size_t tar_member_size(const char *text, size_t record)
{
	return 2 * TAR_BLOCK + tar_padded(record_size(text, record));
}

size_t tar_build_member(unsigned char *buf, const char *name, uint64_t size, uint64_t mtime,
			const char *text, size_t record)
{
	size_t len = record_size(text, record), padded = tar_padded(len);
	char *body = (char *)buf + TAR_BLOCK;
	int n;

	build_block((struct tar_block *)buf, "PaxHeaders/", name, TAR_EXTENDED, len, mtime);
	memset(body, 0, padded);
	n = snprintf(body, padded, "%zu comment=%s", len, text);
	memset(body + n, '.', len - 1 - (size_t)n);
	body[len - 1] = '\n';
	build_block((struct tar_block *)(body + padded), "", name, TAR_FILE, size, mtime);
	return 2 * TAR_BLOCK + padded;
}

bool tar_block_is_zero(const void *block)
{
	const char *b = block;

	return !b[0] && !memcmp(b, b + 1, TAR_BLOCK - 1);
}

bool tar_number(const char *field, size_t len, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	while (i < len && field[i] == ' ')
		i++;
	if (i == len || field[i] < '0' || field[i] > '7')
		return false;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(field[i] - '0'); /* 12 digits at most: 36 bits */
	for (; i < len; i++)
		if (field[i] != ' ' && field[i] != '\0')
			return false;
	*ret = v;
	return true;
}

bool tar_block_valid(const struct tar_block *b)
{
	uint64_t sum;

	return !memcmp(b->magic, "ustar", 6) &&
	       tar_number(b->checksum, sizeof(b->checksum), &sum) && sum == checksum(b);
}

void tar_block_path(const struct tar_block *b, char ret[TAR_PATH_MAX])
{
	int prefix = (int)strnlen(b->prefix, sizeof(b->prefix));

	snprintf(ret, TAR_PATH_MAX, "%.*s%s%.*s", prefix, b->prefix, prefix ? "/" : "",
		 (int)strnlen(b->name, sizeof(b->name)), b->name);
}

static void keep(char ret[TAR_PATH_MAX], const char *value, size_t len)
{
	if (len >= TAR_PATH_MAX)
		len = TAR_PATH_MAX - 1;
	memcpy(ret, value, len);
	ret[len] = '\0';
}

static bool parse_decimal(const char *s, size_t len, uint64_t *ret)
{
	uint64_t v = 0;

	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned int d = (unsigned int)(s[i] - '0');

		if (d > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v))
			return false;
	}
	*ret = v;
	return true;
}

bool tar_parse_records(const char *body, size_t len, struct tar_records *ret)
{
	*ret = (struct tar_records){ 0 };
	while (len) {
		const char *space = memchr(body, ' ', len < 20 ? len : 20), *equals, *end;
		uint64_t size;
		size_t key, value;

		if (!space || !parse_decimal(body, (size_t)(space - body), &size) || size > len ||
		    size < (size_t)(space - body) + 4)
			return false;
		end = body + size - 1;
		equals = memchr(space + 1, '=', (size_t)(end - space - 1));
		if (!equals || *end != '\n')
			return false;
		key = (size_t)(equals - space - 1);
		value = (size_t)(end - equals - 1);
		if (key == 4 && !memcmp(space + 1, "path", 4)) {
			keep(ret->path, equals + 1, value);
		} else if (key == 7 && !memcmp(space + 1, "comment", 7)) {
			keep(ret->comment, equals + 1, value);
		} else if (key == 4 && !memcmp(space + 1, "size", 4)) {
			ret->has_size = true;
			if (!parse_decimal(equals + 1, value, &ret->size))
				return false;
		}
		body += size;
		len -= size;
	}
	return true;
}
