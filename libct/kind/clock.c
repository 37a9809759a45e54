/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/kind/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/task/proc.h"

int clock_offset(int proc, pid_t pid, clockid_t clock, int64_t *ret, struct ct_error *err)
{
	const char *name = clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_RAW ||
					   clock == CLOCK_MONOTONIC_COARSE ?
				   "monotonic" :
			   clock == CLOCK_BOOTTIME || clock == CLOCK_BOOTTIME_ALARM ? "boottime" : NULL;
	cleanup_free char *text = NULL;
	int64_t seconds = 0, ns = 0;
	const char *at;
	ssize_t n;

	*ret = 0;
	if (!name)
		return 0;
	n = proc_read(proc, pid, "timens_offsets", &text);
	if (n < 0)
		return error_errno(err, (int)n, "read 'timens_offsets'");
	at = strstr(text, name);
	if (!at || sscanf(at + strlen(name), "%" SCNd64 " %" SCNd64, &seconds, &ns) != 2)
		return error_set(err, -ENOSYS, "no %s in 'timens_offsets'", name);
	*ret = seconds * NSEC_PER_SEC + ns;
	return 0;
}
