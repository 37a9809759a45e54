/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts that every pod has: the kernel's file systems for its own namespaces, a minimal /dev, an
 * empty /run, and masks over those files of /proc and /sys that are the host's rather than the pod's.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "libct/base/error.h"
#include "libct/base/mountinfo.h"
#include "libct/base/sys.h"
#include "libct/pod/inside.h"

#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define TTY_GID "5" /* the group "tty" wherever there is one */

static const struct own_mount {
	const char *at, *type;
	struct mount_param params[4];
	size_t n_params;
	unsigned int attributes;
	bool optional; /* a kernel without it is fine */
} own_mounts[] = {
	{ "/proc", "proc", { { "source", "proc" } }, 1, SAFE, false },
	{ "/sys", "sysfs", { { "source", "sysfs" } }, 1, SAFE | MOUNT_ATTR_RDONLY, false },
	{ "/dev",
	  "tmpfs",
	  { { "source", "podckpt" }, { "mode", "0755" }, { "size", "64k" } },
	  3,
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	  false },
	{ "/dev/pts",
	  "devpts",
	  { { "source", "devpts" }, { "gid", TTY_GID }, { "mode", "0620" }, { "ptmxmode", "0666" } },
	  4,
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	  false },
	{ "/dev/shm",
	  "tmpfs",
	  { { "source", "podckpt" }, { "mode", "1777" } },
	  2,
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	  false },
	{ "/dev/mqueue", "mqueue", { { "source", "mqueue" } }, 1, SAFE, true },
	{ "/run",
	  "tmpfs",
	  { { "source", "podckpt" }, { "mode", "0755" } },
	  2,
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	  false },
};

#define CGROUP_AT "/sys/fs/cgroup"

/* Readable, since programs look, but the host's: nothing may be changed. */
static const char *const read_only[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

/* Not to be seen: secrets of the kernel, or ways to the hardware. */
static const char *const masked[] = {
	"/proc/acpi",	      "/proc/asound",	   "/proc/interrupts", "/proc/kcore",
	"/proc/keys",	      "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
	"/proc/timer_list",   "/proc/timer_stats", "/sys/firmware",
	"/sys/devices/virtual/powercap",
};

static const struct device {
	const char *name;
	unsigned int major, minor;
} devices[] = {
	{ "null", 1, 3 },   { "zero", 1, 5 },	 { "full", 1, 7 },
	{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const char *const links[][2] = {
	{ "ptmx", "pts/ptmx" },		{ "fd", "/proc/self/fd" },
	{ "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" },
};

static bool listed(const char *at, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], at))
			return true;
	return false;
}

#define N(array) (sizeof(array) / sizeof(*(array)))

bool rootfs_is_own_mount(const char *at)
{
	for (size_t i = 0; i < N(own_mounts); i++)
		if (!strcmp(own_mounts[i].at, at))
			return true;
	return !strcmp(at, CGROUP_AT) || listed(at, read_only, N(read_only)) ||
	       listed(at, masked, N(masked));
}

/* mknod(2) and not binds of the host's nodes: chmod in the pod must not reach the host. */
static int fill_dev(int rootfd, struct ct_error *err)
{
	cleanup_fd int dev = root_open(rootfd, "/dev", O_PATH | O_DIRECTORY);

	if (dev < 0)
		return error_errno(err, dev, "open '/dev' of the pod");
	for (size_t i = 0; i < N(devices); i++)
		if (mknodat(dev, devices[i].name, S_IFCHR | 0666,
			    makedev(devices[i].major, devices[i].minor)) < 0 ||
		    fchmodat(dev, devices[i].name, 0666, 0) < 0)
			return error_errno(err, -errno, "make '/dev/%s' in the pod",
					   devices[i].name);
	for (size_t i = 0; i < N(links); i++)
		if (symlinkat(links[i][1], dev, links[i][0]) < 0)
			return error_errno(err, -errno, "make '/dev/%s' in the pod", links[i][0]);
	return 0;
}

