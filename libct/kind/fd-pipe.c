/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes and FIFOs: buffers in the kernel with descriptions that read and descriptions that write.
 * Usually there is one of each; open(2) of a FIFO or of /proc/PID/fd/N makes more.
 *
 * In the manifest the first description of a pipe has what belongs to the pipe, the others name it.
 * One restore makes all of a pipe at once, because a pipe is freed with its last description and because
 * what poll(2) says of a reader depends on the order in which writers came and went.
 *
 * Not carried: the one end of a pipe whose other end is outside the pod.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"
#include "libct/kind/pipe.h"

extern const struct kind kind_pipe;

static bool anonymous(const struct fd_view *v)
{
	return v->fstype == PIPEFS_MAGIC;
}

static bool pipe_is(const struct dump *d, const struct fd_view *v)
{
	/* A name of a FIFO opened with O_PATH is no end of a pipe. */
	return S_ISFIFO(v->st.st_mode) && (anonymous(v) || !(v->flags & O_PATH));
}

static short poll_now(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) < 0 ? 0 : p.revents;
}

/* Below a volume another program outside may have it open. */
static bool on_volume(const struct pod_config *config, const char *path)
{
	for (size_t i = 0; i < config->n_volumes; i++) {
		size_t len = strlen(config->volumes[i].destination);

		if (!strncmp(path, config->volumes[i].destination, len) &&
		    (path[len] == '/' || !path[len]))
			return true;
	}
	return false;
}

/* The name of a FIFO; without one it is made and removed again, so its place must be there and free. */
static int dump_name(struct dump *d, const struct fd_view *v, struct node *n)
{
	static const char deleted[] = " (deleted)";
	cleanup_free char *path = strdup(v->link), *under = NULL;
	size_t len = strlen(v->link);
	bool gone = v->st.st_nlink == 0;
	struct stat st;
	char *slash;

	if (!path || len < 2)
		return -ENOMEM;
	if (gone && len > strlen(deleted) && !strcmp(path + len - strlen(deleted), deleted))
		path[len - strlen(deleted)] = '\0';
	if (asprintf(&under, "%d/root%s", d->pod->state.pid1, path) < 0)
		return -ENOMEM;
	if (on_volume(&d->pod->config, path)) {
		dump_refuse_fd(d, v, "a FIFO on a volume leads out of the pod; put '%s' into the pod's own files",
			       path);
		return 0;
	}
	if (!gone && (fstatat(d->proc, under, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		      st.st_dev != v->st.st_dev || st.st_ino != v->st.st_ino)) {
		dump_refuse_fd(d, v, "the FIFO cannot be found by its name '%s'; close it first", path);
		return 0;
	}
	if (gone) {
		bool free_name = fstatat(d->proc, under, &st, AT_SYMLINK_NOFOLLOW) < 0;

		slash = strrchr(under, '/');
		*slash = '\0';
		if (!free_name || fstatat(d->proc, under, &st, 0) < 0) {
			dump_refuse_fd(d, v, "the FIFO '%s' was deleted, and its name is taken or its "
					     "directory gone; close it first", path);
			return 0;
		}
	}
	node_put_str(n, "path", path);
	node_put_bool(n, "deleted", gone);
	return 0;
}

static int dump_first(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	__cleanup(pipe_data_release) struct pipe_data data = { 0 };
	int r = anonymous(v) ? 0 : dump_name(d, v, n);

	if (r < 0)
		return error_errno(err, r, "name of a FIFO");
	pipe_put(v, n);
	if (d->preflight)
		return 0;
	/* To its own size: only a pipe of the kernel's notifications refuses that (man 7 watch_queue). */
	if (anonymous(v) && fcntl(v->dup, F_SETPIPE_SZ, fcntl(v->dup, F_GETPIPE_SZ)) < 0 &&
	    errno == EBUSY) {
		dump_refuse_fd(d, v, "a notification pipe (O_NOTIFICATION_PIPE) is not carried; close it first");
		return 0;
	}
	r = pipe_peek(d->proc, v->dup, &data, err);
	if (r == 0)
		pipe_data_put(&data, n);
	return r;
}

static int pipe_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct node *first;
	uint32_t id;

	if (v->flags & O_PATH) {
		dump_refuse_fd(d, v, "a pipe opened with O_PATH is not carried; close it first");
		return 0;
	}
	first = dump_descriptor_first(d, v, &kind_pipe, &id);
	node_put_u64(n, "pipe", id);
	if ((v->flags & O_ACCMODE) != O_WRONLY) {
		node_put_bool(n, "hangup", poll_now(v->dup, POLLIN) & POLLHUP);
		if (!node_has(first, "readers"))
			node_put_bool(first, "readers", true);
	}
	if ((v->flags & O_ACCMODE) != O_RDONLY && !node_has(first, "writers"))
		node_put_bool(first, "writers", true);
	return id == v->id ? dump_first(d, v, n, err) : 0;
}

