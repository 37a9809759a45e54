/* SPDX-License-Identifier: Apache-2.0 */
/* What pipes hold is read exactly, packets and all, and stays in them. */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "libct/kind/pipe.h"
#include "tests/unit/unit.h"

/* "5a" are five plain bytes 'a', "7P" is a packet of seven. */
static void fill(int fd, const char *shape)
{
	char buf[4096];

	while (*shape) {
		char *end;
		size_t len = strtoul(shape, &end, 10);
		bool packet = *end == 'P';

		memset(buf, *end, sizeof(buf));
		if (fcntl(fd, F_SETFL, O_NONBLOCK | (packet ? O_DIRECT : 0)) < 0)
			exit(1);
		while (len) {
			size_t part = len < sizeof(buf) ? len : sizeof(buf);

			if (write(fd, buf, part) != (ssize_t)part)
				exit(1);
			len -= part;
		}
		shape = end + 1;
	}
}

/* The shape that comes back names plain runs by their first byte; neighbours are one. */
static void check(int proc, const char *shape, const char *expected)
{
	struct pipe_data data = { 0 };
	struct ct_error err = { 0 };
	int fd[2], before = 0, after = -1;
	char got[4096] = "", *at = got;
	size_t from = 0;

	REQUIRE("a pipe", pipe2(fd, O_NONBLOCK) == 0);
	fill(fd[1], shape);
	REQUIRE("FIONREAD", ioctl(fd[0], FIONREAD, &before) == 0);
	/* Now the read end, now the write end: both lead to the data. */
	if (!CHECK("peek", pipe_peek(proc, fd[before & 1], &data, &err) == 0))
		printf("# %s\n", err.text);
	for (size_t i = 0; i < data.n_runs; i++) {
		struct pipe_run *run = &data.runs[i];

		at += sprintf(at, "%zu%c", run->len, data.bytes[from]);
		CHECK("packets are packets", run->packet == (data.bytes[from] == 'P'));
		from += run->len;
	}
	CHECK("all of it", from == data.len && (size_t)before == data.len);
	CHECK_STR(shape, got, expected);
	CHECK("it is still there", ioctl(fd[0], FIONREAD, &after) == 0 && after == before);
	pipe_data_release(&data);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	check(proc, "", "");
	check(proc, "1a", "1a");
	check(proc, "2a", "2a");
	check(proc, "65536a", "65536a");
	check(proc, "100a50b1c", "151a");
	check(proc, "1P", "1P");
	check(proc, "2P", "2P");
	check(proc, "1P1P2P1P", "1P1P2P1P");
	check(proc, "4096P4096P", "4096P4096P");
	check(proc, "9P9P9P9P9P9P9P9P9P9P9P9P9P9P9P9P", "9P9P9P9P9P9P9P9P9P9P9P9P9P9P9P9P");
	check(proc, "1P1a", "1P1a");
	/* The kernel itself makes a packet that fits behind plain bytes a part of them. */
	check(proc, "1a1P", "2a");
	check(proc, "4096a1P", "4096a1P");
	check(proc, "4095a2P", "4095a2P");
	check(proc, "8192a1P7P3000b1096b1P2c", "8192a1P7P4096b1P2c");
	check(proc, "4096a100P4096a100P3a", "4096a100P4096a100P3a");
	check(proc, "1P4096a1P4096a1P1P1a", "1P4096a1P4096a1P1P1a");
	check(proc, "40960a1P", "40960a1P");
	return UNIT_DONE();
}
