// SPDX-License-Identifier: Apache-2.0
#include "libct/pod/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "libct/base/cleanup.h"
#include "libct/base/clock.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"

uint64_t proc_started(pid_t pid)
{
	cleanup_free char *text = NULL;
	unsigned long long started = 0;
	char path[32], *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (io_read_file(AT_FDCWD, path, 64 << 10, &text) < 0)
		return 0;
	/* The name may hold blanks and parentheses: what follows its last one is fields from the third on. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, "%llu", &started) != 1)
		return 0;
	return started;
}

int proc_pidfd(pid_t pid, uint64_t started)
{
	cleanup_fd int fd = sys_pidfd_open(pid, 0);

	if (fd < 0)
		return -1;
	if (proc_started(pid) != started || proc_wait(fd, 0) != 0)
		return -1;
	return take_fd(&fd);
}

bool proc_alive(pid_t pid, uint64_t started)
{
	cleanup_fd int fd = proc_pidfd(pid, started);

	return fd >= 0;
}

int proc_wait(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int64_t deadline = monotonic_ms() + timeout_ms;

	for (;;) {
		int left = timeout_ms, r;

		if (timeout_ms > 0) {
			left = (int)(deadline - monotonic_ms());
			if (left < 0)
				left = 0;
		}
		r = poll(&p, 1, left);
		if (r >= 0)
			return r > 0;
		if (errno != EINTR)
			return -errno;
	}
}
