// SPDX-License-Identifier: Apache-2.0
/* Pods from outside: what their monitor keeps, tells, undoes and removes. */
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

static const char *said(void)
{
	return err.text;
}

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

static int do_follow(void *name)
{
	return ct_logs(ct, name, true, 1, &err);
}

static int do_logs(void *name)
{
	return ct_logs(ct, name, false, 1, &err);
}

/* ---- tests ---- */

static void ends(void)
{
	CT_OPTIONS(ct_run_options, o);

	REQUIRE("a pod runs", run("ends", "echo out; echo err >&2; exit 3") == 0);
	{
		cleanup_joined struct joined j = streams_of(do_attach, "ends", -1);

		CHECK("its exit code is the command's", j.code == 3);
		CHECK_STR("its standard output arrives", j.out, "out\n");
		CHECK_STR("its standard error arrives apart", j.err, "err\n");
	}
	ct->run_fd = fd_close(ct->run_fd);
	CHECK("waiting for an ended pod tells its code", ct_wait(ct, "ends", &err) == 3);
	{
		cleanup_joined struct joined j = streams_of(do_logs, "ends", -1);

		CHECK("its log is readable", j.code == 0);
		CHECK_STR("its log holds both", j.out, "out\nerr\n");
	}
	CHECK("its name is taken", run("ends", "true") == -EEXIST);
	CHECK_DONE("it can be removed", ct_remove(ct, "ends", false, &err));
	CHECK("and is gone then", !exists("ends"));
	CHECK("a pod that is not there is named", ct_wait(ct, "ends", &err) == -ENOENT);

	o.remove = true;
	REQUIRE("a pod with --rm runs", run_with(&o, "brief", "echo brief; exit 4") == 0);
	while (exists("brief"))
		poll(NULL, 0, 5);
	{
		cleanup_joined struct joined j = streams_of(do_attach, "brief", -1);

		CHECK("who ran it gets its code after it is gone", j.code == 4);
		CHECK_STR("and its output", j.out, "brief\n");
	}
	ct->run_fd = fd_close(ct->run_fd);

	REQUIRE("a killed command", run("killed", "kill -9 $$") == 0);
	CHECK("has code 128 + signal", ct_wait(ct, "killed", &err) == 137);
	CHECK_DONE("removed", ct_remove(ct, "killed", false, &err));
}

static void cannot_run(void)
{
	const char *command[] = { "/no/such/thing", NULL };
	CT_OPTIONS(ct_run_options, o);

	o.command = command;
	CHECK("a command that is not there is -ENOENT", run_with(&o, "absent", NULL) == -ENOENT);
	CHECK_STR("and said so", said(), "cannot execute '/no/such/thing': No such file or directory");
	CHECK("nothing is left of it", !exists("absent"));
	command[0] = "/etc/passwd";
	CHECK("one that is no program is -EACCES", run_with(&o, "absent", NULL) == -EACCES);
	CHECK("nothing is left of it", !exists("absent"));
	CHECK("a bad name is refused", run("../x", "true") == -EINVAL);
}

