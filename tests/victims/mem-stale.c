/* SPDX-License-Identifier: Apache-2.0 */
/* A mapping of a file of the host that the pod then wrote to: on an overlay it still shows the old bytes. */
/* refused: pid 2 (mem-stale): '/etc/passwd' was changed after it was mapped, and the mapping shows the old bytes, which is not carried; restart the program */
#include "tests/victims/victim.h"

int main(void)
{
	int fd = CHECK_SYS(open("/etc/passwd", O_RDONLY));
	char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0), first;

	CHECK(map != MAP_FAILED);
	first = map[0];
	CHECK_SYS(close(fd));
	fd = CHECK_SYS(open("/etc/passwd", O_RDWR));
	CHECK_EQ(pwrite(fd, "#", 1, 0), 1);
	CHECK_SYS(close(fd));
	CHECK_EQ(map[0], first);
	victim_ready();
	CHECK_EQ(map[0], first);
	victim_pass();
}