/* Now all ends that the pod holds are known: is there one that it does not? */
static int pipe_link(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	bool outside = false;
	uint32_t id;

	/* While the pod runs, ends move between processes that were looked at one after the other. */
	if (d->preflight || !anonymous(v) || v->flags & O_PATH)
		return 0;
	dump_descriptor_first(d, v, &kind_pipe, &id);
	if (id != v->id)
		return 0;
	if (!node_has(n, "writers"))
		outside = !(poll_now(v->dup, POLLIN) & POLLHUP);
	else if (!node_has(n, "readers"))
		outside = !(poll_now(v->dup, POLLOUT) & POLLERR);
	if (outside)
		dump_refuse_fd(d, v, "the other end of the pipe is held outside the pod; close it there first");
	return 0;
}

/* ---- restore ---- */

/* A pipe while its descriptions are made. */
struct making {
	const struct node *first;
	uint32_t id;
	const char *path; /* of a FIFO, else NULL */
	bool remove;	  /* the FIFO is ours to remove */
	int out, in;	  /* keep it alive; those of a pipe may become two of the descriptions */
};

static void making_release(struct making *m)
{
	if (m->remove)
		unlink(m->path);
	fd_close(m->out);
	fd_close(m->in);
}

/* Links of /proc have no other way to it than this; a FIFO has its name. */
static int open_again(struct restore *r, const struct making *m, int flags)
{
	char name[64];
	int fd;

	flags |= O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	if (m->path)
		return sys_openat2(AT_FDCWD, m->path, (uint64_t)flags, 0, RESOLVE_NO_SYMLINKS);
	snprintf(name, sizeof(name), "%d/fd/%d", getpid(), m->out);
	fd = openat(r->proc, name, flags);
	return fd < 0 ? -errno : fd;
}

static int make_fifo(struct restore *r, struct making *m, struct ct_error *err)
{
	cleanup_fd int name = -1;
	struct stat st;
	int e;

	if (node_bool(m->first, "deleted")) {
		if (mkfifo(m->path, 0600) < 0)
			return error_errno(err, -errno, "make the FIFO '%s'", m->path);
		m->remove = true;
	}
	name = sys_openat2(AT_FDCWD, m->path, O_PATH, 0, RESOLVE_NO_SYMLINKS);
	if (name < 0)
		return error_errno(err, name, "open the FIFO '%s'", m->path);
	if (fstat(name, &st) < 0 || !S_ISFIFO(st.st_mode))
		return error_set(err, -EBADMSG, "'%s' is not a FIFO", m->path);
	m->out = open_again(r, m, O_RDONLY);
	m->in = m->out < 0 ? -1 : open_again(r, m, O_WRONLY);
	if (m->in < 0)
		return error_errno(err, m->out < 0 ? m->out : m->in, "open the FIFO '%s'", m->path);
	/* A named one has its owner from the file tree. */
	e = m->remove ? pipe_get(r, m->first, m->in, err) : pipe_get_capacity(r, m->first, m->in, err);
	if (e == 0 && !m->remove) {
		node_u64(m->first, "uid", UINT32_MAX);
		node_u64(m->first, "gid", UINT32_MAX);
		node_u64(m->first, "mode", 07777);
	}
	return e;
}

static int make_pipe(struct restore *r, struct making *m, struct ct_error *err)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_errno(err, -errno, "pipe");
	m->out = fd[0];
	m->in = fd[1];
	return pipe_get(r, m->first, m->in, err);
}

/* The ends of pipe(2) itself: at most one of each, and without the flag that open(2) sets. */
static int *own_end(struct making *m, int flags)
{
	if (m->path || flags & KERNEL_O_LARGEFILE)
		return NULL;
	if ((flags & O_ACCMODE) == O_RDONLY)
		return m->out >= 0 ? &m->out : NULL;
	return (flags & O_ACCMODE) == O_WRONLY && m->in >= 0 ? &m->in : NULL;
}

