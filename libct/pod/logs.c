// SPDX-License-Identifier: Apache-2.0
/*
 * What a pod has written so far, from its log. A follower reads the file as it grows and never
 * holds the pod up, unlike somebody attached.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>

#include "libct/base/error.h"
#include "libct/pod/log.h"
#include "libct/pod/monitor.h"
#include "libct/pod/pod.h"

/* Something that becomes readable when the pod's output has ended: the monitor's word, or PID 1's end. */
static int end_fd(struct pod *pod, struct ct_error *err)
{
	cleanup_fd int sock = monitor_connect(pod, err);
	int r;

	if (sock == -ECONNREFUSED && pod->pid1_pidfd >= 0)
		return error_set(err, sock, "nothing to follow: the pod's monitor was killed, "
						"nobody writes its log any more");
	if (sock < 0)
		return sock;
	r = monitor_send(sock, MSG_WAIT, 0, 0);
	return r < 0 ? r : take_fd(&sock);
}

static int follow(struct pod *pod, struct log_reader *reader, int fd, struct ct_error *err)
{
	cleanup_fd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	cleanup_fd int end = -1;
	struct pollfd p[2];
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", reader->fd);
	if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY) < 0)
		return error_errno(err, -errno, "watch the log");
	end = end_fd(pod, err);
	if (end == -ECONNREFUSED) {
		int r = pod_state_read(pod, NULL);

		if (r == -ENOENT || (r >= 0 && pod->state.status == CT_EXITED))
			return log_copy(reader, fd, fd, err); /* ended just now */
	}
	if (end < 0)
		return end;
	p[0] = (struct pollfd){ watch, POLLIN, 0 };
	p[1] = (struct pollfd){ end, POLLIN, 0 };
	for (;;) {
		char events[4096];
		int r;

		/* Copied once more after the end was told: what came before it is in the log by then. */
		r = log_copy(reader, fd, fd, err);
		if (r < 0 || p[1].revents)
			return r;
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return error_errno(err, -errno, "poll");
		while (read(watch, events, sizeof(events)) > 0)
			;
	}
}

int ct_logs(struct ct *ct, const char *name, bool follow_on, int fd, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	cleanup_fd int log_fd = -1;
	struct log_reader reader = { .end = INT64_MAX };
	int r = pod_open(ct, name, &pod, err);

	if (r >= 0) {
		log_fd = openat(pod->dirfd, "log", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (log_fd < 0)
			r = errno == ENOENT ? 0 : error_errno(err, -errno, "open '%s/log'", pod->dir);
	}
	if (r >= 0 && log_fd >= 0) {
		reader.fd = log_fd;
		if (follow_on && pod->state.status != CT_EXITED)
			r = follow(pod, &reader, fd, err);
		else
			r = log_copy(&reader, fd, fd, err);
	}
	return r;
}
