/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of zeros that a parent wrote before it forked: both have them, the image does not. */
#include "tests/victims/mem.h"

#define PAGES 100

static char *area;

static void child(void *arg)
{
	victim_wait();
	check_filled(area, 10 * PAGE, 1);
	check_zero(area + 10 * PAGE, (PAGES - 20) * PAGE);
	check_filled(area + (PAGES - 10) * PAGE, 10 * PAGE, 2);
}

int main(void)
{
	pid_t pid;

	area = map_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
	memset(area, 1, PAGES * PAGE);
	memset(area, 0, PAGES * PAGE);
	fill(area, 10 * PAGE, 1);
	fill(area + (PAGES - 10) * PAGE, 10 * PAGE, 2);
	pid = victim_fork(child, NULL);
	victim_ready();
	memset(area + 20 * PAGE, 'x', 20 * PAGE);
	victim_join(pid);
	victim_pass();
}