enum pass { WITH_WRITERS, WITHOUT_WRITERS, OWN_ENDS, N_PASSES };

static enum pass pass_of(struct making *m, const struct node *n, int flags)
{
	bool hangup = node_has(n, "hangup") && node_bool(n, "hangup");

	if (own_end(m, flags))
		return OWN_ENDS;
	/* A reader that no writer has met yet does not poll as hung up. */
	if (m->path && !node_has(m->first, "writers") && !hangup)
		return WITHOUT_WRITERS;
	return WITH_WRITERS;
}

static int make_descriptions(struct restore *r, struct making *m, enum pass pass, struct ct_error *err)
{
	for (uint32_t i = m->id; i < r->n_ofds; i = restore_ofd_next(r, i)) {
		const struct node *n = restore_ofd_node(r, i, m->first);
		int flags, fd, e;

		if (strcmp(node_str(n, "kind"), "pipe") || node_u64(n, "pipe", UINT32_MAX) != m->id)
			continue;
		flags = (int)node_hex(n, "flags");
		if (r->ofds[i] >= 0 || pass_of(m, n, flags) != pass)
			continue;
		if (pass == OWN_ENDS)
			fd = take_fd(own_end(m, flags));
		else
			fd = open_again(r, m, flags & (O_ACCMODE | O_NOFOLLOW | O_DSYNC | O_SYNC));
		if (fd < 0)
			return error_errno(err, fd, "open %s", m->path ? m->path : "a pipe");
		e = restore_put_ofd(r, i, fd, err);
		if (e < 0)
			return e;
	}
	return 0;
}

static int restore_all(struct restore *r, struct making *m, struct ct_error *err)
{
	__cleanup(pipe_data_release) struct pipe_data data = { 0 };
	int e = m->path ? make_fifo(r, m, err) : make_pipe(r, m, err);

	if (e == 0)
		e = pipe_data_get(r, m->first, &data, err);
	if (e == 0)
		e = pipe_fill(m->in, &data, err);
	if (e == 0)
		e = make_descriptions(r, m, WITH_WRITERS, err);
	if (e == 0 && m->path) {
		m->in = fd_close(m->in);
		e = make_descriptions(r, m, WITHOUT_WRITERS, err);
	}
	return e < 0 ? e : make_descriptions(r, m, OWN_ENDS, err);
}

static int pipe_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			struct ct_error *err)
{
	__cleanup(making_release) struct making m = { .out = -1, .in = -1 };
	int e;

	m.id = (uint32_t)node_u64(n, "pipe", r->n_ofds - 1);
	if (m.id > id)
		node_complain(n, "a pipe whose first description is not the first");
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	m.first = restore_ofd_node(r, m.id, n);
	if (strcmp(node_str(m.first, "kind"), "pipe") || node_u64(m.first, "pipe", UINT32_MAX) != m.id)
		node_complain(n, "a pipe that is none");
	if (node_has(m.first, "path"))
		m.path = node_path(m.first, "path");
	for (size_t i = 0; i < 2; i++) {
		const char *const keys[] = { "readers", "writers" };

		if (node_has(m.first, keys[i]) && !node_bool(m.first, keys[i]))
			node_complain(m.first, "a pipe with no end after all");
	}
	if (r->ofds[m.id] >= 0)
		node_complain(n, "a pipe with more ends than it can have");
	e = doc_check(r->doc, err);
	if (e == 0)
		e = restore_all(r, &m, err);
	if (e == 0 && r->ofds[id] < 0) /* such as a second reader that pipe(2) itself made */
		e = error_set(err, -EBADMSG, "a pipe with more ends than it can have");
	return e;
}

const struct kind kind_pipe = {
	.name = "pipe",
	.carries = "pipes and FIFOs with what is in them, packets (O_DIRECT), capacity, any number of ends, "
		   "also where only one side is held",
	.refuses = "one end of a pipe whose other end is outside the pod, FIFOs on volumes, notification pipes",
	.victims = "pipe-data pipe-capacity pipe-packets pipe-one-end pipe-reopened pipe-shared fifo fifo-deleted",
	.fd_is = pipe_is,
	.fd_dump = pipe_dump,
	.fd_link = pipe_link,
	.fd_restore = pipe_restore,
	.fd_first = "pipe",
};
