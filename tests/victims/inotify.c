// SPDX-License-Identifier: Apache-2.0
/* Watches of directories and files, on the pod's disk, of the host's own tree, on a tmpfs, with their numbers. */
#include "tests/victims/victim.h"

#include <sys/inotify.h>

static void expect(int fd, int wd, uint32_t mask, const char *name)
{
	char buf[4096] __attribute__((aligned(8)));
	struct inotify_event *e = (void *)buf;

	CHECK(CHECK_SYS(read(fd, buf, sizeof(buf))) >= (ssize_t)sizeof(*e));
	CHECK_EQ(e->wd, wd);
	CHECK_EQ(e->mask, mask);
	CHECK_STR(e->len ? e->name : "", name);
}

int main(void)
{
	int fd = CHECK_SYS(inotify_init1(IN_NONBLOCK)), here, deep, removed, lower, link, run, more;

	CHECK_SYS(mkdir("watched", 0700));
	CHECK_SYS(mkdir("watched/deep", 0700));
	CHECK_SYS(symlink("nowhere", "watched/link"));
	here = CHECK_SYS(inotify_add_watch(fd, "watched", IN_CREATE | IN_ONLYDIR));
	removed = CHECK_SYS(inotify_add_watch(fd, "/run", IN_DELETE));
	deep = CHECK_SYS(inotify_add_watch(fd, "watched/deep", IN_CREATE | IN_DELETE | IN_EXCL_UNLINK));
	CHECK_SYS(inotify_rm_watch(fd, removed));
	lower = CHECK_SYS(inotify_add_watch(fd, "/etc/passwd", IN_ATTRIB | IN_ONESHOT));
	link = CHECK_SYS(inotify_add_watch(fd, "watched/link", IN_DELETE_SELF | IN_DONT_FOLLOW));
	CHECK_SYS(mkdir("/run/made", 0700));
	run = CHECK_SYS(inotify_add_watch(fd, "/run/made", IN_CREATE));
	expect(fd, removed, IN_IGNORED, "");
	victim_ready();
	CHECK_SYS(mkdir("watched/new", 0700));
	expect(fd, here, IN_CREATE | IN_ISDIR, "new");
	CHECK_SYS(close(CHECK_SYS(creat("watched/deep/file", 0600))));
	expect(fd, deep, IN_CREATE, "file");
	CHECK_SYS(close(CHECK_SYS(creat("/run/made/file", 0600))));
	expect(fd, run, IN_CREATE, "file");
	CHECK_SYS(unlink("watched/link"));
	expect(fd, link, IN_DELETE_SELF, "");
	CHECK_SYS(chmod("/etc/passwd", 0644));
	expect(fd, lower, IN_ATTRIB, "");
	more = CHECK_SYS(inotify_add_watch(fd, "/run", IN_DELETE));
	CHECK(more > run);
	CHECK_EQ(inotify_rm_watch(fd, removed), -1);
	CHECK_SYS(inotify_rm_watch(fd, here));
	victim_pass();
}
