// SPDX-License-Identifier: Apache-2.0
/* What a pod's monitor undoes and removes, and how the pod survives it. */
#include "tests/unit/libct-test.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>

#define WAIT_MS 120000

/* The maker dies between making and releasing. */
static void maker_dies(void)
{
	struct pod_state state = {};
	int tell[2], status;
	pid_t pid;

	if (pipe2(tell, O_CLOEXEC) < 0)
		exit(1);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		const char *command[] = { "sleep", "1000", NULL };
		struct pod_start start = { .restorer_pidfd = -1 };
		CT_OPTIONS(ct_run_options, o);
		struct pod_config config = {};
		struct pod *pod;

		o.name = "orphan";
		o.command = command;
		o.env = environment;
		o.net = CT_NET_NONE;
		if (pod_config_from_options(ct, &o, &config, &err) < 0 ||
		    pod_reserve(ct, &config, true, &pod, &err) < 0 || pod_make(pod, &start, &err) < 0)
			_exit(1);
		if (write(tell[1], &pod->state, sizeof(pod->state)) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	close(tell[1]);
	REQUIRE("a pod is made", read(tell[0], &state, sizeof(state)) == sizeof(state));
	close(tell[0]);
	{
		cleanup_fd int monitor = proc_pidfd(state.monitor, state.monitor_started);
		cleanup_fd int pid1 = proc_pidfd(state.pid1, state.pid1_started);
		cleanup_free pid_t *pids = NULL;

		waitpid(pid, &status, 0);
		CHECK("its maker is killed", WIFSIGNALED(status));
		CHECK("its monitor ends", monitor < 0 || proc_wait(monitor, WAIT_MS) == 1);
		CHECK("after its PID 1", pid1 < 0 || proc_wait(pid1, 0) == 1);
		CHECK("and its directory is gone", !exists("orphan"));
		CHECK("its cgroup too", cgroup_processes(state.cgroup, &pids, NULL) <= 0);
	}
}

/* ---- the monitor is killed: the pod must not be ---- */

/* A pidfd of the child of `keeper` that serves the pod. */
static int server_of(pid_t keeper)
{
	cleanup_dir DIR *dir = opendir("/proc");
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		cleanup_free char *text = NULL;
		char path[300], parent[32];

		snprintf(path, sizeof(path), "/proc/%s/status", entry->d_name);
		snprintf(parent, sizeof(parent), "\nPPid:\t%d\n", keeper);
		if (atoi(entry->d_name) > 0 && io_read_file(AT_FDCWD, path, 65536, &text) > 0 &&
		    strstr(text, parent) && !strncmp(text, "Name:\tpodckpt-serve\n", 19))
			return sys_pidfd_open(atoi(entry->d_name), 0);
	}
	return -1;
}

static bool ended_by_kill(int pidfd)
{
	return pidfd >= 0 && sys_pidfd_send_signal(pidfd, SIGKILL) == 0 && proc_wait(pidfd, WAIT_MS) == 1;
}

static off_t log_size(const struct pod *pod)
{
	struct stat st;

	return fstatat(pod->dirfd, "log", &st, 0) < 0 ? 0 : st.st_size;
}

static void server_dies(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	off_t size;

	REQUIRE("a pod that speaks",
		run_ready("served", "trap 'exit 7' TERM; while :; do echo tick || exit 9; sleep 0.02; done") == 0);
	pod = open_pod("served");
	REQUIRE("open", pod);
	for (int i = 0; i < 3; i++) {
		cleanup_fd int server = server_of(pod->state.monitor);

		CHECK("its server is killed", ended_by_kill(server));
		/* Served again, and what was written meanwhile is there. */
		size = log_size(pod);
		for (int tries = 0; tries < WAIT_MS / 5 && log_size(pod) <= size; tries++)
			poll(NULL, 0, 5);
		CHECK("another goes on", log_size(pod) > size);
	}
	ct->run_fd = fd_close(ct->run_fd);
	CHECK("it is running", pod_state_read(pod, &err) == 0 && pod->state.status == CT_RUNNING &&
				       pod->state.monitor > 0);
	CHECK_DONE("a signal reaches it", ct_kill(ct, "served", SIGTERM, &err));
	CHECK("its code is kept", ct_wait(ct, "served", &err) == 7);
	CHECK_DONE("removed", ct_remove(ct, "served", false, &err));
}

