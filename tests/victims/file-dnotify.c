/* SPDX-License-Identifier: Apache-2.0 */
/* What fcntl(F_NOTIFY) waits for cannot be seen, so its directory is refused. */
/* needs: grep -qx 1 /proc/sys/fs/dir-notify-enable */
/* refused: pid 2 (file-dnotify) fd 3: it may report changes of its directory (F_NOTIFY), which is not carried; close it first, or let the program use inotify */
#include "tests/victims/victim.h"

static volatile sig_atomic_t noticed;

static void notice(int sig)
{
	noticed = 1;
}

int main(void)
{
	int dir;

	CHECK_SYS(mkdir("/run/watched", 0755));
	dir = CHECK_SYS(open("/run/watched", O_RDONLY | O_DIRECTORY));
	CHECK_EQ(dir, 3);
	signal(SIGIO, notice);
	CHECK_SYS(fcntl(dir, F_NOTIFY, DN_CREATE));
	victim_ready();
	CHECK_SYS(mkdir("/run/watched/new", 0755));
	VICTIM_UNTIL(noticed);
	victim_pass();
}
