/* SPDX-License-Identifier: Apache-2.0 */
/* A watch of a file that was deleted and is still open. */
/* refused at the stop: pid 2 (refused-inotify) fd 4: inotify watch 1 is of a file that has no name any more; remove it first */
#include "tests/victims/victim.h"

#include <sys/inotify.h>

int main(void)
{
	struct inotify_event event;

	CHECK_EQ(CHECK_SYS(open("/run/victim.deleted", O_RDWR | O_CREAT, 0600)), 3);
	CHECK_EQ(CHECK_SYS(inotify_init1(IN_NONBLOCK)), 4);
	CHECK_EQ(CHECK_SYS(inotify_add_watch(4, "/run/victim.deleted", IN_MODIFY)), 1);
	CHECK_SYS(unlink("/run/victim.deleted"));
	victim_ready();
	CHECK_ERRNO(read(4, &event, sizeof(event)), EAGAIN);
	CHECK_EQ(write(3, "x", 1), 1);
	CHECK_EQ(read(4, &event, sizeof(event)), (ssize_t)sizeof(event));
	CHECK_EQ(event.mask, IN_MODIFY);
	victim_pass();
}
