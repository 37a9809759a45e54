/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod's own standard streams: pipes whose other ends the pod's monitor holds, so they lead out
 * of the pod. state.json knows them by their inodes. The new pod has new ones, with another monitor
 * behind them; PID 1's ends of them become the descriptions that the image has.
 *
 * A program may have opened one again (/dev/stdout): that is a further description of the same pipe.
 * What was written is in the pod's log already (guard_drain()); input that was not read yet goes into
 * the manifest as "stdin" and is in the new pipe before the pod is there.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/kind/pipe.h"

static int stream_of(const struct dump *d, const struct fd_view *v)
{
	if (v->fstype != PIPEFS_MAGIC)
		return -1;
	for (int i = 0; i < 3; i++)
		if (d->pod->state.stream_inode[i] && d->pod->state.stream_inode[i] == v->st.st_ino)
			return i;
	return -1;
}

static bool stream_is(const struct dump *d, const struct fd_view *v)
{
	return stream_of(d, v) >= 0;
}

static int stream_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	__cleanup(pipe_data_release) struct pipe_data data = { 0 };
	int stream = stream_of(d, v), r;

	if (v->flags & O_PATH) {
		dump_refuse_fd(d, v, "a standard stream opened with O_PATH is not carried; close it first");
		return 0;
	}
	node_put_i64(n, "stream", stream);
	pipe_put(v, n);
	if (stream != 0 || d->preflight || node_has(d->root, "stdin"))
		return 0;
	r = pipe_peek(d->proc, v->dup, &data, err);
	if (r == 0 && data.len)
		node_put_blob(d->root, "stdin", data.bytes, data.len);
	return r;
}

/* Is the description PID 1's own one? The first in the manifest that was not made by open(2). */
static bool is_original(struct restore *r, const struct node *n, uint32_t id, int stream)
{
	if (node_hex(n, "flags") & KERNEL_O_LARGEFILE)
		return false;
	for (uint32_t i = 0; i < id; i++) {
		const struct node *other = restore_ofd_node(r, i, n);

		if (!strcmp(node_str(other, "kind"), "stream") &&
		    node_i64(other, "stream", 0, 2) == stream &&
		    !(node_hex(other, "flags") & KERNEL_O_LARGEFILE))
			return false;
	}
	return true;
}

static int stream_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			  struct ct_error *err)
{
	int stream = (int)node_i64(n, "stream", 0, 2), fd = r->stream[stream], e;
	int flags = (int)node_hex(n, "flags") & O_ACCMODE;
	bool original = is_original(r, n, id, stream);
	struct stat st;
	char name[64];

	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return error_set(err, -EBADMSG, "the pod has no pipe as standard stream %d", stream);
	e = pipe_get(r, n, fd, err);
	if (e < 0)
		return e;
	snprintf(name, sizeof(name), "%d/fd/%d", getpid(), fd);
	*ret_fd = original ? fcntl(fd, F_DUPFD_CLOEXEC, 3)
			   : openat(r->proc, name, flags | O_NONBLOCK | O_CLOEXEC);
	return *ret_fd < 0 ? error_errno(err, -errno, "open standard stream %d", stream) : 0;
}

const struct kind kind_stream = {
	.name = "stream",
	.carries = "the pod's standard streams, input that was not read yet",
	.victims = "stream-pipe stream-reopened",
	.fd_is = stream_is,
	.fd_dump = stream_dump,
	.fd_restore = stream_restore,
};
