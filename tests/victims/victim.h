/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Victims: small programs that are checkpointed and check themselves.
 *
 *	int main(void)
 *	{
 *		int fd = CHECK_SYS(eventfd(7, EFD_SEMAPHORE));	set up what is to be carried
 *		uint64_t v;
 *
 *		victim_ready();				says ready, returns when told to go on
 *		CHECK_EQ(read(fd, &v, sizeof(v)), 8);		is it what it was?
 *		CHECK_EQ(v, 1);
 *		victim_pass();
 *	}
 *
 * Between "ready" and "go" tests/victims/run checkpoints and restores the pod twice, the second
 * time with --verify. Meanwhile the process is in nanosleep(2) most of the time, with no descriptor
 * of its own open: the control files are named, never held. Other processes and threads of a
 * victim wait with victim_wait(), or in the very call the victim is about.
 *
 * Comments that the harness and the build read, each alone on its line, as often as needed:
 *
 *	run: --net bridge -v ...	options for `podckpt run` instead of "--net none"
 *	restore: --ip 10.88.0.9		options for `podckpt restore`, besides the rights of run:
 *	build: -static -lrt		flags for the compiler
 *	args: a b			arguments of the program
 *	refused: pid 2 (comm) fd 3: ...	the checkpoint and its dry run must fail with exactly these
 *					findings and leave the victim unharmed
 *	refused at the stop: ...	the same where only a stopped pod shows it: the dry run passes
 *	undisturbed: by checkpoint -R	says go also after that alone, without a restore
 *	verified: from the first	--verify in the first cycle, too: a restored object may differ from one that
 *					a program made, and not from itself
 *	needs: binary or feature	skipped, with this reason, where `sh -c` of it fails
 *
 * each written as a comment of its own: slash, star, blank, "refused: ...", blank, star, slash.
 * PIDs are the pod's: the victim is 2, below podckpt-init; the paths of the victim's files are
 * best below /run (a tmpfs) or in the current directory (/var/tmp, on the pod's overlay).
 */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Ends the calling process (every thread of it) as failed; a parent sees it by victim_join(). */
#define VICTIM_FAIL(...) victim_fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			VICTIM_FAIL("%s", #condition);                                             \
	} while (0)

/* Integers of any type: both values are printed. */
#define CHECK_EQ(got, expected)                                                                    \
	do {                                                                                       \
		__typeof__((got) + 0) got__ = (got);                                               \
		__typeof__((expected) + 0) expected__ = (expected);                                \
		if (got__ != (__typeof__(got__))expected__)                                        \
			VICTIM_FAIL("%s is %lld (0x%llx), expected %lld (0x%llx)", #got,           \
				    (long long)got__, (long long)got__, (long long)expected__,     \
				    (long long)expected__);                                        \
	} while (0)

