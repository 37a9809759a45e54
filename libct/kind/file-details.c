/* SPDX-License-Identifier: Apache-2.0 */
/* Two details of open files: extended attributes of nameless ones, and how far a directory was read. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "libct/base/sys.h"
#include "libct/kind/file.h"

/* ---- extended attributes ---- */

/* Labels of security modules are given to the new file as they would be to any. */
static bool is_carried(const char *name)
{
	return !strncmp(name, "user.", 5) || !strncmp(name, "system.posix_acl_", 17) ||
	       (!strncmp(name, "trusted.", 8) && strncmp(name, "trusted.overlay.", 16)) ||
	       !strcmp(name, "security.capability");
}

static void put_xattr(struct node **list, struct node *n, const char *path, const char *name)
{
	ssize_t len = getxattr(path, name, NULL, 0);
	cleanup_free char *value = len < 0 ? NULL : malloc((size_t)len + 1);
	struct node *o;

	if (!value)
		return;
	len = getxattr(path, name, value, (size_t)len);
	if (len < 0)
		return;
	if (!*list)
		*list = node_put_array(n, "attributes");
	o = node_put_object(*list, NULL);
	node_put_str(o, "name", name);
	node_put_blob(o, "value", value, (size_t)len);
}

int file_put_xattrs(const struct fd_view *v, struct node *n, struct ct_error *err)
{
	cleanup_free char *names = NULL;
	struct node *list = NULL;
	char path[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", v->dup);
	len = listxattr(path, NULL, 0);
	if (len <= 0)
		return len < 0 && errno != ENOTSUP ? error_errno(err, -errno, "read its attributes") : 0;
	names = malloc((size_t)len);
	if (!names)
		return error_errno(err, -ENOMEM, "attributes");
	len = listxattr(path, names, (size_t)len);
	for (const char *name = names; len > 0 && name < names + len; name += strlen(name) + 1)
		if (is_carried(name))
			put_xattr(&list, n, path, name);
	return 0;
}

int file_set_xattrs(const struct node *n, int fd, struct ct_error *err)
{
	const struct node *list = node_has(n, "attributes") ? node_array(n, "attributes") : NULL;
	size_t count = list ? node_count(list) : 0;

	for (size_t i = 0; i < count; i++) {
		const struct node *o = node_at(list, i);
		const char *name = node_str(o, "name");
		size_t len;
		const void *value = node_blob(o, "value", &len);

		if (!is_carried(name)) {
			node_complain(o, "an attribute that no file of a pod has");
			return 0;
		}
		if (fsetxattr(fd, name, value, len, 0) < 0)
			return error_errno(err, -errno, "set its attribute '%s'", name);
	}
	return 0;
}

/* ---- directories ---- */

struct entry {
	uint64_t ino;
	int64_t next;
	unsigned short len;
	unsigned char type;
	char name[];
};

struct listing {
	int fd;
	size_t at, len;
	_Alignas(struct entry) char buffer[32768];
};

/* The next entry; NULL at the end. */
static const struct entry *next_entry(struct listing *l, int *ret_error)
{
	const struct entry *e;

	if (l->at >= l->len) {
		long n = syscall(SYS_getdents64, l->fd, l->buffer, sizeof(l->buffer));

		*ret_error = n < 0 ? -errno : 0;
		if (n <= 0)
			return NULL;
		l->at = 0;
		l->len = (size_t)n;
	}
	e = (const struct entry *)(l->buffer + l->at);
	l->at += e->len;
	return e;
}

int directory_put_position(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	cleanup_free struct listing *l = calloc(1, sizeof(*l));
	const struct entry *e;
	cleanup_fd int fd = -1;
	char name[64];
	int r = 0;

	if (!v->pos)
		return 0;
	if (!l)
		return error_errno(err, -ENOMEM, "directory");
	snprintf(name, sizeof(name), "%d/fd/%d", getpid(), v->dup);
	l->fd = fd = openat(d->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, -errno, "read '%s'", v->link);
	while ((e = next_entry(l, &r)))
		if ((uint64_t)e->next == v->pos) {
			node_put_str(n, "after", e->name);
			return 0;
		}
	if (r < 0)
		return error_errno(err, r, "read '%s'", v->link);
	node_put_bool(n, "at_end", true);
	return 0;
}

int directory_seek(const struct node *n, int fd, struct ct_error *err)
{
	cleanup_free struct listing *l = NULL;
	bool end = node_has(n, "at_end") && node_bool(n, "at_end"), found = false;
	const char *after = node_has(n, "after") ? node_str(n, "after") : NULL;
	const struct entry *e;
	int64_t at = 0;
	int r = 0;

	if (!after && !end)
		return 0;
	l = calloc(1, sizeof(*l));
	if (!l)
		return error_errno(err, -ENOMEM, "directory");
	l->fd = fd;
	while (!found && (e = next_entry(l, &r))) {
		found = after && !strcmp(e->name, after);
		at = e->next;
	}
	if (r < 0)
		return error_errno(err, r, "read the directory");
	if (lseek(fd, found || end ? at : 0, SEEK_SET) < 0)
		return error_errno(err, -errno, "seek in the directory");
	return 0;
}
