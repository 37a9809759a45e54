/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a process open for writing. */
/* refused: pid 2 (file-proc-write) fd 3: '/proc/2/mem' is open for writing, which is not carried; close it first */
#include "tests/victims/victim.h"

int main(void)
{
	int fd = CHECK_SYS(open("/proc/self/mem", O_RDWR)), value = 1, again = 5;

	CHECK_EQ(fd, 3);
	victim_ready();
	CHECK_EQ(pwrite(fd, &again, sizeof(again), (off_t)(uintptr_t)&value), (ssize_t)sizeof(again));
	CHECK_EQ(*(volatile int *)&value, 5);
	victim_pass();
}
