/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership by scope: what a variable holds is released when the variable goes. */
#pragma once
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Declares the cleanup function of `name_cleanup` for a pointer type whose destructor is `release`. */
#define DEFINE_CLEANUP(type, release)                                                              \
	static inline void release##_cleanup(type *p)                                              \
	{                                                                                          \
		if (*p)                                                                            \
			release(*p);                                                               \
	}

#define __cleanup(function) __attribute__((cleanup(function), unused))
#define cleanup_fd __cleanup(fd_cleanup)
#define cleanup_free __cleanup(free_cleanup)
#define cleanup_dir __cleanup(closedir_cleanup)
#define cleanup_file __cleanup(fclose_cleanup)

static inline void free_cleanup(void *p)
{
	free(*(void **)p);
}

/* Closes a descriptor and keeps errno; accepts -1. Returns -1, for `fd = fd_close(fd)`. */
static inline int fd_close(int fd)
{
	int e = errno;

	if (fd >= 0)
		close(fd);
	errno = e;
	return -1;
}

static inline void fd_cleanup(int *fd)
{
	fd_close(*fd);
}

/* Hands a descriptor over: the variable forgets it. */
static inline int take_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

/* Hands a pointer over: the variable forgets it. */
#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) __taken = (p);                                                       \
		(p) = NULL;                                                                        \
		__taken;                                                                           \
	})

DEFINE_CLEANUP(DIR *, closedir)
DEFINE_CLEANUP(FILE *, fclose)