#define CHECK_STR(got, expected)                                                                   \
	do {                                                                                       \
		const char *got__ = (got), *expected__ = (expected);                               \
		if (strcmp(got__, expected__))                                                     \
			VICTIM_FAIL("%s is \"%s\", expected \"%s\"", #got, got__, expected__);     \
	} while (0)

#define CHECK_MEM(got, expected, len)                                                              \
	do {                                                                                       \
		const unsigned char *got__ = (const void *)(got);                                  \
		const unsigned char *expected__ = (const void *)(expected);                        \
		size_t len__ = (len);                                                              \
		for (size_t i__ = 0; i__ < len__; i__++)                                           \
			if (got__[i__] != expected__[i__])                                         \
				VICTIM_FAIL("%s differs at byte %zu of %zu: 0x%02x, expected "     \
					    "0x%02x",                                              \
					    #got, i__, len__, got__[i__], expected__[i__]);        \
	} while (0)

/* A call that returns -1 with errno on failure; its value otherwise. */
#define CHECK_SYS(call)                                                                            \
	({                                                                                         \
		__typeof__(call) r__ = (call);                                                     \
		if (r__ == (__typeof__(call))-1)                                                   \
			VICTIM_FAIL("%s: %s", #call, strerror(errno));                             \
		r__;                                                                               \
	})

/* A call that must fail with this errno. */
#define CHECK_ERRNO(call, expected)                                                                \
	do {                                                                                       \
		long r__ = (long)(call);                                                           \
		if (r__ != -1 || errno != (expected))                                              \
			VICTIM_FAIL("%s returned %ld (%s), expected errno %s", #call, r__,         \
				    r__ == -1 ? strerror(errno) : "no error", #expected);          \
	} while (0)

static inline void __attribute__((noreturn, format(printf, 3, 4)))
victim_fail(const char *file, int line, const char *format, ...)
{
	char text[1024];
	va_list ap;
	int n;

	n = snprintf(text, sizeof(text), "FAIL %s:%d: pid %d: ", file, line, (int)getpid());
	va_start(ap, format);
	vsnprintf(text + n, sizeof(text) - n - 1, format, ap);
	va_end(ap);
	n = strlen(text);
	text[n++] = '\n';
	/* One write(2), straight to the descriptor: a child shares stdio buffers with its parent. */
	if (write(STDERR_FILENO, text, n) < 0)
		_exit(98);
	_exit(99);
}

static inline const char *victim_path(char path[256], const char *name)
{
	const char *dir = getenv("VICTIM_DIR");

	snprintf(path, 256, "%s/%s", dir ? dir : "/run", name);
	return path;
}

/* By the monotonic clock. */
static inline int64_t victim_now_ms(void)
{
	struct timespec t;

	CHECK_SYS(clock_gettime(CLOCK_MONOTONIC, &t));
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void victim_sleep_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* Waits for a condition that another task makes true; fails after some two minutes. */
#define VICTIM_UNTIL(condition)                                                                    \
	do {                                                                                       \
		int tries__ = 24000;                                                                \
		while (!(condition)) {                                                             \
			if (!tries__--)                                                            \
				VICTIM_FAIL("waited 120 s in vain for %s", #condition);             \
			victim_sleep_ms(5);                                                        \
		}                                                                                  \
	} while (0)

/* Waits, in any process or thread of the victim, until the harness says go. */
static inline void victim_wait(void)
{
	char path[256];

	victim_path(path, "victim.go");
	while (access(path, F_OK) < 0)
		victim_sleep_ms(10);
}

/* The whole set-up stands: says so and waits for go. Once, by one process. */
static inline void victim_ready(void)
{
	char path[256];
	int fd;

	fflush(NULL);
	fd = CHECK_SYS(open(victim_path(path, "victim.ready"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	CHECK_SYS(close(fd));
	victim_wait();
}

/* A child that runs `work` and then exits 0. */
static inline pid_t victim_fork(void (*work)(void *), void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = CHECK_SYS(fork());
	if (pid)
		return pid;
	work(arg);
	fflush(NULL);
	_exit(0);
}

/*
 * How long, in ms, a process that never sleeps longer than 10 has not run at most, by the pod's clock: what else is late by
 * that much is so because of the checkpoints, or because the host is busy. To be called before there are threads.
 */
static inline const volatile int64_t *victim_watch_stalls(void)
{
	volatile int64_t *longest = CHECK_SYS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid_t parent = getpid();
	int64_t before, now;

	if (CHECK_SYS(fork()))
		return longest;
	before = victim_now_ms();
	while (getppid() == parent) {
		victim_sleep_ms(10);
		now = victim_now_ms();
		if (now - before > *longest)
			*longest = now - before;
		before = now;
	}
	_exit(0);
}

/* Waits for a child and checks that it ended well. */
static inline void victim_join(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		VICTIM_FAIL("child %d ended with status 0x%x", (int)pid, status);
}

static inline void __attribute__((noreturn)) victim_pass(void)
{
	printf("PASS\n");
	fflush(stdout);
	_exit(0);
}
