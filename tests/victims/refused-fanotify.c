// SPDX-License-Identifier: Apache-2.0
/* fanotify is refused in words that name what would do. */
/* run: --seccomp unconfined */
/* run: --cap-add sys_admin */
/* refused: pid 2 (refused-fanotif) fd 3: fanotify is not carried; start the program with inotify instead */
#include "tests/victims/victim.h"

#include <sys/fanotify.h>

int main(void)
{
	int fd = CHECK_SYS(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY));

	CHECK_EQ(fd, 3);
	victim_ready();
	CHECK_SYS(close(fd));
	victim_pass();
}
