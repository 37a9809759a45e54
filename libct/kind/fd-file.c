/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular files, directories, symlinks (O_PATH), /dev/null and its like: what open(2) gives. Files
 * that are mapped, and programs, come here too, by /proc/PID/map_files and /proc/PID/exe.
 *
 * /proc/PID/fd names each by the path it was opened by, as it is called now. Where that path still
 * leads to the same file, it is opened again there after the restore: the file itself is carried as
 * part of the pod's trees. Where it does not, see file-nameless.c.
 *
 * Not carried: files outside of the pod, files that something was mounted over, files of /proc and
 * /sys that are opened for writing.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "libct/base/sys.h"
#include "libct/kind/file.h"

#ifndef SECRETMEM_MAGIC
#define SECRETMEM_MAGIC 0x5345434d
#endif
#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif
#ifndef __O_TMPFILE
#define __O_TMPFILE 020000000
#endif

static const struct {
	mode_t type;
	const char *name;
} types[] = {
	{ S_IFREG, "regular" }, { S_IFDIR, "directory" }, { S_IFLNK, "symlink" },
	{ S_IFCHR, "device" },	{ S_IFIFO, "fifo" },	  { S_IFSOCK, "socket" },
	{ S_IFBLK, "block device" },
};

const char *file_type_name(mode_t mode)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == (mode & S_IFMT))
			return types[i].name;
	return "unknown";
}

mode_t file_type(const char *name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(types[i].name, name))
			return types[i].type;
	return 0;
}

/* Devices without state: null, zero, full, random, urandom. */
static bool is_plain_device(dev_t dev)
{
	unsigned int m = minor(dev);

	return major(dev) == 1 && (m == 3 || m == 5 || m == 7 || m == 8 || m == 9);
}

/* "/SYSV0000002a (deleted)": System V shared memory, which is a kind of its own. */
static bool is_sysv(const struct fd_view *v)
{
	return (v->fstype == TMPFS_MAGIC || v->fstype == HUGETLBFS_MAGIC) &&
	       !strncmp(v->link, "/SYSV", 5) && strspn(v->link + 5, "0123456789abcdef") == 8;
}

static bool file_fd_is(const struct dump *d, const struct fd_view *v)
{
	if (v->link[0] != '/' || v->fstype == SECRETMEM_MAGIC || v->fstype == NSFS_MAGIC)
		return false;
	/* A name for something, whatever it is. */
	if (v->flags & O_PATH)
		return true;
	switch (v->st.st_mode & S_IFMT) {
	case S_IFREG:
		return v->fstype != MQUEUE_MAGIC && !is_sysv(v);
	case S_IFDIR:
		return true;
	case S_IFCHR:
		return is_plain_device(v->st.st_rdev);
	default:
		return false;
	}
}

/* ---- dump ---- */

static bool is_kernels(const struct mount_entry *mount)
{
	static const char *const file_systems[] = { "proc", "sysfs", "cgroup", "cgroup2" };

	for (size_t i = 0; i < sizeof(file_systems) / sizeof(file_systems[0]); i++)
		if (!strcmp(mount->type, file_systems[i]))
			return true;
	return false;
}

/* Files of a process that hold one value, which writing sets and which is carried with the process. */
static bool is_plain_setting(const char *path)
{
	static const char *const names[] = { "comm", "oom_score_adj", "oom_adj", "coredump_filter",
					     "timerslack_ns", "autogroup", "clear_refs" };
	const char *name = strrchr(path, '/') + 1;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* A file of /proc, /sys or a cgroup is opened again by its path, which must mean the same then. */
static void check_kernels(struct dump *d, const struct fd_view *v, const struct mount_entry *mount)
{
	bool writable = !(v->flags & O_PATH) && (v->flags & O_ACCMODE) != O_RDONLY;

	if (writable && !(!strcmp(mount->type, "proc") && is_plain_setting(v->link)))
		dump_refuse_fd(d, v, "'%s' is open for writing, which is not carried; close it first",
			       v->link);
}

static int put_live(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	node_put_str(n, "home", "path");
	node_put_str(n, "path", v->link);
	node_put_str(n, "type", file_type_name(v->st.st_mode));
	if (S_ISCHR(v->st.st_mode)) {
		node_put_u64(n, "major", major(v->st.st_rdev));
		node_put_u64(n, "minor", minor(v->st.st_rdev));
	}
	if (S_ISREG(v->st.st_mode) && !(v->flags & O_PATH))
		node_put_u64(n, "position", v->pos);
	if (S_ISDIR(v->st.st_mode) && !(v->flags & O_PATH))
		return directory_put_position(d, v, n, err);
	return 0;
}

/* Given from outside (standard input from the host's /dev/null): the pod's own is as good. */
static bool put_device(struct dump *d, const struct fd_view *v, struct node *n)
{
	cleanup_fd int fd = file_open_path(d, v->link);
	struct stat st;

	if (!S_ISCHR(v->st.st_mode) || fd < 0 || fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) ||
	    st.st_rdev != v->st.st_rdev)
		return false;
	put_live(d, v, n, NULL);
	return true;
}

static int file_fd_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	const struct mount_entry *mount = file_mount(d, v->mnt_id);

	if (mount && is_kernels(mount))
		check_kernels(d, v, mount);
	if (mount && file_is_at(d, v->link, &v->st))
		return put_live(d, v, n, err);
	if (put_device(d, v, n))
		return 0;
	if (mount && is_kernels(mount)) {
		dump_refuse_fd(d, v, "'%s' is of a process that has ended; close it first", v->link);
		return 0;
	}
	return file_dump_nameless(d, v, mount, n, err);
}