/* Does a pidfd tell the exit code of a process that is gone? PIDFD_INFO_EXIT, Linux 6.15. */
static bool tells_exit_codes(void)
{
	struct {
		uint64_t mask, cgroup;
		uint32_t ids[11];
		int32_t exit_status;
	} info = { .mask = 1 << 3 };
	pid_t pid = fork();
	cleanup_fd int pidfd = -1;

	if (pid == 0)
		_exit(7);
	pidfd = sys_pidfd_open(pid, 0);
	waitpid(pid, NULL, 0);
	return ioctl(pidfd, _IOWR(0xFF, 11, info), &info) == 0 && info.mask & 1 << 3;
}

static void keeper_dies(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	pid_t keeper;
	int code;

	REQUIRE("a pod that speaks",
		run_ready("kept", "trap 'exit 7' TERM; while :; do echo tick || exit 9; sleep 0.02; done") == 0);
	pod = open_pod("kept");
	REQUIRE("open", pod);
	keeper = pod->state.monitor;
	{
		cleanup_fd int pidfd = proc_pidfd(keeper, pod->state.monitor_started);

		CHECK("its keeper is killed", ended_by_kill(pidfd));
	}
	ct->run_fd = fd_close(ct->run_fd);
	CHECK_DONE("a signal reaches it", ct_kill(ct, "kept", SIGTERM, &err));
	code = ct_wait(ct, "kept", &err);
	/* Before Linux 6.15 it is known only where nobody reaps PID 1 before it is looked at. */
	CHECK("its code is kept", code == 7 || (code == 128 + SIGKILL && !tells_exit_codes()));
	CHECK_DONE("removed", ct_remove(ct, "kept", false, &err));
}

static void monitor_dies(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	struct ct_pod_info *pods = NULL;
	size_t n = 0;

	REQUIRE("a pod", run("alone", "while :; do sleep 0.05; done") == 0);
	pod = open_pod("alone");
	REQUIRE("open", pod);
	{
		cleanup_fd int monitor = proc_pidfd(pod->state.monitor, pod->state.monitor_started);

		cleanup_fd int server = server_of(pod->state.monitor);

		/* Stopped first, so that it does not start another. */
		sys_pidfd_send_signal(monitor, SIGSTOP);
		REQUIRE("its server is killed", ended_by_kill(server));
		REQUIRE("and its keeper", ended_by_kill(monitor));
	}
	CHECK("the state is corrected", pod_state_read(pod, &err) == 0 && pod->state.monitor == 0 &&
						pod->state.status == CT_RUNNING);
	CHECK("it runs on", pod->pid1_pidfd >= 0 && ct_list(ct, &pods, &n, &err) == 0 && n == 1 &&
				    pods[0].status == CT_RUNNING && pods[0].n_processes >= 2);
	ct_pods_free(pods, n);
	ct->run_fd = fd_close(ct->run_fd);
	CHECK("attach says what is wrong", ct_attach(ct, "alone", false, NULL, &err) == -ECONNREFUSED &&
						   strstr(err.text, "monitor is gone"));
	CHECK("it can be signalled", ct_kill(ct, "alone", SIGUSR2, &err) == 0);
	CHECK("and stopped", ct_stop(ct, "alone", 10, &err) == 0);
	CHECK("its code is unknown", ct_wait(ct, "alone", &err) == 137);
	CHECK_DONE("and removed", ct_remove(ct, "alone", false, &err));
}

/* ---- the guard ---- */

static int wait_unguarded(struct pod *pod)
{
	struct guard guard;
	int r;

	/* The monitor takes notice of the hang-up in its own time. */
	while ((r = guard_begin(pod, &guard, &err)) == -EBUSY)
		poll(NULL, 0, 5);
	if (r >= 0)
		r = guard_end(pod, &guard, GUARD_CONTINUE, &err);
	return r;
}

