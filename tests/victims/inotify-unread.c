// SPDX-License-Identifier: Apache-2.0
/* Events that were not read cannot be made again. */
/* refused: pid 2 (inotify-unread) fd 3: inotify has events that were not read yet, which are not carried; try again when the program has read them */
#include "tests/victims/victim.h"

#include <sys/inotify.h>

int main(void)
{
	int fd = CHECK_SYS(inotify_init1(IN_NONBLOCK));
	char buf[4096];

	CHECK_SYS(mkdir("/run/watched", 0700));
	CHECK_SYS(inotify_add_watch(fd, "/run/watched", IN_CREATE));
	CHECK_SYS(mkdir("/run/watched/new", 0700));
	victim_ready();
	CHECK(read(fd, buf, sizeof(buf)) > 0);
	CHECK_ERRNO(read(fd, buf, sizeof(buf)), EAGAIN);
	victim_pass();
}
