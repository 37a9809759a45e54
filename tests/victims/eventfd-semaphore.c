// SPDX-License-Identifier: Apache-2.0
/* A semaphore counts down by one. */
#include "tests/victims/victim.h"

#include <sys/eventfd.h>

int main(void)
{
	int full = CHECK_SYS(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
	int empty = CHECK_SYS(eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK));
	uint64_t v;

	victim_ready();
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(read(full, &v, sizeof(v)), 8);
		CHECK_EQ(v, 1);
	}
	CHECK_ERRNO(read(full, &v, sizeof(v)), EAGAIN);
	v = 2;
	CHECK_EQ(write(empty, &v, sizeof(v)), 8);
	CHECK_EQ(read(empty, &v, sizeof(v)), 8);
	CHECK_EQ(v, 1);
	victim_pass();
}
