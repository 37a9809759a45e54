/* SPDX-License-Identifier: Apache-2.0 */
/* What the victims about memory share. */
#pragma once
#include "tests/victims/victim.h"

#include <setjmp.h>

#define PAGE 4096UL

#define CHECK_MAP(call)                                                                            \
	({                                                                                         \
		void *m__ = (call);                                                                \
		if (m__ == MAP_FAILED)                                                             \
			VICTIM_FAIL("%s: %s", #call, strerror(errno));                             \
		m__;                                                                               \
	})

static inline char *map_anonymous(size_t size, int prot)
{
	return CHECK_MAP(mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* Bytes that no other page has. */
static inline void fill(void *at, size_t size, uint64_t seed)
{
	uint64_t *p = at;

	for (size_t i = 0; i < size / 8; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = seed ^ seed >> 29;
	}
}

static inline void check_filled(const void *at, size_t size, uint64_t seed)
{
	const uint64_t *p = at;

	for (size_t i = 0; i < size / 8; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		if (p[i] != (seed ^ seed >> 29))
			VICTIM_FAIL("the content differs at %p, byte %zu of %zu", at, i * 8, size);
	}
}

static inline void check_zero(const void *at, size_t size)
{
	const uint64_t *p = at;

	for (size_t i = 0; i < size / 8; i++)
		if (p[i])
			VICTIM_FAIL("not zero at %p, byte %zu of %zu", at, i * 8, size);
}

static sigjmp_buf fault_jump;

static inline void fault_caught(int sig)
{
	siglongjmp(fault_jump, sig);
}

/* The signal that touching an address gives, 0 for none. */
static inline int fault(volatile char *at, bool write)
{
	struct sigaction action = { .sa_handler = fault_caught }, segv, bus;
	int sig;

	CHECK_SYS(sigaction(SIGSEGV, &action, &segv));
	CHECK_SYS(sigaction(SIGBUS, &action, &bus));
	sig = sigsetjmp(fault_jump, 1);
	if (!sig) {
		char c = *at;

		if (write)
			*at = c;
	}
	CHECK_SYS(sigaction(SIGSEGV, &segv, NULL));
	CHECK_SYS(sigaction(SIGBUS, &bus, NULL));
	return sig;
}

/* The area of /proc/self/smaps that holds an address: its first line, and VmFlags between blanks. */
struct area {
	unsigned long start, end;
	char perms[8], name[256], flags[256];
	unsigned long rss, locked; /* kB */
};

static inline struct area find_area(const void *address)
{
	static char text[1 << 20]; /* no heap that would change what is looked at */
	struct area a = { 0 };
	int fd = CHECK_SYS(open("/proc/self/smaps", O_RDONLY)), name_at;
	size_t used = 0;
	ssize_t n;
	bool in = false;

	while ((n = CHECK_SYS(read(fd, text + used, sizeof(text) - 1 - used))) > 0)
		used += n;
	CHECK_SYS(close(fd));
	text[used] = '\0';
	for (char *line = text, *next; line && *line; line = next) {
		unsigned long start, end;
		char perms[8];

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		name_at = 0;
		if (sscanf(line, "%lx-%lx %7s %*x %*x:%*x %*u %n", &start, &end, perms, &name_at) >= 3) {
			if (in)
				return a;
			in = start <= (unsigned long)address && (unsigned long)address < end;
			if (in) {
				a.start = start;
				a.end = end;
				strcpy(a.perms, perms);
				snprintf(a.name, sizeof(a.name), "%s", line + name_at);
			}
		} else if (in && !strncmp(line, "VmFlags:", 8)) {
			snprintf(a.flags, sizeof(a.flags), "%s ", line + 8);
		} else if (in) {
			sscanf(line, "Rss: %lu", &a.rss);
			sscanf(line, "Locked: %lu", &a.locked);
		}
	}
	if (!in)
		VICTIM_FAIL("%p is not mapped", address);
	return a;
}

static inline bool has_flag(const void *address, const char *flag)
{
	char text[8];

	snprintf(text, sizeof(text), " %s ", flag);
	return strstr(find_area(address).flags, text);
}

/* Entries of /proc/PID/pagemap. */
static inline void read_pagemap(pid_t pid, const void *address, uint64_t *to, size_t pages)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/pagemap", pid);
	fd = CHECK_SYS(open(name, O_RDONLY));
	CHECK_EQ(pread(fd, to, pages * 8, (uintptr_t)address / PAGE * 8), pages * 8);
	CHECK_SYS(close(fd));
}
