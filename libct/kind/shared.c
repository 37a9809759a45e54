/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files whose bytes live only as long as somebody has them open or mapped: memfd, shared anonymous
 * memory, deleted files. Their contents are saved once, however many lead to them.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "images/archive.h"
#include "libct/base/io.h"
#include "libct/dump-steps.h"
#include "libct/kind/memory.h"

struct mapping {
	unsigned int major, minor;
	uint64_t inode;
	bool writable;
	uint32_t id;
};

struct content {
	dev_t dev;
	ino_t ino;
	uint32_t id;
	int fd; /* a duplicate of ours */
	uint64_t size;
};

struct shared_registry {
	struct mapping *mappings;
	size_t n_mappings, max_mappings;
	struct content *contents;
	size_t n_contents, max_contents;
};

void shared_registry_free(struct shared_registry *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_contents; i++)
		fd_close(s->contents[i].fd);
	free(s->contents);
	free(s->mappings);
	free(s);
}

static struct shared_registry *registry(struct dump *d)
{
	if (!d->shared)
		d->shared = calloc(1, sizeof(*d->shared));
	return d->shared;
}

bool shared_find_mapping(struct dump *d, const struct vma *v, bool writable, uint32_t *ret)
{
	struct shared_registry *s = registry(d);

	for (size_t i = 0; s && i < s->n_mappings; i++) {
		struct mapping *m = &s->mappings[i];

		if (m->inode == v->inode && m->major == v->major && m->minor == v->minor &&
		    m->writable == writable) {
			*ret = m->id;
			return true;
		}
	}
	return false;
}

int shared_put_mapping(struct dump *d, const struct vma *v, bool writable, uint32_t id)
{
	struct shared_registry *s = registry(d);

	if (!s)
		return -ENOMEM;
	if (s->n_mappings == s->max_mappings) {
		struct mapping *grown = realloc(
			s->mappings,
			sizeof(*grown) * (s->max_mappings = s->max_mappings ? s->max_mappings * 2 : 64));

		if (!grown)
			return -ENOMEM;
		s->mappings = grown;
	}
	s->mappings[s->n_mappings++] =
		(struct mapping){ v->major, v->minor, v->inode, writable, id };
	return 0;
}

int shared_dump(struct dump *d, const struct fd_view *v, uint32_t *ret_first, struct ct_error *err)
{
	struct shared_registry *s = registry(d);
	struct content *c;
	char name[64];
	int fd;

	if (!s)
		return error_errno(err, -ENOMEM, "contents of files");
	for (size_t i = 0; i < s->n_contents; i++) {
		c = &s->contents[i];
		if (c->dev == v->st.st_dev && c->ino == v->st.st_ino) {
			*ret_first = c->id;
			return 0;
		}
	}
	if (s->n_contents == s->max_contents) {
		c = realloc(s->contents,
			    sizeof(*c) * (s->max_contents = s->max_contents ? s->max_contents * 2 : 16));
		if (!c)
			return error_errno(err, -ENOMEM, "contents of files");
		s->contents = c;
	}
	/* Opened anew: the descriptor may be write-only, and its position is the pod's. */
	snprintf(name, sizeof(name), "%d/fd/%d", getpid(), v->dup);
	fd = openat(d->proc, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, -errno, "open '%s' for reading", v->link);
	s->contents[s->n_contents++] = (struct content){ v->st.st_dev, v->st.st_ino, v->id, fd,
							 (uint64_t)v->st.st_size };
	*ret_first = v->id;
	return 0;
}

/* One run of data of a file; the last page is filled up with zeros. */
static int dump_data(struct archive_writer *w, const struct content *c, off_t at, off_t end,
		     struct ct_error *err)
{
	at &= ~(off_t)(IMAGE_PAGE - 1);
	while (at < end) {
		size_t pages = ((size_t)(end - at) + IMAGE_PAGE - 1) / IMAGE_PAGE, got;
		void *buf;
		ssize_t n;
		int r = pages_reserve(w, (uint64_t)at, pages, &buf, &got, err);

		if (r < 0)
			return r;
		n = pread(c->fd, buf, got * IMAGE_PAGE, at);
		if (n < 0)
			return error_errno(err, -errno, "read shm/%u", c->id);
		memset((char *)buf + n, 0, got * IMAGE_PAGE - (size_t)n);
		r = pages_commit(w, got, err);
		if (r < 0)
			return r;
		at += (off_t)(got * IMAGE_PAGE);
	}
	return 0;
}

