/* SPDX-License-Identifier: Apache-2.0 */
/* The devices that every pod has. */
#include "tests/victims/victim.h"

int main(void)
{
	int null = CHECK_SYS(open("/dev/null", O_RDWR)), zero = CHECK_SYS(open("/dev/zero", O_RDWR));
	int full = CHECK_SYS(open("/dev/full", O_WRONLY)), urandom = CHECK_SYS(open("/dev/urandom", O_RDONLY));
	int random = CHECK_SYS(open("/dev/random", O_RDONLY | O_NONBLOCK));
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
	unsigned char a[32], b[32] = { 0 };

	CHECK(map != MAP_FAILED && shared != MAP_FAILED);
	map[1] = 'm';
	shared[2] = 's';
	victim_ready();
	CHECK_EQ(read(null, a, 1), 0);
	CHECK_EQ(write(null, a, 32), 32);
	memset(a, 1, sizeof(a));
	CHECK_EQ(read(zero, a, 32), 32);
	CHECK_MEM(a, b, 32);
	CHECK_ERRNO(write(full, a, 1), ENOSPC);
	CHECK_EQ(read(urandom, a, 32), 32);
	CHECK(memcmp(a, b, 32));
	CHECK_EQ(read(random, b, 32), 32);
	CHECK(fcntl(random, F_GETFL) & O_NONBLOCK);
	CHECK_EQ(map[1], 'm');
	CHECK_EQ(map[0], 0);
	CHECK_EQ(shared[2], 's');
	victim_pass();
}
