/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libct/pod/cgroup*.c on the hierarchies of this host, on its v2 alone and on its v1 alone (the
 * others are unmounted in a mount namespace of the test's own).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libct/base/io.h"
#include "libct/base/mountinfo.h"
#include "libct/pod/cgroup-impl.h"
#include "libct/pod/pod.h"
#include "tests/unit/unit.h"

static struct ct_error err;
static char cgroup[64];

/* Two processes in the cgroup that do nothing but count; *ret_counter grows while they run. */
static pid_t start_tasks(int *ret_read)
{
	int ends[2];
	pid_t pid;

	if (pipe(ends) < 0 || (pid = fork()) < 0)
		exit(1);
	if (pid == 0) {
		if (cgroup_enter(cgroup, false, &err) < 0)
			_exit(1);
		if (fork() == 0)
			for (;;)
				pause();
		for (;;) {
			if (write(ends[1], "x", 1) != 1)
				_exit(1);
			usleep(1000);
		}
	}
	close(ends[1]);
	*ret_read = ends[0];
	return pid;
}

/* Does anything come within so many hundredths of a second, once what was there is read? */
static bool is_alive(int fd, int patience)
{
	char buf[1 << 16];

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	for (int i = 0; i < patience; i++) {
		usleep(10000);
		if (read(fd, buf, sizeof(buf)) > 0)
			return true;
	}
	return false;
}

static void test_life(void)
{
	cleanup_free pid_t *pids = NULL;
	struct pod_config limits = { 0 };
	pid_t pid;
	int fd;

	REQUIRE("it is made", cgroup_make(cgroup, &limits, &err) == 0);
	CHECK("a second one of the name is not", cgroup_make(cgroup, &limits, &err) == -EEXIST);
	CHECK("it is empty", cgroup_processes(cgroup, &pids, &err) == 0);
	pid = start_tasks(&fd);
	REQUIRE("its tasks run", is_alive(fd, 12000));
	free(take_ptr(pids));
	CHECK("both are listed", cgroup_processes(cgroup, &pids, &err) == 2 && pids[0] == pid);
	CHECK("it is not frozen", cgroup_check_thawed(cgroup, &err) == 0);
	REQUIRE("it freezes", cgroup_freeze(cgroup, 60000, &err) == 0);
	CHECK("and says so", cgroup_check_thawed(cgroup, &err) == -EBUSY);
	CHECK("and nothing runs", !is_alive(fd, 25));
	CHECK("it thaws", cgroup_thaw(cgroup, &err) == 0);
	CHECK("and says so", cgroup_check_thawed(cgroup, &err) == 0);
	CHECK("and runs", is_alive(fd, 12000));
	CHECK("it freezes again", cgroup_freeze(cgroup, 60000, &err) == 0);
	CHECK("a frozen one is killed", cgroup_kill(cgroup, &err) == 0);
	CHECK("really", waitpid(pid, NULL, 0) == pid);
	CHECK("it is removed", cgroup_remove(cgroup, &err) == 0);
	CHECK("removing what is not there is fine", cgroup_remove(cgroup, &err) == 0);
	CHECK("so is killing it", cgroup_kill(cgroup, &err) == 0);
	close(fd);
}

static void test_refusals(void)
{
	static const char *const bad[] = { "/", "", "/podckpt", "/podckpt/", "/podckpt/..",
					   "/system.slice", "/podckpt/a/b", "podckpt/a" };
	cleanup_free pid_t *pids = NULL;
	struct pod_config limits = { 0 };
	int status;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CHECK("never frozen", cgroup_freeze(bad[i], 1, &err) == -EPERM);
		CHECK("never killed", cgroup_kill(bad[i], &err) == -EPERM);
		CHECK("never removed", cgroup_remove(bad[i], &err) == -EPERM);
		CHECK("never listed", cgroup_processes(bad[i], &pids, &err) == -EPERM);
	}
	REQUIRE("a cgroup", cgroup_make(cgroup, &limits, &err) == 0);
	fflush(stdout);
	if (fork() == 0) {
		if (cgroup_enter(cgroup, false, &err) < 0)
			_exit(1);
		_exit(cgroup_freeze(cgroup, 1, &err) == -EPERM &&
				      strstr(err.text, "holds podckpt itself") &&
				      cgroup_kill(cgroup, &err) == -EPERM
			      ? 0
			      : 2);
	}
	wait(&status);
	CHECK("never one's own", WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK("removed", cgroup_remove(cgroup, &err) == 0);
}

/* A limit is either in force or refused, never ignored. */
static void test_limits(void)
{
	static const struct {
		struct pod_config limits;
		const char *controller, *v2_file, *v2_value, *v1_file, *v1_value;
	} cases[] = {
		{ { .memory = 64 << 20 }, "memory", "memory.max", "67108864\n",
		  "memory.limit_in_bytes", "67108864\n" },
		{ { .cpu_micros = 1500000 }, "cpu", "cpu.max", "150000 100000\n",
		  "cpu.cfs_quota_us", "150000\n" },
		{ { .cpu_micros = 5000 }, "cpu", "cpu.max", "5000 1000000\n", "cpu.cfs_period_us",
		  "1000000\n" },
		{ { .pids = 77 }, "pids", "pids.max", "77\n", "pids.max", "77\n" },
	};
	cleanup_cgroup_host struct cgroup_host host = { 0 };

	REQUIRE("the hierarchies", cgroup_host_read(&host, &err) == 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct cgroup_hierarchy *v1 = cgroup_v1(&host, cases[i].controller);
		const struct cgroup_hierarchy *v2 = cgroup_v2(&host);
		cleanup_free char *value = NULL;
		int r = cgroup_make(cgroup, &cases[i].limits, &err);

		if (r < 0) {
			CHECK("what cannot be enforced is refused",
			      r == -ENOSYS && !v1 && strstr(err.text, "no cgroup controller"));
			CHECK("... and nothing is left", cgroup_check_thawed(cgroup, &err) < 0);
			continue;
		}
		if (v1)
			cgroup_read(v1, cgroup, cases[i].v1_file, &value);
		else
			cgroup_read(v2, cgroup, cases[i].v2_file, &value);
		CHECK_STR(cases[i].controller, value, v1 ? cases[i].v1_value : cases[i].v2_value);
		CHECK("removed", cgroup_remove(cgroup, &err) == 0);
	}
}

/* Takes the hierarchies of one version out of sight. */
static void unmount(const char *type)
{
	cleanup_mountinfo struct mountinfo mounts = { 0 };

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mountinfo_read("/proc/self/mountinfo", &mounts) < 0)
		exit(1);
	for (size_t i = 0; i < mounts.n; i++)
		if (!strcmp(mounts.entries[i].type, type))
			umount2(mounts.entries[i].at, MNT_DETACH);
}

static int test_all(void)
{
	test_life();
	test_refusals();
	test_limits();
	return unit_failed;
}

static void test_without(const char *type, const char *name)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		/* Its checks are one of ours; what fails is seen on stderr. */
		dup2(2, 1);
		unmount(type);
		_exit(test_all() ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	CHECK(name, WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	bool v2;

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 77;
	}
	snprintf(cgroup, sizeof(cgroup), "/podckpt/test-%d", (int)getpid());
	REQUIRE("the hierarchies", cgroup_host_read(&host, &err) == 0);
	v2 = cgroup_v2(&host);
	test_all();
	if (v2 && host.n > 1) {
		test_without("cgroup", "the same on v2 alone");
		test_without("cgroup2", "the same on v1 alone");
	}
	return UNIT_DONE();
}