static void guard_undone(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int status;
	pid_t pid;

	REQUIRE("a pod", run("frozen", "while :; do sleep 0.05; done") == 0);
	pod = open_pod("frozen");
	REQUIRE("open", pod);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct guard guard;

		if (guard_begin(pod, &guard, &err) < 0 ||
		    cgroup_freeze(pod->state.cgroup, WAIT_MS, &err) < 0) {
			printf("# %s\n", err.text);
			_exit(1);
		}
		pod_state_read(pod, &err);
		if (pod->state.status != CT_CHECKPOINTING)
			_exit(2);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &status, 0);
	REQUIRE("a checkpoint is killed with the pod frozen", WIFSIGNALED(status));
	CHECK("the guard is free again", wait_unguarded(pod) == 0);
	CHECK("the pod is thawed", cgroup_check_thawed(pod->state.cgroup, &err) == 0);
	CHECK("and running", pod_state_read(pod, &err) == 0 && pod->state.status == CT_RUNNING);
	CHECK("it ends when told", ct_kill(ct, "frozen", SIGTERM, &err) == 0 &&
					   ct_wait(ct, "frozen", &err) == 143);
	CHECK_DONE("removed", ct_remove(ct, "frozen", false, &err));
}

/* It has asked the monitor, and waits for the answer. */
static bool has_asked(pid_t pid)
{
	cleanup_free char *text = NULL;
	char path[64], number[16];

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	snprintf(number, sizeof(number), "%d ", SYS_recvmsg);
	return io_read_file(AT_FDCWD, path, 4096, &text) > 0 && !strncmp(text, number, strlen(number));
}

static void guard_outcomes(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	struct guard guard, second;
	cleanup_free void *input_left = NULL;
	CT_OPTIONS(ct_run_options, o);
	int waiter, r, status;
	size_t len = 0;
	struct stat st;

	o.interactive = true;
	REQUIRE("a pod", run_with(&o, "taken", "echo before; kill -STOP $$; echo after; read x; echo $x") == 0);
	pod = open_pod("taken");
	REQUIRE("open", pod);
	CHECK("guarded", guard_begin(pod, &guard, &err) == 0);
	CHECK("no master without a terminal", guard.master_fd < 0);
	CHECK("a second guard is refused", guard_begin(pod, &second, &err) == -EBUSY);
	CHECK("and kill meanwhile", ct_kill(ct, "taken", SIGTERM, &err) == -EBUSY);
	while (fstatat(pod->dirfd, "log", &st, 0) < 0 || st.st_size == 0)
		poll(NULL, 0, 5);
	CHECK("frozen", cgroup_freeze(pod->state.cgroup, WAIT_MS, &err) == 0);
	CHECK("drained", guard_drain(pod, &guard, &input_left, &len, &err) == 0 && len == 0);
	CHECK("thawed", cgroup_thaw(pod->state.cgroup, &err) == 0);
	CHECK("goes on", guard_end(pod, &guard, GUARD_CONTINUE, &err) == 0);
	CHECK("is running", pod_state_read(pod, &err) == 0 && pod->state.status == CT_RUNNING);

	fflush(stdout);
	waiter = fork();
	if (waiter == 0) {
		ct->run_fd = -1;
		_exit(ct_wait(ct, "taken", &err) == 0 ? 0 : 1);
	}
	for (int tries = 0; tries < WAIT_MS / 5 && !has_asked(waiter); tries++)
		poll(NULL, 0, 5);
	CHECK("guarded", guard_begin(pod, &guard, &err) == 0);
	CHECK("frozen", cgroup_freeze(pod->state.cgroup, WAIT_MS, &err) == 0);
	r = guard_end(pod, &guard, GUARD_CHECKPOINTED, &err);
	if (r < 0)
		printf("# %s\n", err.text);
	CHECK("taken into an image", r == 0);
	CHECK("it is gone", !exists("taken") && pod->state.status == CT_EXITED);
	waitpid(waiter, &status, 0);
	CHECK("who waited for it gets 0", WIFEXITED(status) && WEXITSTATUS(status) == 0);
	{
		cleanup_joined struct joined j = streams_of(do_attach, "taken", -1);

		CHECK("who ran it too", j.code == 0);
		CHECK_STR("with what was written", j.out, "before\n");
	}
	ct->run_fd = fd_close(ct->run_fd);
}