static int dump_content(struct archive_writer *w, const struct content *c, struct ct_error *err)
{
	char space[32];
	off_t at = 0;
	int r;

	snprintf(space, sizeof(space), "shm/%u", c->id);
	r = pages_begin(w, space, err);
	while (r == 0) {
		off_t data = lseek(c->fd, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(c->fd, data, SEEK_HOLE);
		if (hole < 0)
			return error_errno(err, -errno, "find the data of shm/%u", c->id);
		r = dump_data(w, c, data, hole, err);
		at = (hole + IMAGE_PAGE - 1) & ~(off_t)(IMAGE_PAGE - 1);
	}
	return r < 0 ? r : pages_end(w, err);
}

int shared_dump_pages(struct dump *d, struct archive_writer *w, struct ct_error *err)
{
	for (size_t i = 0; d->shared && i < d->shared->n_contents; i++) {
		int r = dump_content(w, &d->shared->contents[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- restore ---- */

struct restore_shared {
	uint32_t id;
	int fd;
	uint64_t size;
	struct shared_end end;
	bool done;
	struct page_sums sums;
};

int shared_restore(struct restore *r, uint32_t id, int fd, uint64_t size, const struct shared_end *end,
		   struct ct_error *err)
{
	struct restore_shared *s = realloc(r->shared, sizeof(*s) * (r->n_shared + 1));
	int dup;

	if (!s)
		return error_errno(err, -ENOMEM, "shm/%u", id);
	r->shared = s;
	dup = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (dup < 0)
		return error_errno(err, -errno, "shm/%u", id);
	s[r->n_shared++] = (struct restore_shared){ .id = id, .fd = dup, .size = size, .end = *end };
	if (ftruncate(fd, (off_t)size) < 0)
		return error_errno(err, -errno, "shm/%u: size %" PRIu64, id, size);
	return 0;
}

/* From here on it is only read, to verify it. */
static int finish(struct restore *r, struct restore_shared *s)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, s->end.modified };
	char name[64];
	int fd;

	if (futimens(s->fd, times) < 0 || (s->end.seals && fcntl(s->fd, F_ADD_SEALS, s->end.seals) < 0))
		return -errno;
	snprintf(name, sizeof(name), "%d/fd/%d", getpid(), s->fd);
	fd = openat(r->proc, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	fd_close(s->fd);
	s->fd = fd;
	s->done = true;
	return 0;
}

int shared_restore_done(struct restore *r, struct ct_error *err)
{
	for (size_t i = 0; i < r->n_shared; i++) {
		int e = r->shared[i].done ? 0 : finish(r, &r->shared[i]);

		if (e < 0)
			return error_errno(err, e, "shm/%u: set its time and seals", r->shared[i].id);
	}
	return 0;
}

void shared_restore_free(struct restore *r)
{
	for (size_t i = 0; i < r->n_shared; i++) {
		fd_close(r->shared[i].fd);
		free(r->shared[i].sums.list);
	}
	free(r->shared);
	r->shared = NULL;
	r->n_shared = 0;
}

int shared_restore_chunk(struct restore *r, uint32_t id, const struct pages_chunk *chunk,
			 struct ct_error *err)
{
	struct restore_shared *s = NULL;
	const char *data = chunk->data;

	for (size_t i = 0; i < r->n_shared; i++)
		if (r->shared[i].id == id)
			s = &r->shared[i];
	if (!s) {
		/* Not mapped by anybody: the file is made now that its bytes are here. */
		int fd = restore_ofd(r, id, err);

		if (fd < 0)
			return fd;
		for (size_t i = 0; i < r->n_shared; i++)
			if (r->shared[i].id == id)
				s = &r->shared[i];
	}
	if (!s)
		return error_set(err, -EBADMSG, "%s: no such file in the manifest", chunk->space);
	for (size_t i = 0; i < chunk->n_runs; i++) {
		const struct page_run *run = &chunk->runs[i];
		size_t len = run->pages * IMAGE_PAGE;
		int e;

		if (run->address >= s->size)
			return error_set(err, -EBADMSG, "%s: data behind the end of the file", chunk->space);
		e = io_pwrite_all(s->fd, data, len < s->size - run->address ? len : s->size - run->address,
				  (off_t)run->address);
		if (e == 0 && r->options->verify)
			e = sums_add(&s->sums, run->address, data, run->pages);
		if (e < 0)
			return error_errno(err, e, "%s", chunk->space);
		data += len;
	}
	return 0;
}

int shared_verify(struct restore *r, struct ct_error *err)
{
	for (size_t i = 0; i < r->n_shared; i++) {
		struct restore_shared *s = &r->shared[i];
		char what[32];
		int e;

		snprintf(what, sizeof(what), "shm/%u", s->id);
		e = sums_verify_file(&s->sums, s->fd, s->size, what, err);
		if (e < 0)
			return e;
	}
	return 0;
}
