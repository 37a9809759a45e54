/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Working directory, root directory and umask: man 2 chdir, chroot, umask. /proc/PID/cwd and root
 * show the directories, /proc/PID/status the umask.
 *
 * A directory that a path of the pod leads to is carried as that path. One that no path leads to
 * (removed, mounted over, behind a chroot) goes through a descriptor like any other open directory.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/kind.h"

static bool same_directory(int a, int b)
{
	struct statx x, y;

	return statx(a, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &x) == 0 &&
	       statx(b, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &y) == 0 &&
	       x.stx_ino == y.stx_ino && x.stx_dev_major == y.stx_dev_major &&
	       x.stx_dev_minor == y.stx_dev_minor && x.stx_mnt_id == y.stx_mnt_id;
}

/* `name` is "cwd" or "root". *by_path: on return, whether it went as a path; false before: it may not. */
static int dump_directory(struct dump *d, struct dump_process *p, const char *name, bool *by_path,
			  struct node *n, struct ct_error *err)
{
	cleanup_free char *path = NULL;
	cleanup_fd int fd = proc_open(d->proc, p->pid, name, O_PATH | O_DIRECTORY);
	cleanup_fd int root = proc_open(d->proc, d->pod->state.pid1, "root", O_PATH | O_DIRECTORY);
	uint32_t id;
	int r;

	if (fd < 0)
		return error_errno(err, fd, "open its %s", name);
	if (root < 0)
		return error_errno(err, root, "open the pod's root");
	r = proc_readlink(d->proc, p->pid, name, &path);
	if (r == -ENAMETOOLONG)
		return error_set(err, -EOPNOTSUPP,
				 "its %s: a path that is longer than the kernel can tell is not carried", name);
	if (r < 0)
		return error_errno(err, r, "read its %s", name);
	if (*by_path) {
		cleanup_fd int at = path[0] == '/' ? sys_openat2(root, path, O_PATH | O_DIRECTORY, 0,
								 RESOLVE_IN_ROOT)
						   : -ENOENT;

		*by_path = at >= 0 && same_directory(fd, at);
	}
	if (*by_path) {
		node_put_str(n, name, path);
		return 0;
	}
	r = dump_descriptor(d, getpid(), fd, &id, err);
	if (r < 0)
		return error_prefix(err, r, "its %s", name);
	node_put_u64(n, strcmp(name, "cwd") ? "root_descriptor" : "cwd_descriptor", id);
	return 0;
}

static int process_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
			struct tape_mark mark, struct node *n, struct ct_error *err)
{
	bool by_path = true;
	int r;

	node_put_u64(n, "umask", (unsigned int)p->status.umask);
	/* Behind a root that no path leads to, no path leads anywhere: so the root comes first. */
	r = dump_directory(d, p, "root", &by_path, n, err);
	return r < 0 ? r : dump_directory(d, p, "cwd", &by_path, n, err);
}

/* fchdir(2) to a description of the manifest. */
static int restore_fchdir(struct restore *r, struct restore_process *p, const struct node *n,
			  const char *key, struct tape *tape, struct ct_error *err)
{
	int fd = restore_ofd(r, (uint32_t)node_u64(n, key, UINT32_MAX), err);
	ssize_t got;
	int e;

	if (fd < 0)
		return fd;
	e = tape_need(tape, 3, 0, err);
	if (e < 0)
		return e;
	got = restore_tape_fd(p, tape, fd, -1, true);
	tape_chain(tape, (size_t)got, tape_must(tape, "fchdir", SYS_fchdir, 0, 0, 0, 0, 0, 0), 0);
	tape_chain(tape, (size_t)got, tape_call(tape, SYS_close, 0, 0, 0, 0, 0, 0), 0);
	return 0;
}

static int restore_path(struct restore *r, const struct node *n, const char *key, const char *what,
			long nr, struct tape *tape, struct ct_error *err)
{
	const char *path = node_path(n, key);
	int e = doc_check(r->doc, err);

	if (e == 0)
		e = tape_need(tape, 1, strlen(path) + 1, err);
	if (e == 0)
		tape_must(tape, what, nr, tape_data(tape, path, strlen(path) + 1), 0, 0, 0, 0, 0);
	return e;
}

static int restore_cwd(struct restore *r, struct restore_process *p, const struct node *n,
		       struct tape *tape, struct ct_error *err)
{
	if (node_has(n, "cwd_descriptor"))
		return restore_fchdir(r, p, n, "cwd_descriptor", tape, err);
	return restore_path(r, n, "cwd", "change to the working directory", SYS_chdir, tape, err);
}

static int process_restore(struct restore *r, struct restore_process *p, const struct node *n,
			   struct tape *tape, struct ct_error *err)
{
	int e = tape_need(tape, 1, 0, err);

	if (e < 0)
		return e;
	tape_must(tape, "umask", SYS_umask, node_u64(n, "umask", 0777), 0, 0, 0, 0, 0);
	if (node_has(n, "root_descriptor")) {
		e = restore_fchdir(r, p, n, "root_descriptor", tape, err);
		if (e == 0)
			e = tape_need(tape, 1, 2, err);
		if (e < 0)
			return e;
		tape_must(tape, "chroot", SYS_chroot, tape_data(tape, ".", 2), 0, 0, 0, 0, 0);
		return restore_cwd(r, p, n, tape, err);
	}
	/* The path of the working directory is one from the pod's root: before chroot, which leaves it alone. */
	e = restore_cwd(r, p, n, tape, err);
	return e < 0 ? e : restore_path(r, n, "root", "chroot", SYS_chroot, tape, err);
}

const struct kind kind_fs = {
	.name = "fs",
	.carries = "working directory (removed ones too), chroot, umask",
	.victims = "fs-cwd fs-cwd-removed fs-chroot",
	.process_dump = process_dump,
	.process_restore = process_restore,
};