/* Input that the pod has no room for is handed to the checkpoint; what it wrote is in the log. */
static void guard_drained(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	cleanup_fd int sock = -1;
	CT_OPTIONS(ct_run_options, o);
	char block[MONITOR_DATA_MAX] = "";
	struct monitor_msg msg;
	struct guard guard;
	void *left = NULL;
	size_t len = 0, sent = 0, in_pipe;
	char *expected;

	o.interactive = true;
	REQUIRE("a pod that does not read", run_with(&o, "full", "while :; do sleep 0.05; done") == 0);
	pod = open_pod("full");
	sock = pod ? monitor_connect(pod, &err) : -1;
	REQUIRE("attached", sock >= 0 && monitor_send(sock, MSG_ATTACH, 0, 0) == 0 &&
				    monitor_answer(sock, &msg, NULL, &err) == MSG_ATTACHED);
	for (int i = 0; i < 4; i++) {
		msg = (struct monitor_msg){ .type = MSG_INPUT };
		memset(block, 'a' + i, sizeof(block));
		if (monitor_send_fd(sock, &msg, block, sizeof(block), -1) < 0)
			exit(1);
		sent += sizeof(block);
		if (i < 2 && monitor_answer(sock, &msg, NULL, &err) != MSG_CREDIT)
			exit(1);
	}
	/* Answered in order: all input is with the monitor when this is. */
	REQUIRE("wait is asked", monitor_send(sock, MSG_KILL, 0, 0) == 0 &&
					 monitor_answer(sock, &msg, NULL, &err) == MSG_OK);
	REQUIRE("guarded", guard_begin(pod, &guard, &err) == 0 &&
				   cgroup_freeze(pod->state.cgroup, WAIT_MS, &err) == 0);
	REQUIRE("drained", guard_drain(pod, &guard, &left, &len, &err) == 0);
	in_pipe = sent - len;
	CHECK("a pipe's worth went in", in_pipe == 65536);
	expected = malloc(len);
	memset(expected, 'c', len / 2);
	memset(expected + len / 2, 'd', len / 2);
	CHECK("the rest is handed over in order", len == 65536 && !memcmp(left, expected, len));
	free(expected);
	free(left);
	CHECK("thawed", cgroup_thaw(pod->state.cgroup, &err) == 0 &&
				guard_end(pod, &guard, GUARD_CONTINUE, &err) == 0);
	CHECK_DONE("removed", ct_remove(ct, "full", true, &err));
	ct->run_fd = fd_close(ct->run_fd);
}

static void dies_under_guard(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	struct guard guard;

	REQUIRE("a pod", run("mortal", "while :; do sleep 0.05; done") == 0);
	pod = open_pod("mortal");
	REQUIRE("guarded", pod && guard_begin(pod, &guard, &err) == 0);
	sys_pidfd_send_signal(pod->pid1_pidfd, SIGKILL);
	CHECK("it dies", proc_wait(pod->pid1_pidfd, WAIT_MS) == 1);
	CHECK("the end of the guard says so", guard_end(pod, &guard, GUARD_CONTINUE, &err) == -ESRCH);
	CHECK("its code is kept", ct_wait(ct, "mortal", &err) == 137);
	CHECK_DONE("removed", ct_remove(ct, "mortal", false, &err));
}

/* A checkpoint traces PID 1: its parent can reap it only when the tracer has let go. */
static void dies_traced(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	struct guard guard;
	int status;

	REQUIRE("a pod", run("traced", "while :; do sleep 0.05; done") == 0);
	pod = open_pod("traced");
	REQUIRE("guarded", pod && guard_begin(pod, &guard, &err) == 0);
	REQUIRE("traced", ptrace(PTRACE_SEIZE, pod->state.pid1, NULL, NULL) == 0);
	sys_pidfd_send_signal(pod->pid1_pidfd, SIGKILL);
	CHECK("it dies", proc_wait(pod->pid1_pidfd, WAIT_MS) == 1);
	CHECK("the end of the guard says so", guard_end(pod, &guard, GUARD_CONTINUE, &err) == -ESRCH);
	CHECK("the tracer hears of it first",
	      waitpid(pod->state.pid1, &status, __WALL) == pod->state.pid1 && WIFSIGNALED(status));
	CHECK("its code is kept", ct_wait(ct, "traced", &err) == 137);
	CHECK_DONE("removed", ct_remove(ct, "traced", false, &err));
}

int main(void)
{
	int code;

	if (!tests_begin(&code))
		return code;
	maker_dies();
	server_dies();
	keeper_dies();
	monitor_dies();
	guard_undone();
	guard_outcomes();
	guard_drained();
	dies_under_guard();
	dies_traced();
	return tests_end();
}
