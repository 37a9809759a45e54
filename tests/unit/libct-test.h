/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that run pods through libct: a state directory of their own, and this program's streams. */
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/pod/monitor.h"
#include "libct/pod/pod.h"
#include "libct/pod/proc.h"
#include "tests/unit/unit.h"

static struct ct *ct;
static char root[] = "/tmp/test-monitor-XXXXXX";
static struct ct_error err;

/* A call that may not fail; says why it did. */
#define CHECK_DONE(name, call)                                                                     \
	do {                                                                                       \
		int done = (call);                                                                 \
		if (!CHECK(name, done >= 0))                                                       \
			printf("# %s\n", err.text);                                                \
	} while (0)

/* ---- pods ---- */

static const char *const environment[] = { "PATH=/usr/bin:/bin", "GREETING=hello", NULL };

static int run_with(struct ct_run_options *o, const char *name, const char *script)
{
	const char *command[] = { "sh", "-c", script, NULL };
	cleanup_free char *got = NULL;
	int r;

	o->name = name;
	if (!o->command)
		o->command = command;
	o->env = environment;
	o->workdir = "/";
	o->net = CT_NET_NONE;
	err = (struct ct_error){};
	r = ct_run(ct, o, &got, &err);
	if (r < 0)
		printf("# run %s: %s\n", name, err.text);
	return r;
}

static int run(const char *name, const char *script)
{
	CT_OPTIONS(ct_run_options, o);

	return run_with(&o, name, script);
}

/* Runs a script that says something when it is ready. */
static int run_ready(const char *name, const char *script)
{
	char path[256];
	struct stat st;
	int r = run(name, script);

	snprintf(path, sizeof(path), "%s/pods/%s/log", root, name);
	while (r >= 0 && (stat(path, &st) < 0 || st.st_size == 0))
		poll(NULL, 0, 5);
	return r;
}

static bool exists(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/pods/%s", root, name);
	return access(path, F_OK) == 0;
}

static struct pod *open_pod(const char *name)
{
	struct pod *pod = NULL;

	err = (struct ct_error){};
	if (pod_open(ct, name, &pod, &err) < 0)
		printf("# %s\n", err.text);
	return pod;
}

/* ---- this program's streams, in a child ---- */

struct joined {
	int code;
	bool detached;
	char *out, *err;
	size_t out_len;
};

static int temporary(void)
{
	return open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static char *contents(int fd, size_t *ret_len)
{
	struct stat st;
	char *text;

	fstat(fd, &st);
	text = calloc(1, (size_t)st.st_size + 1);
	io_pread_exact(fd, text, (size_t)st.st_size, 0);
	if (ret_len)
		*ret_len = (size_t)st.st_size;
	return text;
}

typedef int (*call)(void *arg);

/* Runs `f` in a child with its own streams: what it returned and what was written. */
static struct joined streams_of(call f, void *arg, int in)
{
	cleanup_fd int out = temporary(), error = temporary();
	int status, result[2];
	struct joined j = {};
	pid_t pid;

	if (pipe2(result, O_CLOEXEC) < 0)
		exit(1);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(in >= 0 ? in : open("/dev/null", O_RDONLY), 0);
		dup2(out, 1);
		dup2(error, 2);
		status = f(arg);
		if (status < 0)
			dprintf(2, "%s\n", err.text);
		_exit(write(result[1], &status, sizeof(status)) != sizeof(status));
	}
	close(result[1]);
	if (read(result[0], &j.code, sizeof(j.code)) != sizeof(j.code))
		j.code = -1000;
	close(result[0]);
	waitpid(pid, &status, 0);
	j.out = contents(out, &j.out_len);
	j.err = contents(error, NULL);
	return j;
}

static void joined_free(struct joined *j)
{
	free(j->out);
	free(j->err);
}

#define cleanup_joined __cleanup(joined_free)

static int do_attach(void *name)
{
	return ct_attach(ct, name, true, NULL, &err);
}

/* ---- the whole ---- */

/* False: nothing can be tested; *ret is main()'s code. */
static bool tests_begin(int *ret)
{
	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		*ret = 77;
		return false;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (mkdtemp(root) && ct_open(root, &ct, &err) == 0)
		return true;
	printf("Bail out! %s\n", err.text);
	*ret = 1;
	return false;
}

static int tests_end(void)
{
	ct_close(ct);
	CHECK("nothing is left", io_remove_tree(AT_FDCWD, root) == 0);
	return UNIT_DONE();
}
