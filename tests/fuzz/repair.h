/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums made right, so that the fuzzer reaches what lies behind them. */
#pragma once
#include <stdio.h>
#include <string.h>

#include "images/tar.h"

static inline void repair_block(struct tar_block *b)
{
	unsigned int sum = 0;

	memset(b->checksum, ' ', sizeof(b->checksum));
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += ((unsigned char *)b)[i];
	snprintf(b->checksum, sizeof(b->checksum), "%06o", sum & 0777777);
	b->checksum[7] = ' ';
}

/* Every block that looks like a tar header. */
static inline void repair_blocks(unsigned char *data, size_t size)
{
	for (size_t at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK)
		if (!memcmp(data + at + 257, "ustar", 6))
			repair_block((struct tar_block *)(data + at));
}
