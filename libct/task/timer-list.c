/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/task/timer-list.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"

#define LIST_MAX (64U << 20)

/*
 * " clock 0:"
 * " #1: <0000000080dd97e3>, hrtimer_wakeup, S:01"
 * " # expires at 7003013563705-7003013613705 nsecs [...]"
 */
int timer_list_read(int proc, const char *function,
		    int (*fn)(void *context, unsigned int clock, uint64_t expires), void *context)
{
	cleanup_free char *text = NULL;
	ssize_t len = io_read_file(proc, "timer_list", LIST_MAX, &text);
	char *rest = text, *line, name[64];
	unsigned int clock = 0;
	bool wanted = false;
	uint64_t expires;

	if (len < 0)
		return (int)len;
	snprintf(name, sizeof(name), ">, %s,", function);
	while ((line = strsep(&rest, "\n"))) {
		if (sscanf(line, " clock %u:", &clock) == 1)
			continue;
		if (strstr(line, name)) {
			wanted = true;
		} else if (wanted && sscanf(line, " # expires at %" SCNu64, &expires) == 1) {
			int r = fn(context, clock, expires);

			if (r)
				return r;
			wanted = false;
		}
	}
	return 0;
}
