// SPDX-License-Identifier: Apache-2.0
#include "libct/pod/log.h"

#include <sys/stat.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"

void log_head_put(uint8_t head[LOG_HEAD], uint8_t tag, uint32_t len)
{
	head[0] = tag;
	for (int i = 0; i < 4; i++)
		head[1 + i] = (uint8_t)(len >> (8 * i));
}

bool log_head_get(const uint8_t head[LOG_HEAD], uint8_t *ret_tag, uint32_t *ret_len)
{
	uint32_t len = 0;

	for (int i = 0; i < 4; i++)
		len |= (uint32_t)head[1 + i] << (8 * i);
	*ret_tag = head[0];
	*ret_len = len;
	return head[0] == 1 || head[0] == 2;
}

/* The record at `offset` in a log of `size` bytes: 1, 0 where it is not whole (yet), or a negative errno. */
static int record_at(int fd, int64_t offset, int64_t size, uint8_t *ret_tag, uint32_t *ret_len)
{
	uint8_t head[LOG_HEAD];
	int r;

	if (size - offset < LOG_HEAD)
		return 0;
	r = io_pread_exact(fd, head, sizeof(head), offset);
	if (r < 0)
		return r;
	if (!log_head_get(head, ret_tag, ret_len))
		return -EBADMSG;
	return size - offset - LOG_HEAD >= *ret_len;
}

int64_t log_whole_size(int fd)
{
	int64_t offset = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	for (;;) {
		uint32_t len;
		uint8_t tag;
		int r = record_at(fd, offset, st.st_size, &tag, &len);

		if (r < 0)
			return r;
		if (r == 0)
			return offset;
		offset += LOG_HEAD + (int64_t)len;
	}
}

ssize_t log_read(struct log_reader *reader, void *buf, size_t size, uint8_t *ret_tag)
{
	int r;

	while (!reader->left) {
		int64_t end = reader->end;
		struct stat st;

		if (fstat(reader->fd, &st) < 0)
			return -errno;
		if (end > st.st_size)
			end = st.st_size;
		r = record_at(reader->fd, reader->offset, end, &reader->tag, &reader->left);
		if (r <= 0) {
			reader->left = 0;
			return r;
		}
		reader->offset += LOG_HEAD;
	}
	if (size > reader->left)
		size = reader->left;
	r = io_pread_exact(reader->fd, buf, size, reader->offset);
	if (r < 0)
		return r;
	reader->offset += (int64_t)size;
	reader->left -= (uint32_t)size;
	*ret_tag = reader->tag;
	return (ssize_t)size;
}

int log_copy(struct log_reader *reader, int out_fd, int err_fd, struct ct_error *err)
{
	char buf[32768];
	uint8_t tag;

	for (;;) {
		ssize_t n = log_read(reader, buf, sizeof(buf), &tag);
		int r;

		if (n < 0)
			return error_errno(err, (int)n, "the pod's log");
		if (n == 0)
			return 0;
		r = io_write_all(tag == 2 ? err_fd : out_fd, buf, (size_t)n);
		if (r < 0)
			return error_errno(err, r, "write the pod's output");
	}
}
