/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues: names in the pod's mqueue file system with limits and messages, and descriptions
 * of them. man 7 mq_overview.
 *
 * Not carried: who waits to be notified (mq_notify), for the kernel does not tell the value that comes with the
 * signal; queues without a name.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/kind.h"
#include "libct/kind/mqueue-messages.h"

#define MQUEUE_FS 0x19800202
#define DIRECTORY "/dev/mqueue"

/* ---- descriptions ---- */

static bool mqueue_is(const struct dump *d, const struct fd_view *v)
{
	return v->fstype == MQUEUE_FS && S_ISREG(v->st.st_mode) && !(v->flags & O_PATH);
}

static int mqueue_fd_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	static const char deleted[] = " (deleted)";
	size_t len = strlen(v->link), cut = sizeof(deleted) - 1;

	if (v->st.st_nlink == 0 || (len > cut && !strcmp(v->link + len - cut, deleted)))
		dump_refuse_fd(d, v, "a message queue that was removed is not carried; close it first");
	node_put_str(n, "path", v->link);
	return 0;
}

/* mq_open(3) gives "/name", open(2) in the file system "/dev/mqueue/name": another kind of description. */
static int mqueue_fd_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			     struct ct_error *err)
{
	const char *path = node_path(n, "path");
	int all = (int)node_hex(n, "flags"), flags = all & (O_ACCMODE | O_NONBLOCK), e = doc_check(r->doc, err);
	struct stat st;

	if (e < 0)
		return e;
	if (!strncmp(path, DIRECTORY "/", sizeof(DIRECTORY)))
		*ret_fd = sys_openat2(AT_FDCWD, path, (uint64_t)flags, 0, RESOLVE_NO_SYMLINKS);
	else
		/* Always close-on-exec; that somebody asked for it shows in the flags of the description for good. */
		*ret_fd = SYS_RET(syscall(SYS_mq_open, path + 1, flags | (all & O_CLOEXEC), 0, NULL));
	if (*ret_fd < 0)
		return error_errno(err, *ret_fd, "open the message queue '%s'", path);
	if (fstat(*ret_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, -EBADMSG, "'%s' is not a message queue", path);
	return 0;
}

/* ---- the queues ---- */

static size_t number_of(const char *text, const char *label)
{
	const char *at = strstr(text, label);

	return at ? strtoull(at + strlen(label), NULL, 10) : 0;
}

static int put_queue(struct dump *d, const char *name, struct node *list, struct ct_error *err)
{
	cleanup_fd int fd = SYS_RET(syscall(SYS_mq_open, name, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0, NULL));
	size_t notify_pid, bytes;
	cleanup_free char *text = NULL;
	char path[300];
	struct mq_attr attr;
	struct stat st;
	struct node *n;
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : error_errno(err, fd, "open the message queue '/%s'", name);
	if (fstat(fd, &st) < 0 || mq_getattr(fd, &attr) < 0)
		return error_errno(err, -errno, "message queue '/%s'", name);
	snprintf(path, sizeof(path), DIRECTORY "/%s", name);
	if (io_read_file(AT_FDCWD, path, 4096, &text) < 0)
		return error_errno(err, -errno, "read '%s'", path);
	notify_pid = number_of(text, "NOTIFY_PID:");
	bytes = number_of(text, "QSIZE:");
	if (notify_pid) {
		dump_refuse(d, "a process waits to be notified of messages in '/%s' (mq_notify), which is not carried; "
			       "end that first", name);
		return 0;
	}
	n = node_put_object(list, NULL);
	node_put_str(n, "name", name);
	node_put_u64(n, "uid", st.st_uid);
	node_put_u64(n, "gid", st.st_gid);
	node_put_u64(n, "mode", st.st_mode & 07777);
	node_put_u64(n, "max_messages", (uint64_t)attr.mq_maxmsg);
	node_put_u64(n, "message_size", (uint64_t)attr.mq_msgsize);
	if (d->preflight)
		return 0;
	r = mqueue_put_messages(fd, (size_t)attr.mq_curmsgs, (size_t)attr.mq_msgsize, bytes, n, err);
	return r < 0 ? error_prefix(err, r, "message queue '/%s'", name) : 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int mqueue_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	struct node *list = node_put_array(n, "queues");
	struct dirent **names = NULL;
	int count = scandir(DIRECTORY, &names, NULL, by_name), r = 0;

	/* A kernel without them, or a pod without the mount: then nobody could see one either. */
	if (count < 0)
		return errno == ENOENT ? 0 : error_errno(err, -errno, "read '%s'", DIRECTORY);
	for (int i = 0; i < count; i++) {
		if (r == 0 && names[i]->d_name[0] != '.')
			r = put_queue(d, names[i]->d_name, list, err);
		free(names[i]);
	}
	free(names);
	return r;
}

static int make_queue(const struct node *n, const char *name, struct ct_error *err)
{
	struct mq_attr attr = {
		.mq_maxmsg = (long)node_u64(n, "max_messages", 1 << 20),
		.mq_msgsize = (long)node_u64(n, "message_size", 1 << 28),
	};
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK | O_CLOEXEC;
	cleanup_fd int fd = SYS_RET(syscall(SYS_mq_open, name, flags, 0600, &attr));
	int e;

	if (fd < 0)
		return error_errno(err, fd, "make the message queue '/%s'", name);
	if (fchown(fd, (uid_t)node_u64(n, "uid", UINT32_MAX - 1), (gid_t)node_u64(n, "gid", UINT32_MAX - 1)) < 0 ||
	    fchmod(fd, (mode_t)node_u64(n, "mode", 07777)) < 0)
		return error_errno(err, -errno, "set the owner of the message queue '/%s'", name);
	e = mqueue_get_messages(fd, n, err);
	return e < 0 ? error_prefix(err, e, "message queue '/%s'", name) : 0;
}

static int mqueue_restore(struct restore *r, const struct node *n, struct ct_error *err)
{
	const struct node *list = node_array(n, "queues");

	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *queue = node_at(list, i);
		const char *name = node_str(queue, "name");
		int e;

		if (!*name || strchr(name, '/') || name[0] == '.')
			node_complain(queue, "a name that no message queue can have");
		e = doc_check(r->doc, err);
		if (e == 0)
			e = make_queue(queue, name, err);
		if (e < 0)
			return e;
	}
	return 0;
}

const struct kind kind_mqueue = {
	.name = "mqueue",
	.carries = "POSIX message queues with their messages and priorities, and descriptors of them",
	.refuses = "POSIX message queues that were removed, mq_notify",
	.victims = "mqueue mqueue-filled mqueue-notify",
	.fd_is = mqueue_is,
	.fd_dump = mqueue_fd_dump,
	.fd_restore = mqueue_fd_restore,
	.pod_dump = mqueue_dump,
	.pod_restore = mqueue_restore,
};