/* What programs expect in a /run that was just booted. */
static int fill_run(int rootfd, struct ct_error *err)
{
	cleanup_fd int lock = root_make(rootfd, "/run/lock", false);

	if (lock < 0 || fchmodat(lock, ".", 01777, 0) < 0)
		return error_errno(err, lock < 0 ? lock : -errno, "make '/run/lock' in the pod");
	return 0;
}

/*
 * The pod's own cgroups, to be read: where the host has v2 alone, as programs look for limits
 * there.
 */
static int mount_cgroup(int rootfd, struct ct_error *err)
{
	const struct mount_param params[] = { { "source", "cgroup2" } };
	cleanup_mountinfo struct mountinfo mounts = { 0 };
	bool v1 = false, v2 = false;
	cleanup_fd int fd = -1;
	int r = mountinfo_read("/proc/self/mountinfo", &mounts);

	if (r < 0)
		return error_errno(err, r, "read '/proc/self/mountinfo'");
	for (size_t i = 0; i < mounts.n; i++) {
		v1 |= !strcmp(mounts.entries[i].type, "cgroup");
		v2 |= !strcmp(mounts.entries[i].type, "cgroup2");
	}
	if (v1 || !v2)
		return 0;
	fd = mount_new("cgroup2", params, 1, SAFE | MOUNT_ATTR_RDONLY, err);
	return fd < 0 ? fd : mount_hang(fd, rootfd, CGROUP_AT, false, err);
}

/* Puts a read-only copy of itself over a directory or file. */
static int make_read_only(int rootfd, const char *path, struct ct_error *err)
{
	cleanup_fd int at = root_open(rootfd, path, O_PATH | O_NOFOLLOW);
	cleanup_fd int fd = -1;
	int r;

	if (at < 0)
		return 0; /* this kernel has none */
	fd = SYS_RET(open_tree(at, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
	if (fd < 0)
		return error_errno(err, fd, "bind '%s' in the pod", path);
	r = mount_set(fd, SAFE | MOUNT_ATTR_RDONLY, false, err);
	if (r == 0 &&
	    move_mount(fd, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		r = error_errno(err, -errno, "mount on '%s' in the pod", path);
	return r;
}

/* Puts an empty directory, or the pod's /dev/null, over it. */
static int mask(int rootfd, const char *path, struct ct_error *err)
{
	const struct mount_param params[] = { { "source", "podckpt" }, { "mode", "0555" } };
	cleanup_fd int at = root_open(rootfd, path, O_PATH | O_NOFOLLOW);
	cleanup_fd int null = -1, fd = -1;
	struct stat st;

	if (at < 0)
		return 0;
	if (fstat(at, &st) < 0)
		return error_errno(err, -errno, "stat '%s' in the pod", path);
	if (S_ISDIR(st.st_mode)) {
		fd = mount_new("tmpfs", params, 2, SAFE | MOUNT_ATTR_RDONLY, err);
		if (fd < 0)
			return fd;
	} else {
		null = root_open(rootfd, "/dev/null", O_PATH);
		fd = SYS_RET(open_tree(null, "",
				       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
		if (fd < 0)
			return error_errno(err, fd, "bind '/dev/null' over '%s' in the pod", path);
	}
	if (move_mount(fd, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_errno(err, -errno, "mount on '%s' in the pod", path);
	return 0;
}

int rootfs_own_mounts(int rootfd, struct ct_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < N(own_mounts); i++) {
		const struct own_mount *m = &own_mounts[i];
		cleanup_fd int fd = mount_new(m->type, m->params, m->n_params, m->attributes, err);

		if (fd == -ENODEV && m->optional)
			continue;
		r = fd < 0 ? fd : mount_hang(fd, rootfd, m->at, false, err);
	}
	if (r == 0)
		r = mount_cgroup(rootfd, err);
	if (r == 0)
		r = fill_dev(rootfd, err);
	if (r == 0)
		r = fill_run(rootfd, err);
	for (size_t i = 0; r == 0 && i < N(read_only); i++)
		r = make_read_only(rootfd, read_only[i], err);
	for (size_t i = 0; r == 0 && i < N(masked); i++)
		r = mask(rootfd, masked[i], err);
	return r;
}
