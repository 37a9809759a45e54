// SPDX-License-Identifier: Apache-2.0
/* Pods from outside: what they return, write and read, how they end, what is executed in them. */
#include "tests/unit/libct-test.h"

static int do_follow(void *name)
{
	return ct_logs(ct, name, true, 1, &err);
}

static int do_logs(void *name)
{
	return ct_logs(ct, name, false, 1, &err);
}

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
	CHECK_STR("and said so", err.text, "cannot execute '/no/such/thing': No such file or directory");
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
	CHECK("a damaged state is said", ct_wait(ct, "damaged", &err) == -EBADMSG && strstr(err.text, "state.json"));
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
	for (int tries = 0; tries < 24000 && !stopped; tries++) { /* the signal was sent, not yet taken */
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
	CHECK_STR("is said", err.text, "cannot execute 'nonsense': No such file or directory");
	CHECK("no child is left", waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	CHECK_DONE("removed", ct_remove(ct, "host", true, &err));
	o.command = command;
	CHECK("nor is a pod that is not there", ct_exec(ct, "host", &o, &err) == -ESRCH);
}

int main(void)
{
	int code;

	if (!tests_begin(&code))
		return code;
	ends();
	cannot_run();
	ending();
	damaged();
	stops_and_goes_on();
	input();
	slow_client();
	followed();
	terminal();
	executes();
	return tests_end();
}
