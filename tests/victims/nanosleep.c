// SPDX-License-Identifier: Apache-2.0
/* A process that sleeps, with its own memory and arguments: the least that can be carried. */
#include "tests/victims/victim.h"

static char data[3 * 4096] = "initialised";

int main(int argc, char **argv)
{
	char *heap = malloc(100000);
	pid_t pid = getpid(), ppid = getppid();
	char local[32];

	strcpy(local, "on the stack");
	memset(heap, 0x5a, 100000);
	data[4096] = 'x';
	victim_ready();
	CHECK_STR(data, "initialised");
	CHECK_EQ(data[4096], 'x');
	CHECK_STR(local, "on the stack");
	for (int i = 0; i < 100000; i++)
		CHECK_EQ(heap[i], 0x5a);
	CHECK_EQ(getpid(), pid);
	CHECK_EQ(getppid(), ppid);
	CHECK_EQ(argc, 1);
	CHECK_STR(basename(argv[0]), "nanosleep");
	victim_pass();
}
