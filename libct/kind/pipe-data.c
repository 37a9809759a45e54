/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pipes hold. tee(2) gives a private pipe the same buffers, which are then read from there.
 *
 * The kernel shows nowhere where a packet begins, but a read ends with one and drops the rest of it:
 * that tells, on copies, which bytes are packets.
 */
#include "libct/kind/pipe.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/ioctl.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"

struct private_pipe {
	int out, in; /* read end, write end */
};

static void private_pipe_release(struct private_pipe *p)
{
	p->out = fd_close(p->out);
	p->in = fd_close(p->in);
}

static int private_pipe_open(struct private_pipe *p, int capacity)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	*p = (struct private_pipe){ fd[0], fd[1] };
	return fcntl(p->in, F_SETPIPE_SZ, capacity) < 0 ? -errno : 0;
}

static size_t filled(int fd)
{
	int n = 0;

	return ioctl(fd, FIONREAD, &n) < 0 || n < 0 ? 0 : (size_t)n;
}

static void drain(int fd)
{
	char waste[4096];

	while (read(fd, waste, sizeof(waste)) > 0)
		;
}

/* Is the first byte of `from` part of a packet? With a byte of ours behind it, a read tells. */
static int begins_with_packet(int from, struct private_pipe *trial)
{
	char buf[2];
	ssize_t n = tee(from, trial->in, 1, SPLICE_F_NONBLOCK);

	if (n == 1)
		n = write(trial->in, "", 1);
	if (n == 1)
		n = read(trial->out, buf, 2);
	if (n < 0)
		return -errno;
	drain(trial->out);
	return n == 1;
}

/*
 * Are the first `n` - 1 bytes of `from` plain ones? A packet that ends among them ends a read of all
 * `n`; one that goes on to the last byte loses that byte to a read of one less.
 */
static int is_plain(int from, struct private_pipe *trial, uint8_t *buf, size_t n)
{
	bool plain = true;

	for (size_t want = n; plain && want >= n - 1; want--) {
		ssize_t got = tee(from, trial->in, n, SPLICE_F_NONBLOCK);

		if (got == (ssize_t)n)
			got = read(trial->out, buf, want);
		if (got < 0)
			return -errno;
		plain = got == (ssize_t)want && filled(trial->out) == n - want;
		drain(trial->out);
	}
	return plain;
}

/* The length of the next run, at least 1. */
static int next_run(int from, struct private_pipe *trial, uint8_t *buf, size_t total, bool *ret_packet,
		    size_t *ret_len)
{
	size_t low = 2, high = total;
	int r = begins_with_packet(from, trial);

	if (r < 0)
		return r;
	*ret_packet = r;
	*ret_len = r ? total : 1; /* a read ends with the packet by itself */
	if (r || total < 2)
		return 0;
	r = is_plain(from, trial, buf, total);
	if (r > 0)
		low = total;
	while (r == 0 && low < high) {
		size_t mid = low + (high - low + 1) / 2;

		r = is_plain(from, trial, buf, mid);
		if (r > 0)
			low = mid;
		else
			high = mid - 1;
		r = r < 0 ? r : 0;
	}
	*ret_len = low - 1;
	return r < 0 ? r : 0;
}

static int add_run(struct pipe_data *d, bool packet, size_t len)
{
	struct pipe_run *grown;

	d->len += len;
	if (!packet && d->n_runs && !d->runs[d->n_runs - 1].packet) {
		d->runs[d->n_runs - 1].len += len;
		return 0;
	}
	grown = realloc(d->runs, sizeof(*grown) * (d->n_runs + 1));
	if (!grown)
		return -ENOMEM;
	d->runs = grown;
	d->runs[d->n_runs++] = (struct pipe_run){ packet, len };
	return 0;
}

static int take_apart(struct private_pipe *copy, struct private_pipe *trial, struct pipe_data *ret)
{
	size_t total;

	while ((total = filled(copy->out)) > 0) {
		uint8_t *at = ret->bytes + ret->len;
		bool packet;
		size_t len;
		ssize_t n;
		int r = next_run(copy->out, trial, at, total, &packet, &len);

		if (r < 0)
			return r;
		n = read(copy->out, at, len);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r = add_run(ret, packet, (size_t)n);
		if (r < 0)
			return r;
	}
	return 0;
}