/* ---- restore ---- */

int file_open_flags(const struct node *n)
{
	const int known = O_ACCMODE | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_DIRECT | O_LARGEFILE |
			  O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_PATH;
	uint64_t flags = node_hex(n, "flags");

	/* 0100000 is the kernel's O_LARGEFILE, which glibc calls 0 on 64 bits. */
	flags &= ~0100000ULL;
	if (flags & ~(uint64_t)(known | O_ASYNC | __O_TMPFILE))
		node_complain(n, "flags that open(2) does not know");
	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
	return (int)flags & known;
}

/* Looks before it opens: opening something else could block, or rewind a tape. */
static int check_path(const struct node *n, const char *path, int flags, struct ct_error *err)
{
	mode_t type = file_type(node_str(n, "type"));
	cleanup_fd int fd = -1;
	struct stat st;

	fd = sys_openat2(AT_FDCWD, path, O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return error_errno(err, fd, "open '%s' in the pod", path);
	if (fstat(fd, &st) < 0)
		return error_errno(err, -errno, "stat '%s' in the pod", path);
	if ((st.st_mode & S_IFMT) != type)
		return error_set(err, -ENOTSUP, "'%s' in the pod is not a %s any more", path,
				 node_str(n, "type"));
	/* Without state, or but a name: never one that opening does something to. */
	if (S_ISCHR(type) && !(flags & O_PATH) && !is_plain_device(st.st_rdev))
		return error_set(err, -EBADMSG, "'%s' in the pod is no device that is carried", path);
	if (S_ISCHR(type) && st.st_rdev != makedev((unsigned int)node_u64(n, "major", 4095),
						   (unsigned int)node_u64(n, "minor", 1 << 20)))
		return error_set(err, -ENOTSUP, "'%s' in the pod is another device", path);
	return 0;
}

/*
 * Some files of /proc tell more to whoever had more capabilities when opening them. The pod's descriptor is
 * not to know more than a program of the pod could have learned.
 */
static bool is_telling(const char *path)
{
	static const char *const names[] = { "pagemap", "kallsyms", "modules", "kpageflags", "kpagecount",
					     "kcore", "timer_list", "vmallocinfo" };
	const char *name = strrchr(path, '/') + 1;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static int open_bounded(const char *path, int flags, uint64_t capabilities)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct old[2], less[2];
	int fd;

	if (syscall(SYS_capget, &header, old) < 0)
		return -errno;
	memcpy(less, old, sizeof(less));
	less[0].effective &= (uint32_t)capabilities;
	less[1].effective &= (uint32_t)(capabilities >> 32);
	if (syscall(SYS_capset, &header, less) < 0)
		return -errno;
	fd = sys_openat2(AT_FDCWD, path, (uint64_t)flags, 0, RESOLVE_NO_SYMLINKS);
	if (syscall(SYS_capset, &header, old) < 0) {
		fd_close(fd);
		return -errno;
	}
	return fd;
}

static int restore_live(struct restore *r, const struct node *n, int *ret_fd, struct ct_error *err)
{
	const char *path = node_path(n, "path");
	bool plain = file_type(node_str(n, "type")) == S_IFREG;
	int flags = file_open_flags(n), e;
	cleanup_fd int fd = -1;
	uint64_t pos = 0;

	if (plain && !(flags & O_PATH))
		pos = node_u64(n, "position", UINT64_MAX);
	e = doc_check(r->doc, err);
	if (e == 0)
		e = check_path(n, path, flags, err);
	if (e < 0)
		return e;
	if (is_telling(path))
		fd = open_bounded(path, flags, r->pod->config.capabilities);
	else
		fd = sys_openat2(AT_FDCWD, path, (uint64_t)flags, 0, RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return error_errno(err, fd, "open '%s' in the pod", path);
	if (pos && lseek(fd, (off_t)pos, SEEK_SET) < 0)
		return error_errno(err, -errno, "seek in '%s'", path);
	if (!plain)
		e = directory_seek(n, fd, err);
	*ret_fd = take_fd(&fd);
	return e;
}

static int file_fd_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			   struct ct_error *err)
{
	if (!strcmp(node_str(n, "home"), "path"))
		return restore_live(r, n, ret_fd, err);
	return file_restore_nameless(r, n, id, ret_fd, err);
}

static int file_fd_restore_late(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	if (!strcmp(node_str(n, "home"), "path"))
		return 0;
	return file_restore_nameless_late(r, n, fd, err);
}

const struct kind kind_file = {
	.name = "file",
	.carries = "regular files (open, renamed, deleted, deleted under one of several names, O_TMPFILE, "
		   "O_PATH), directories, memfd with its seals, /dev/null, zero, full, random and urandom, "
		   "files of /proc and /sys opened for reading",
	.refuses = "files outside of the pod, files under a mount, files of /proc and /sys opened for writing, "
		   "mappings of a file of the host from before the pod wrote to it",
	.victims = "file-positions file-append file-deleted file-deleted-shared file-renamed file-linked "
		   "file-tmpfile file-opath file-dir file-dnotify file-dev file-memfd file-replaced file-proc "
		   "file-proc-write mem-stale upper-tree",
	.fd_is = file_fd_is,
	.fd_dump = file_fd_dump,
	.fd_restore = file_fd_restore,
	.fd_first = "file",
	.fd_restore_late = file_fd_restore_late,
};