static void ending(void)
{
	struct ct_pod_info *pods = NULL;
	size_t n = 0;

	REQUIRE("a pod that goes on", run_ready("long", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done") == 0);
	CHECK("a running pod is not removed", ct_remove(ct, "long", false, &err) == -EBUSY);
	CHECK("it is listed", ct_list(ct, &pods, &n, &err) == 0 && n == 1 &&
				      !strcmp(pods[0].name, "long") && pods[0].status == CT_RUNNING &&
				      pods[0].pid > 0 && pods[0].n_processes >= 2);
	ct_pods_free(pods, n);
	CHECK("a signal ends it", ct_kill(ct, "long", SIGTERM, &err) == 0);
	CHECK("its code", ct_wait(ct, "long", &err) == 7);
	CHECK("a signal to an ended pod is -ESRCH", ct_kill(ct, "long", SIGTERM, &err) == -ESRCH);
	CHECK("stop of an ended pod is nothing", ct_stop(ct, "long", 1000, &err) == 0);
	CHECK_DONE("removed", ct_remove(ct, "long", false, &err));

	REQUIRE("a pod that stops when asked", run_ready("asked", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done") == 0);
	CHECK("stop", ct_stop(ct, "asked", 60000, &err) == 0);
	CHECK("ended by itself", ct_wait(ct, "asked", &err) == 0);
	CHECK_DONE("removed", ct_remove(ct, "asked", false, &err));

	REQUIRE("a pod that does not listen", run_ready("deaf", "trap '' TERM; echo ready; while :; do sleep 1; done") == 0);
	CHECK("stop kills it", ct_stop(ct, "deaf", 50, &err) == 0);
	CHECK("killed", ct_wait(ct, "deaf", &err) == 137);
	CHECK_DONE("removed", ct_remove(ct, "deaf", false, &err));

	REQUIRE("another", run("forced", "sleep 1000") == 0);
	CHECK_DONE("is removed by force", ct_remove(ct, "forced", true, &err));
	CHECK("and gone", !exists("forced"));
}

/* Is any process of the pod but PID 1 stopped? */
static bool command_stops(struct pod *pod)
{
	cleanup_free pid_t *pids = NULL;
	ssize_t n = cgroup_processes(pod->state.cgroup, &pids, &err);
	bool stopped = false;

	for (ssize_t i = 0; i < n; i++) {
		cleanup_free char *text = NULL;
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/status", pids[i]);
		if (pids[i] != pod->state.pid1 && io_read_file(AT_FDCWD, path, 65536, &text) > 0)
			stopped |= strstr(text, "T (stopped)") != NULL;
	}
	return stopped;
}

static void damaged(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	struct ct_pod_info *pods = NULL;
	size_t n = 0;

	REQUIRE("a pod", run("damaged", "true") == 0 && ct_wait(ct, "damaged", &err) == 0);
	pod = open_pod("damaged");
	REQUIRE("open", pod && io_write_file(pod->dirfd, "state.json", "{{{{{{") == 0);
	ct->run_fd = fd_close(ct->run_fd);
	CHECK("a damaged state is said", ct_wait(ct, "damaged", &err) == -EBADMSG && strstr(said(), "state.json"));
	CHECK("it is listed all the same", ct_list(ct, &pods, &n, &err) == 0 && n == 1);
	ct_pods_free(pods, n);
	CHECK("it is not removed just so", ct_remove(ct, "damaged", false, &err) == -EBADMSG);
	CHECK_DONE("but by force", ct_remove(ct, "damaged", true, &err));
	CHECK("and gone", !exists("damaged"));
}

static void stops_and_goes_on(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	bool stopped = false;

	REQUIRE("a pod", run("stopped", "while :; do sleep 0.05; done") == 0);
	pod = open_pod("stopped");
	REQUIRE("open", pod);
	CHECK("SIGSTOP goes to the command", ct_kill(ct, "stopped", SIGSTOP, &err) == 0);
	for (int tries = 0; tries < 1000 && !stopped; tries++) { /* the signal was sent, not yet taken */
		poll(NULL, 0, 5);
		stopped = command_stops(pod);
	}
	CHECK("which stops", stopped);
	CHECK("SIGCONT", ct_kill(ct, "stopped", SIGCONT, &err) == 0);
	CHECK_DONE("removed", ct_remove(ct, "stopped", true, &err));
}

/* More than every buffer on the way holds, through a reader and a writer that are slower. */
static void input(void)
{
	enum { SIZE = 5 << 20 };
	CT_OPTIONS(ct_run_options, o);
	cleanup_free char *data = malloc(SIZE);
	int in = temporary();

	for (size_t i = 0; i < SIZE; i++)
		data[i] = (char)(i * 2654435761u >> 24);
	if (io_write_all(in, data, SIZE) < 0 || lseek(in, 0, SEEK_SET) < 0)
		exit(1);
	o.interactive = o.remove = true;
	REQUIRE("a pod that reads", run_with(&o, "cat", "sleep 0.2; cat") == 0);
	{
		cleanup_joined struct joined j = streams_of(do_attach, "cat", in);

		if (!CHECK("ends with its input", j.code == 0))
			printf("# %d, %zu bytes: %s\n", j.code, j.out_len, j.err);
		CHECK("and gives all of it back",
		      j.out_len == SIZE && !memcmp(j.out, data, SIZE));
	}
	close(in);
	ct->run_fd = fd_close(ct->run_fd);
}

/* An attached client that does not read holds the pod up, and nothing else. */
static void slow_client(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	cleanup_fd int sock = -1;
	CT_OPTIONS(ct_run_options, o);
	struct monitor_msg msg;
	char data[MONITOR_DATA_MAX + 1];
	struct stat st;
	int code = -1;

	o.interactive = true;
	REQUIRE("a pod that writes when told", run_with(&o, "flood", "read x; head -c 8000000 /dev/zero") == 0);
	pod = open_pod("flood");
	REQUIRE("open", pod);
	sock = monitor_connect(pod, &err);
	REQUIRE("attached", sock >= 0 && monitor_send(sock, MSG_ATTACH, 0, 0) == 0 &&
				    monitor_answer(sock, &msg, NULL, &err) == MSG_ATTACHED);
	msg = (struct monitor_msg){ .type = MSG_INPUT };
	REQUIRE("told", monitor_send_fd(sock, &msg, "\n", 1, -1) == 0);
	/* The queue is full when the log has grown past it; the rest stays in the pod. */
	do
		poll(NULL, 0, 20);
	while (fstatat(pod->dirfd, "log", &st, 0) < 0 || st.st_size < 1 << 20);
	CHECK("another client is served", ct_kill(ct, "flood", 0, &err) == 0);
	CHECK("the pod waits", fstatat(pod->dirfd, "log", &st, 0) == 0 && st.st_size < 4000000);
	while (code < 0 && monitor_recv(sock, &msg, data, sizeof(data), NULL) >= 0) {
		if (msg.type == MSG_EXITED)
			code = msg.value;
	}
	CHECK("it ends when all is read", code == 0);
	fstatat(pod->dirfd, "log", &st, 0);
	CHECK("and all is in the log", st.st_size > 8000000);
	CHECK_DONE("removed", ct_remove(ct, "flood", false, &err));
	ct->run_fd = fd_close(ct->run_fd);
}

static void followed(void)
{
	REQUIRE("a pod that speaks twice", run("twice", "echo one; sleep 0.2; echo two") == 0);
	{
		cleanup_joined struct joined j = streams_of(do_follow, "twice", -1);

		CHECK("is followed to its end", j.code == 0);
		CHECK_STR("with all it said", j.out, "one\ntwo\n");
	}
	CHECK_DONE("removed", ct_remove(ct, "twice", true, &err));
}

static void terminal(void)
{
	CT_OPTIONS(ct_run_options, o);

	o.tty = true;
	o.rows = 33;
	o.columns = 111;
	REQUIRE("a pod with a terminal", run_with(&o, "tty", "tty && stty size") == 0);
	{
		cleanup_joined struct joined j = streams_of(do_attach, "tty", -1);

		CHECK("ends", j.code == 0);
		CHECK("has one, of that size", strstr(j.out, "33 111\r\n"));
	}
	CHECK_DONE("removed", ct_remove(ct, "tty", true, &err));
	ct->run_fd = fd_close(ct->run_fd);
}

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
		    pod_reserve(ct, &config, &pod, &err) < 0 || pod_make(pod, &start, &err) < 0)
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
		CHECK("its monitor ends", monitor < 0 || proc_wait(monitor, 20000) == 1);
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
	return pidfd >= 0 && sys_pidfd_send_signal(pidfd, SIGKILL) == 0 && proc_wait(pidfd, 10000) == 1;
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
		for (int tries = 0; tries < 2000 && log_size(pod) <= size; tries++)
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

static void keeper_dies(void)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	pid_t keeper;

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
	CHECK("its code is kept", ct_wait(ct, "kept", &err) == 7);
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
		    cgroup_freeze(pod->state.cgroup, 10000, &err) < 0) {
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
	CHECK("the pod is thawed", cgroup_is_frozen(pod->state.cgroup, &err) == 0);
	CHECK("and running", pod_state_read(pod, &err) == 0 && pod->state.status == CT_RUNNING);
	CHECK("it ends when told", ct_kill(ct, "frozen", SIGTERM, &err) == 0 &&
					   ct_wait(ct, "frozen", &err) == 143);
	CHECK_DONE("removed", ct_remove(ct, "frozen", false, &err));
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
	CHECK("frozen", cgroup_freeze(pod->state.cgroup, 10000, &err) == 0);
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
	CHECK("guarded", guard_begin(pod, &guard, &err) == 0);
	CHECK("frozen", cgroup_freeze(pod->state.cgroup, 10000, &err) == 0);
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
				   cgroup_freeze(pod->state.cgroup, 10000, &err) == 0);
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
	CHECK("it dies", proc_wait(pod->pid1_pidfd, 10000) == 1);
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
	CHECK("it dies", proc_wait(pod->pid1_pidfd, 10000) == 1);
	CHECK("the end of the guard says so", guard_end(pod, &guard, GUARD_CONTINUE, &err) == -ESRCH);
	CHECK("the tracer hears of it first",
	      waitpid(pod->state.pid1, &status, __WALL) == pod->state.pid1 && WIFSIGNALED(status));
	CHECK("its code is kept", ct_wait(ct, "traced", &err) == 137);
	CHECK_DONE("removed", ct_remove(ct, "traced", false, &err));
}

/* ---- exec ---- */

static int do_exec(void *options)
{
	return ct_exec(ct, "host", options, &err);
}

static void executes(void)
{
	const char *command[] = { "sh", "-c", "echo $GREETING $NAME; hostname; echo oops >&2; exit 9", NULL };
	const char *added[] = { "NAME=world", NULL };
	const char *absent[] = { "nonsense", NULL };
	const char *tty[] = { "sh", "-c", "tty; test -t 0 && test -t 2", NULL };
	const char *ps[] = { "sh", "-c", "grep -a -q 'sleep' /proc/[0-9]*/cmdline", NULL };
	CT_OPTIONS(ct_exec_options, o);

	REQUIRE("a pod", run("host", "while :; do sleep 0.05; done") == 0);
	o.command = command;
	o.env = added;
	{
		cleanup_joined struct joined j = streams_of(do_exec, &o, -1);

		CHECK("a command's code", j.code == 9);
		CHECK_STR("its output, with the pod's environment and name", j.out, "hello world\nhost\n");
		CHECK_STR("its errors", j.err, "oops\n");
	}
	o.command = ps;
	{
		cleanup_joined struct joined j = streams_of(do_exec, &o, -1);

		CHECK("it sees the pod's processes", j.code == 0);
	}
	o.command = tty;
	o.tty = true;
	{
		cleanup_joined struct joined j = streams_of(do_exec, &o, -1);

		CHECK("a terminal of its own", j.code == 0 && strstr(j.out, "/dev/pts/"));
	}
	o.tty = false;
	o.command = absent;
	CHECK("what is not there", ct_exec(ct, "host", &o, &err) == -ENOENT);
	CHECK_STR("is said", said(), "cannot execute 'nonsense': No such file or directory");
	CHECK("no child is left", waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	CHECK_DONE("removed", ct_remove(ct, "host", true, &err));
	o.command = command;
	CHECK("nor is a pod that is not there", ct_exec(ct, "host", &o, &err) == -ESRCH);
}

int main(void)
{
	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 77;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!mkdtemp(root) || ct_open(root, &ct, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		return 1;
	}
	ends();
	cannot_run();
	ending();
	damaged();
	stops_and_goes_on();
	input();
	slow_client();
	followed();
	terminal();
	maker_dies();
	server_dies();
	keeper_dies();
	monitor_dies();
	guard_undone();
	guard_outcomes();
	guard_drained();
	dies_under_guard();
	dies_traced();
	executes();
	ct_close(ct);
	CHECK("nothing is left", io_remove_tree(AT_FDCWD, root) == 0);
	return UNIT_DONE();
}
