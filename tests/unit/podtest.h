/* SPDX-License-Identifier: Apache-2.0 */
/* A pod without a monitor: for tests of what is inside of it. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/pod/inside.h"
#include "tests/unit/unit.h"

struct test_pod {
	struct ct ct;
	struct pod pod;
	struct pod_child child;
	char root[64], dir[128];
};

static struct ct_error err;

/* An environment and a name; the rest of the configuration is the test's. */
static inline int test_pod_init(struct test_pod *t, const char *const *argv)
{
	static char *env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};

	*t = (struct test_pod){.ct = { .run_fd = -1}, .child = {0, -1, -1, -1, -1, {-1, -1, -1}} };
	snprintf(t->root, sizeof(t->root), "/tmp/podckpt-test-XXXXXX");
	if (!mkdtemp(t->root))
		return -errno;
	snprintf(t->dir, sizeof(t->dir), "%s/pods/t", t->root);
	t->ct.root = t->root;
	t->pod = (struct pod){.ct = &t->ct,
			      .name = "t",
			      .dir = t->dir,
			      .dirfd = -1,
			      .lockfd = -1,
			      .pid1_pidfd = -1,
			      .monitor_fd = -1};
	t->pod.config = (struct pod_config){
		.name = "t",
		.command = (char **)argv,
		.env = env,
		.workdir = "/",
		.hostname = "hosty",
		.capabilities = 0,
		.seccomp = "unconfined",
		.net = CT_NET_NONE,
		.stop_signal = SIGTERM,
	};
	caps_parse(NULL, NULL, &t->pod.config.capabilities, NULL);
	if (io_mkdir_p(t->dir, 0755) < 0)
		return -errno;
	t->pod.dirfd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return trees_of_host(t->root, &t->pod.config.trees, &t->pod.config.n_trees, &err);
}

static inline int test_pod_spawn(struct test_pod *t, const struct pod_start *start)
{
	static const struct pod_start plain = { .restorer_pidfd = -1 };

	err = (struct ct_error){ 0 };
	return pod_spawn(&t->pod, start ? start : &plain, &t->child, &err);
}

static inline void test_pod_release(struct test_pod *t)
{
	struct init_go go = { 0 };

	io_write_all(t->child.sync_fd, &go, sizeof(go));
}

/* Everything until the end of the stream (of a terminal too). */
static inline size_t test_read_all(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	buf[len] = '\0';
	return len;
}

/* Waits for PID 1: its exit code, 128+n for a signal. */
static inline int test_pod_wait(struct test_pod *t)
{
	int status;

	if (t->child.pid1 <= 0 || waitpid(t->child.pid1, &status, 0) < 0)
		return -1;
	t->child.pid1 = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Ends what is left and removes everything. */
static inline void test_pod_end(struct test_pod *t)
{
	if (t->child.pid1 > 0) {
		sys_pidfd_send_signal(t->child.pid1_pidfd, SIGKILL);
		test_pod_wait(t);
	}
	if (t->pod.state.cgroup[0])
		cgroup_remove(t->pod.state.cgroup, NULL);
	if (t->pod.state.link[0])
		net_detach(t->pod.state.link, NULL);
	pod_child_release(&t->child);
	trees_free(t->pod.config.trees, t->pod.config.n_trees);
	fd_close(t->pod.dirfd);
	io_remove_tree(AT_FDCWD, t->root);
}

/* The whole life of a pod that prints: its exit code, or the negative errno of the spawn. */
static inline int test_pod_run(struct test_pod *t, char *out, size_t size)
{
	int r = test_pod_spawn(t, NULL);

	*out = '\0';
	if (r < 0)
		return r;
	test_pod_release(t);
	test_read_all(t->child.master_fd >= 0 ? t->child.master_fd : t->child.stream_fd[1], out,
		      size);
	return test_pod_wait(t);
}

/* ---- most tests: a script, its code and what it prints ---- */

static char out[1 << 16];
static struct test_pod t;

/* A pod to be configured further, with a shell script as its command. */
static inline void pod(const char *script)
{
	static const char *argv[] = { "sh", "-c", NULL, NULL };

	argv[2] = script;
	REQUIRE("a pod to be", test_pod_init(&t, argv) == 0);
}

/* Runs it: code and output must be these. */
static inline void check_run(const char *name, int code, const char *expected)
{
	int r = test_pod_run(&t, out, sizeof(out));

	CHECK(name, r == code);
	if (r != code)
		printf("# %d: %s\n", r, err.text);
	CHECK_STR("... and says so", out, expected);
	test_pod_end(&t);
}
