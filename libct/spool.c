// SPDX-License-Identifier: Apache-2.0
#include "libct/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/pod/pod.h"

/* Is a pod of this state directory just being frozen? 1 yes, 0 no. */
static int any_checkpointing(struct ct *ct, struct ct_error *err)
{
	struct ct_pod_info *pods;
	int found = 0, r;
	size_t n;

	r = ct_list(ct, &pods, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		found = found || pods[i].status == CT_CHECKPOINTING;
	ct_pods_free(pods, n);
	return found;
}

static int copy(int from, int to, struct ct_error *err)
{
	const size_t size = 1 << 20;
	cleanup_free char *buf = malloc(size);
	ssize_t n;
	int r;

	if (!buf)
		return error_errno(err, -ENOMEM, "read the image");
	for (;;) {
		n = read(from, buf, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, -errno, "read the image");
		if (n == 0)
			return 0;
		r = io_write_all(to, buf, (size_t)n);
		if (r < 0)
			return error_errno(err, r, "keep the image until it is whole");
	}
}

int spool_image(struct ct *ct, int fd, int *ret, struct ct_error *err)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	cleanup_fd int file = -1;
	struct stat st;
	int r;

	*ret = -1;
	if (fstat(fd, &st) < 0)
		return error_errno(err, -errno, "read the image");
	if (S_ISREG(st.st_mode))
		return 0;
	/* A checkpoint says that it is one before it writes its first byte. */
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return error_errno(err, -errno, "read the image");
	r = any_checkpointing(ct, err);
	if (r <= 0)
		return r;
	file = open(ct->root, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (file < 0)
		return error_errno(err, -errno, "keep the image in '%s' until it is whole", ct->root);
	r = copy(fd, file, err);
	if (r < 0)
		return r;
	if (lseek(file, 0, SEEK_SET) < 0)
		return error_errno(err, -errno, "read the image");
	*ret = take_fd(&file);
	return 0;
}
