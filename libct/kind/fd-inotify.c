/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An inotify instance: watches of inodes, and a queue of events. man 7 inotify.
 *
 * fdinfo shows the inodes; inotify-find.c finds names for them, by which the watches are added again
 * under the same numbers, when nothing of the restore itself touches files any more.
 *
 * Not carried: events that were not read yet, watches of files that have no name any more.
 */
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "libct/base/cleanup.h"
#include "libct/kind/fdinfo.h"
#include "libct/kind/inotify.h"

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif
#define USER_MASK (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT)

static bool inotify_is(const struct dump *d, const struct fd_view *v)
{
	return fdinfo_is(v->link, "inotify") || fdinfo_is(v->link, "[inotify]");
}

static int compare(const void *a, const void *b)
{
	const struct inotify_watch *x = a, *y = b;

	return (x->wd > y->wd) - (x->wd < y->wd);
}

static int inotify_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct node *array = node_put_array(n, "watches");
	struct inotify_watch *list = NULL;
	int unread = 0, r;
	size_t count = 0;

	/* Reading back touches watched files, too. */
	if (!d->verify && ioctl(v->dup, FIONREAD, &unread) == 0 && unread > 0) {
		dump_refuse_fd(d, v, "inotify has events that were not read yet, which are not carried; "
				     "try again when the program has read them");
		dump_passing(d);
		return 0;
	}
	r = inotify_parse(v->fdinfo, &list, &count);
	if (r < 0)
		return error_errno(err, r, "fdinfo of inotify");
	if (count) {
		qsort(list, count, sizeof(*list), compare);
		r = inotify_find(d, list, count, err);
	}
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct node *watch;

		if (!list[i].path) {
			if (!d->preflight)
				dump_refuse_fd(d, v, "inotify watch %d is of a file that has no name any "
						     "more; remove it first", list[i].wd);
			continue;
		}
		watch = node_put_object(array, NULL);
		node_put_i64(watch, "wd", list[i].wd);
		node_put_str(watch, "path", list[i].path);
		node_put_hex(watch, "mask", list[i].mask & USER_MASK);
	}
	inotify_watches_free(list, count);
	return r;
}

static int inotify_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			   struct ct_error *err)
{
	*ret_fd = inotify_init1(IN_CLOEXEC);
	return *ret_fd < 0 ? error_errno(err, -errno,
					 "inotify_init (see /proc/sys/fs/inotify/max_user_instances)")
			   : 0;
}

/* The path is that of the inode itself: a symbolic link at its end is what was watched. */
static int add_watch(int fd, int wd, const char *path, uint32_t mask, struct ct_error *err)
{
	int got;

	if (ioctl(fd, INOTIFY_IOC_SETNEXTWD, (long)wd) < 0)
		return error_errno(err, -errno, "give a watch its number (CONFIG_CHECKPOINT_RESTORE)");
	got = inotify_add_watch(fd, path, mask | IN_DONT_FOLLOW | IN_MASK_CREATE);
	if (got < 0)
		return error_errno(err, -errno, "watch '%s'", path);
	return got == wd ? 0 : error_set(err, -EBUSY, "watch '%s': its number %d is taken", path, wd);
}

static int inotify_restore_late(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	const struct node *array = node_array(n, "watches");

	for (size_t i = 0; i < node_count(array); i++) {
		const struct node *watch = node_at(array, i);
		int wd = (int)node_i64(watch, "wd", 1, INT32_MAX - 1);
		const char *path = node_path(watch, "path");
		uint32_t mask = (uint32_t)node_hex(watch, "mask");
		int e;

		if (mask & ~USER_MASK)
			node_complain(watch, "events this version does not know");
		e = doc_check(r->doc, err);
		if (e == 0)
			e = add_watch(fd, wd, path, mask, err);
		if (e < 0)
			return e;
	}
	return 0;
}

const struct kind kind_inotify = {
	.name = "inotify",
	.carries = "inotify instances with their watches, also of files on overlays",
	.refuses = "inotify events that were not read yet, watches of files without a name",
	.victims = "inotify inotify-unread",
	.fd_is = inotify_is,
	.fd_dump = inotify_dump,
	.fd_restore = inotify_restore,
	.fd_restore_late = inotify_restore_late,
};
