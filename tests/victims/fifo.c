// SPDX-License-Identifier: Apache-2.0
/* FIFOs on a tmpfs and on the pod's disk, with data, and readers that no writer has met or none is left of. */
#include "tests/victims/victim.h"

#include <poll.h>

static short state(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	CHECK_SYS(poll(&p, 1, 0));
	return p.revents;
}

int main(void)
{
	static const char *const path[] = { "/run/fifo", "fifo.here" };
	int reader[2], writer[2], lonely, left, w;
	char buf[16];

	for (int i = 0; i < 2; i++) {
		CHECK_SYS(mkfifo(path[i], 0600));
		reader[i] = CHECK_SYS(open(path[i], O_RDONLY | O_NONBLOCK));
		writer[i] = CHECK_SYS(open(path[i], O_WRONLY));
		CHECK_SYS(fcntl(reader[i], F_SETFL, 0));
		CHECK_EQ(write(writer[i], "in the fifo", 11), 11);
	}
	CHECK_SYS(mkfifo("/run/lonely", 0600));
	lonely = CHECK_SYS(open("/run/lonely", O_RDONLY | O_NONBLOCK));
	CHECK_EQ(state(lonely), 0);
	CHECK_SYS(mkfifo("/run/left", 0600));
	left = CHECK_SYS(open("/run/left", O_RDONLY | O_NONBLOCK));
	w = CHECK_SYS(open("/run/left", O_WRONLY));
	CHECK_EQ(write(w, "x", 1), 1);
	CHECK_SYS(close(w));
	CHECK_EQ(state(left), POLLIN | POLLHUP);
	CHECK_EQ(fcntl(lonely, F_SETPIPE_SZ, 8192), 8192);
	victim_ready();
	for (int i = 0; i < 2; i++) {
		struct stat a, b;

		CHECK_EQ(read(reader[i], buf, sizeof(buf)), 11);
		CHECK_MEM(buf, "in the fifo", 11);
		CHECK_EQ(write(writer[i], "more", 4), 4);
		CHECK_EQ(read(reader[i], buf, sizeof(buf)), 4);
		CHECK_SYS(stat(path[i], &a));
		CHECK_SYS(fstat(reader[i], &b));
		CHECK_EQ(a.st_ino, b.st_ino);
	}
	CHECK_EQ(state(lonely), 0);
	CHECK_EQ(fcntl(lonely, F_GETPIPE_SZ), 8192);
	w = CHECK_SYS(open("/run/lonely", O_WRONLY));
	CHECK_SYS(close(w));
	CHECK_EQ(state(lonely), POLLHUP);
	CHECK_EQ(state(left), POLLIN | POLLHUP);
	CHECK_EQ(read(left, buf, sizeof(buf)), 1);
	victim_pass();
}
