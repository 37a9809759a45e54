/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an eventfd is a semaphore, where the kernel does not tell; its count stays what it is. */
#include <sys/eventfd.h>
#include <unistd.h>

#include "libct/kind/eventfd.h"
#include "tests/unit/unit.h"

static void check(uint64_t count, int flags)
{
	int fd = eventfd(0, flags | EFD_NONBLOCK);
	struct ct_error err = { 0 };
	uint64_t got = 0, sum = 0;
	bool semaphore = !(flags & EFD_SEMAPHORE);
	char name[64];

	REQUIRE("an eventfd", fd >= 0 && (!count || write(fd, &count, sizeof(count)) == sizeof(count)));
	snprintf(name, sizeof(name), "count %llu, %s", (unsigned long long)count,
		 flags ? "a semaphore" : "none");
	if (!CHECK("asked", eventfd_ask_semaphore(fd, count, &semaphore, &err) == 0))
		printf("# %s\n", err.text);
	CHECK(name, semaphore == !!(flags & EFD_SEMAPHORE));
	while (sum < 10 && read(fd, &got, sizeof(got)) == sizeof(got))
		sum += got;
	CHECK("the count is the same", sum == (count < 10 || !flags ? count : 10));
	close(fd);
}

int main(void)
{
	static const uint64_t counts[] = { 0, 1, 2, 3, 7, 0xfffffffffffffffeULL };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		check(counts[i], 0);
		check(counts[i], EFD_SEMAPHORE);
	}
	return UNIT_DONE();
}
