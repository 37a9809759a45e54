/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a checkpoint and a restore of one big process cannot do without, and nothing else:
 *
 *	bare dump PID FILE	reads the process's biggest area with process_vm_readv(2), writes it to FILE past
 *				the page cache, syncs it
 *	bare fill FILE		reads FILE past the page cache, fills fresh memory from it with UFFDIO_COPY
 *
 * One piece after the other, in pieces as big as those of podckpt.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096UL
#define PIECE (960 * PAGE)

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Where the file system knows no O_DIRECT, podckpt goes through the page cache too. */
static int open_direct(const char *path, int flags)
{
	int fd = open(path, flags | O_DIRECT | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EINVAL)
		fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

static void *piece_new(void)
{
	void *piece = aligned_alloc(PAGE, PIECE);

	if (!piece)
		die("memory");
	return piece;
}

static void find_biggest(const char *pid, uint64_t *ret_start, uint64_t *ret_end)
{
	char path[64], line[512];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		die(path);
	*ret_start = *ret_end = 0;
	while (fgets(line, sizeof(line), maps)) {
		uint64_t start, end;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " rw", &start, &end) == 2 &&
		    end - start > *ret_end - *ret_start) {
			*ret_start = start;
			*ret_end = end;
		}
	}
	fclose(maps);
}

static int dump(const char *pid, const char *path)
{
	int fd = open_direct(path, O_WRONLY | O_CREAT | O_TRUNC);
	void *piece = piece_new();
	uint64_t start, end;

	find_biggest(pid, &start, &end);
	while (start < end) {
		size_t len = end - start < PIECE ? end - start : PIECE;
		struct iovec local = { piece, len }, remote = { (void *)start, len };

		if (process_vm_readv(atoi(pid), &local, 1, &remote, 1, 0) != (ssize_t)len)
			die("process_vm_readv");
		if (write(fd, piece, len) != (ssize_t)len)
			die("write");
		start += len;
	}
	return fsync(fd) < 0 || close(fd) < 0;
}

static int userfault_new(void *at, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .range = { (uint64_t)at, len },
					.mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &area) < 0)
		die("userfaultfd");
	return fd;
}

static int fill(const char *path)
{
	int fd = open_direct(path, O_RDONLY), fault;
	void *piece = piece_new();
	struct stat st;
	ssize_t n;
	char *at;

	if (fstat(fd, &st) < 0)
		die(path);
	at = mmap(NULL, (size_t)st.st_size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		die("mmap");
	fault = userfault_new(at, ((size_t)st.st_size + PAGE) & -PAGE);
	while ((n = read(fd, piece, PIECE)) > 0) {
		struct uffdio_copy copy = { .dst = (uint64_t)at,
					    .src = (uint64_t)piece,
					    .len = ((size_t)n + PAGE - 1) & -PAGE };

		if (ioctl(fault, UFFDIO_COPY, &copy) < 0)
			die("UFFDIO_COPY");
		at += copy.len;
	}
	return n < 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "dump"))
		return dump(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "fill"))
		return fill(argv[2]);
	fprintf(stderr, "usage: bare dump PID FILE | bare fill FILE\n");
	return 2;
}
