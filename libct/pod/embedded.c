/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/pod/inside.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* init-blob.S */
extern const char podckpt_init[];
extern const uint64_t podckpt_init_size;

int embedded_open(struct ct_error *err)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	cleanup_fd int fd = memfd_create("podckpt-init", flags | MFD_EXEC);
	int r;

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 every memfd is executable */
		fd = memfd_create("podckpt-init", flags);
	if (fd < 0)
		return error_errno(err, -errno, "memfd_create");
	r = io_write_all(fd, podckpt_init, podckpt_init_size);
	if (r == 0 && fcntl(fd, F_ADD_SEALS,
			    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	return r < 0 ? error_errno(err, r, "write podckpt-init into memory") : take_fd(&fd);
}
