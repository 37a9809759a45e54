/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz targets share: each is one file with a target of libFuzzer and a first input to grow from. */
#pragma once
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Writes valid inputs as files below `directory`; 0, or -1 on failure. */
int fuzz_seed(const char *directory);

static inline int fuzz_seed_open(const char *directory, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static inline int fuzz_write_seed(const char *directory, const void *data, size_t len)
{
	int fd = fuzz_seed_open(directory, "seed"), r = -1;

	if (fd >= 0 && write(fd, data, len) == (ssize_t)len)
		r = 0;
	if (fd >= 0)
		close(fd);
	return r;
}

/* With FUZZ_SEED_DIR set only the seeds are written. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *directory = getenv("FUZZ_SEED_DIR");

	(void)argc;
	(void)argv;
	if (directory)
		_exit(fuzz_seed(directory) ? 1 : 0);
	return 0;
}