int pipe_peek(int proc, int fd, struct pipe_data *ret, struct ct_error *err)
{
	__cleanup(private_pipe_release) struct private_pipe copy = { -1, -1 }, trial = { -1, -1 };
	__cleanup(pipe_data_release) struct pipe_data data = { 0 };
	int capacity = fcntl(fd, F_GETPIPE_SZ), r;
	cleanup_fd int reader = -1;
	char name[64];
	size_t total;

	/* Opened anew, because a write end cannot be read. */
	snprintf(name, sizeof(name), "%d/fd/%d", getpid(), fd);
	reader = openat(proc, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (reader < 0 || capacity < 0)
		return error_errno(err, -errno, "open a pipe for reading");
	total = filled(reader);
	if (!total)
		return 0;
	data.bytes = malloc(total);
	if (!data.bytes)
		return error_errno(err, -ENOMEM, "what a pipe holds");
	r = private_pipe_open(&copy, capacity);
	if (r == 0)
		r = private_pipe_open(&trial, capacity < 8192 ? 8192 : capacity);
	if (r < 0)
		return error_errno(err, r, "make a pipe of %d bytes", capacity);
	if (tee(reader, copy.in, INT_MAX, SPLICE_F_NONBLOCK) != (ssize_t)total)
		return error_set(err, -EIO, "a pipe with %zu bytes changes while it is read", total);
	r = take_apart(&copy, &trial, &data);
	if (r == 0 && data.len != total)
		r = -EIO;
	if (r < 0)
		return error_errno(err, r, "read what a pipe holds");
	*ret = data;
	data = (struct pipe_data){ 0 };
	return 0;
}

void pipe_data_release(struct pipe_data *data)
{
	free(take_ptr(data->bytes));
	free(take_ptr(data->runs));
}

void pipe_data_put(const struct pipe_data *data, struct node *n)
{
	struct node *list = node_put_array(n, "data");
	const uint8_t *at = data->bytes;

	for (size_t i = 0; i < data->n_runs; i++) {
		struct node *run = node_put_object(list, NULL);

		node_put_bool(run, "packet", data->runs[i].packet);
		node_put_blob(run, "bytes", at, data->runs[i].len);
		at += data->runs[i].len;
	}
}

int pipe_data_get(struct restore *r, const struct node *n, struct pipe_data *ret, struct ct_error *err)
{
	__cleanup(pipe_data_release) struct pipe_data data = { 0 };
	const struct node *list = node_array(n, "data");
	size_t total = 0, len;
	int e;

	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *run = node_at(list, i);

		if (!node_blob(run, "bytes", &len) || !len ||
		    (node_bool(run, "packet") && len > PIPE_BUF))
			node_complain(run, "not what a pipe can hold");
		total += len;
	}
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	data.bytes = malloc(total + 1);
	data.runs = calloc(node_count(list) + 1, sizeof(*data.runs));
	if (!data.bytes || !data.runs)
		return error_errno(err, -ENOMEM, "what a pipe holds");
	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *run = node_at(list, i);
		const void *bytes = node_blob(run, "bytes", &len);

		memcpy(data.bytes + data.len, bytes, len);
		data.len += len;
		data.runs[data.n_runs++] = (struct pipe_run){ node_bool(run, "packet"), len };
	}
	*ret = data;
	data = (struct pipe_data){ 0 };
	return 0;
}

static int write_exact(int fd, const void *data, size_t len)
{
	ssize_t n = write(fd, data, len);

	if (n < 0)
		return -errno;
	return n == (ssize_t)len ? 0 : -ENOSPC;
}

/* Plain bytes in buffers that the kernel does not append to: a packet behind them stays one. */
static int write_closed(int fd, const uint8_t *data, size_t len)
{
	__cleanup(private_pipe_release) struct private_pipe p = { -1, -1 };
	const size_t most = 65536;
	int r = private_pipe_open(&p, (int)most);

	while (r == 0 && len) {
		size_t part = len < most ? len : most;

		r = write_exact(p.in, data, part);
		if (r == 0 && tee(p.out, fd, part, SPLICE_F_NONBLOCK) != (ssize_t)part)
			r = -ENOSPC;
		drain(p.out);
		data += part;
		len -= part;
	}
	return r;
}

int pipe_fill(int fd, const struct pipe_data *data, struct ct_error *err)
{
	const uint8_t *at = data->bytes;
	int r = 0;

	for (size_t i = 0; r == 0 && i < data->n_runs; i++) {
		const struct pipe_run *run = &data->runs[i];

		if (fcntl(fd, F_SETFL, O_NONBLOCK | (run->packet ? O_DIRECT : 0)) < 0)
			r = -errno;
		else if (!run->packet && i + 1 < data->n_runs)
			r = write_closed(fd, at, run->len);
		else
			r = write_exact(fd, at, run->len);
		at += run->len;
	}
	return r < 0 ? error_errno(err, r, "fill a pipe with %zu bytes", data->len) : 0;
}

/* ---- what else a pipe without a name has ---- */

void pipe_put(const struct fd_view *v, struct node *n)
{
	node_put_u64(n, "uid", v->st.st_uid);
	node_put_u64(n, "gid", v->st.st_gid);
	node_put_u64(n, "mode", v->st.st_mode & 07777);
	node_put_i64(n, "capacity", fcntl(v->dup, F_GETPIPE_SZ));
}

/* What a pod may ask for, which we may exceed. */
static int most_capacity(struct restore *r)
{
	cleanup_free char *text = NULL;

	if (r->pod->config.capabilities & 1ULL << CAP_SYS_RESOURCE ||
	    io_read_file(r->proc, "sys/fs/pipe-max-size", 64, &text) < 0)
		return INT_MAX;
	return atoi(text);
}

int pipe_get_capacity(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	int capacity = (int)node_i64(n, "capacity", PIPE_BUF, INT_MAX), e = doc_check(r->doc, err);

	if (e < 0)
		return e;
	if (fcntl(fd, F_GETPIPE_SZ) == capacity)
		return 0;
	if (capacity > most_capacity(r))
		return error_set(err, -ENOSYS,
				 "a pipe of %d bytes: this host allows less (/proc/sys/fs/pipe-max-size)",
				 capacity);
	/* EBUSY: standard input, made larger for what an attached client had sent behind it. */
	if (fcntl(fd, F_SETPIPE_SZ, capacity) < 0 && errno != EBUSY)
		return error_errno(err, -errno, "make a pipe of %d bytes", capacity);
	return 0;
}

int pipe_get(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	uid_t uid = (uid_t)node_u64(n, "uid", UINT32_MAX - 1);
	gid_t gid = (gid_t)node_u64(n, "gid", UINT32_MAX - 1);
	mode_t mode = (mode_t)node_u64(n, "mode", 07777);
	int e = doc_check(r->doc, err);

	if (e < 0)
		return e;
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
		return error_errno(err, -errno, "give a pipe to user %u", uid);
	return pipe_get_capacity(r, n, fd, err);
}
