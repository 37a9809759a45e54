/* SPDX-License-Identifier: Apache-2.0 */
/* Tar heads: ustar blocks and pax extended headers (POSIX.1-2017, pax), as docs/FORMAT.md says. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK 512
#define TAR_PATH_MAX \
	256 /* of a member's path we keep: enough to know whose it is and to name it \
	     */

#define TAR_FILE '0'
#define TAR_EXTENDED 'x'

/* The last thing in the file: two zero blocks. */
#define TAR_END (2 * TAR_BLOCK)

struct tar_block {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[6];
	char version[2];
	char uname[32];
	char gname[32];
	char devmajor[8];
	char devminor[8];
	char prefix[155];
	char unused[12];
};

static inline uint64_t tar_padded(uint64_t size)
{
	return (size + TAR_BLOCK - 1) & ~(uint64_t)(TAR_BLOCK - 1);
}

/* ---- our own members: extended header, its one record, ustar header ---- */

/*
 * The bytes before our member's data: a pax header whose only record is `comment=TEXT`, filled with
 * dots to `record` bytes in all (0: no fill), and the ustar header. Returns its size. `name` has at
 * most 80 bytes; `buf` has room for 2 * TAR_BLOCK + the padded record.
 */
size_t tar_build_member(unsigned char *buf, const char *name, uint64_t size, uint64_t mtime,
			const char *text, size_t record);
/* The number of bytes tar_build_member() makes. */
size_t tar_member_size(const char *text, size_t record);

/* ---- reading any tar ---- */

bool tar_block_is_zero(const void *block);
/* A ustar block whose checksum agrees. */
bool tar_block_valid(const struct tar_block *b);
/* A number field in octal; false where it is not one. */
bool tar_number(const char *field, size_t len, uint64_t *ret);

/* What the pax records of one extended header say about the member that follows. */
struct tar_records {
	char path[TAR_PATH_MAX]; /* "": not given */
	bool has_size;
	uint64_t size;
	char comment[TAR_PATH_MAX];
};

/* false: not a sequence of well-formed records. */
bool tar_parse_records(const char *body, size_t len, struct tar_records *ret);

/* The path in the ustar block itself (prefix and name). */
void tar_block_path(const struct tar_block *b, char ret[TAR_PATH_MAX]);
