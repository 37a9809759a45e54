/* SPDX-License-Identifier: Apache-2.0 */
/* libct/pod/: what a pod is inside, seen by the commands that run in it. */
#include <linux/capability.h>
#include <sys/sysmacros.h>

#include "tests/unit/netns.h"
#include "tests/unit/podtest.h"

static void test_processes(void)
{
	pod("echo $$ $PPID; hostname; cat; exit 7");
	check_run("the command's code is the pod's", 7, "2 1\nhosty\n");
	pod("(sleep 0.3; echo late) & exit 3");
	check_run("the pod ends when its last process has ended", 3, "late\n");
	pod("kill -TERM $$");
	check_run("a signal is 128 and its number", 143, "");
	pod("trap 'echo got it; exit 0' USR1; kill -USR1 1; while :; do sleep 0.05; done");
	check_run("signals to PID 1 reach the command", 0, "got it\n");
	pod("cat /proc/1/comm; p=$(sh -c 'sleep 0.01 >/dev/null & echo $!'); i=0; "
	    "while [ -e /proc/$p ] && [ $((i += 1)) -lt 1200 ]; do sleep 0.1; done; "
	    "grep -l 'State:.Z' /proc/[0-9]*/status | wc -l");
	check_run("orphans are reaped", 0, "podckpt-init\n0\n");
	pod("echo $$; kill -0 1 && cat /proc/1/comm");
	t.pod.config.no_init = true;
	check_run("without init the command is PID 1", 0, "1\nsh\n");
	pod("tr -s ' ' </proc/self/timens_offsets; cat /proc/self/sessionid >/dev/null; "
	    "test \"$(cut -d' ' -f6 /proc/$$/stat)\" = 2 && echo session; ls /proc/self/fd | wc -l; umask");
	check_run("its session is its own, and it has no descriptor too many", 0,
		  "monotonic 0 0\nboottime 0 0\nsession\n4\n0022\n");
}

static void test_namespaces(void)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "uts" };
	char path[64], *host, *line;

	pod("cd /proc/self/ns; for n in cgroup ipc mnt net pid time uts; do readlink $n; done; "
	    "cat /proc/self/cgroup | cut -d: -f3 | sort -u");
	int r = test_pod_run(&t, out, sizeof(out));

	CHECK("the namespaces can be looked at", r == 0);
	line = strtok(out, "\n");
	for (size_t i = 0; i < 7; i++, line = strtok(NULL, "\n")) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		io_readlink(AT_FDCWD, path, &host);
		CHECK(names[i], line && host && strcmp(line, host));
		free(host);
	}
	CHECK_STR("its cgroups are roots", line, "/");
	test_pod_end(&t);
}

/* ---- rights ---- */

static void test_users(void)
{
	pod("id -u; id -g; id -G; echo $HOME; echo to >/dev/stderr; grep CapEff /proc/self/status");
	t.pod.config.user = (char *)"nobody";
	check_run("a user by name", 0, "65534\n65534\n65534\n/nonexistent\nCapEff:\t0000000000000000\n");
	pod("id -u; id -g; id -G; echo $HOME; echo hi >/dev/stdout");
	t.pod.config.user = (char *)"1234:5";
	check_run("a user and a group by number, who may open its streams", 0, "1234\n5\n5\n/\nhi\n");
	pod("true");
	t.pod.config.user = (char *)"nosuchuser";
	CHECK("a user that is not", test_pod_spawn(&t, NULL) == -EINVAL);
	CHECK_STR("... is an error in words", err.text,
		  "user 'nosuchuser': the pod's /etc/passwd has no such user");
	test_pod_end(&t);
	pod("true");
	t.pod.config.workdir = (char *)"/no/such";
	CHECK("a working directory that is not", test_pod_spawn(&t, NULL) == -ENOENT);
	CHECK_STR("... is an error in words", err.text,
		  "working directory '/no/such' in the pod: No such file or directory");
	test_pod_end(&t);
}

static void test_capabilities(void)
{
	char expected[256];

	pod("grep ^Cap /proc/self/status");
	t.pod.config.capabilities = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_KILL;
	snprintf(expected, sizeof(expected),
		 "CapInh:\t0000000000000000\nCapPrm:\t%1$016x\nCapEff:\t%1$016x\n"
		 "CapBnd:\t%1$016x\nCapAmb:\t0000000000000000\n", 0x21);
	check_run("exactly the capabilities that were given", 0, expected);
}

/* Even where it may make nodes, and where the file system would let it open them. */
static void test_devices(void)
{
	char script[256];
	struct stat st;

	REQUIRE("a block device of the host", stat("/", &st) == 0);
	snprintf(script, sizeof(script),
		 "mknod /dev/disk b %u %u && echo made; head -c 1 /dev/disk 2>&1 | cut -d: -f3; "
		 "head -c 1 /dev/zero | wc -c; echo x >/dev/null; head -c 1 /dev/urandom | wc -c",
		 major(st.st_dev), minor(st.st_dev));
	pod(script);
	t.pod.config.capabilities |= UINT64_C(1) << CAP_MKNOD;
	check_run("no device but its own opens", 0, "made\n Operation not permitted\n1\n1\n");
}

static void test_seccomp(void)
{
	static const char script[] =
		"python3 -c 'import ctypes, os\n"
		"l = ctypes.CDLL(None, use_errno=True)\n"
		"def t(name, nr, *a):\n"
		"    r = l.syscall(nr, *[ctypes.c_ulong(x) for x in a])\n"
		"    print(name, r if r >= 0 else -ctypes.get_errno())\n"
		"t(\"mount\", 165, 0, 0, 0, 0, 0)\n"
		"t(\"unshare\", 272, 0x20000)\n"
		"t(\"clone newuser\", 56, 0x10000000, 0, 0, 0, 0)\n"
		"t(\"clone3\", 435, 0, 0)\n"
		"t(\"keyctl\", 250, 0, 0)\n"
		"t(\"io_uring\", 425, 1, 0)\n"
		"t(\"userfaultfd\", 323, 0)\n"
		"t(\"personality ask\", 135, 0xffffffff)\n"
		"t(\"personality linux32\", 135, 8)\n"
		"t(\"personality back\", 135, 0)\n"
		"t(\"personality noaslr\", 135, 0x40000)\n"
		"t(\"personality odd\", 135, 0xc0000000)\n"
		"t(\"vsock\", 41, 40, 1, 0)\n"
		"t(\"ptrace\", 101, 99, 0, 0, 0)'; grep Seccomp: /proc/self/status; "
		"grep NoNewPrivs /proc/self/status";
	static const char expected[] =
		"mount -1\nunshare -1\nclone newuser -1\nclone3 -38\nkeyctl -1\nio_uring -1\n"
		"userfaultfd -1\npersonality ask 0\npersonality linux32 0\npersonality back 8\n"
		"personality noaslr -1\npersonality odd -1\nvsock -1\nptrace -3\n"
		"Seccomp:\t2\nNoNewPrivs:\t0\n";

	pod(script);
	t.pod.config.seccomp = (char *)"default";
	check_run("the default filter", 0, expected);
	pod("grep Seccomp: /proc/self/status");
	check_run("without one", 0, "Seccomp:\t0\n");
	pod("id -u; grep Seccomp: /proc/self/status; mkdir /tmp/d");
	t.pod.config.user = (char *)"65534";
	t.pod.config.seccomp = (char *)
		"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [\"SCMP_ARCH_X86_64\"],"
		" \"syscalls\": [{\"names\": [\"mkdir\", \"mkdirat\", \"no_such_call\"],"
		"  \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 28, \"args\": null,"
		"  \"includes\": {\"minKernel\": \"4.8\"}, \"excludes\": {\"caps\": [\"CAP_MKNOD\"]}}]}";
	check_run("a profile", 1, "65534\nSeccomp:\t2\n");
	CHECK("a bad action is named",
	      seccomp_check("{\"defaultAction\": \"SCMP_ACT_NOTIFY\"}", 0, &err) == -EINVAL &&
		      strstr(err.text, "action 'SCMP_ACT_NOTIFY' is not known"));
	CHECK("so is what is no JSON", seccomp_check("{", 0, &err) == -EINVAL);
}

/* ---- streams ---- */

static void test_terminal(void)
{
	pod("tty; stty size; cat /proc/$$/stat | cut -d' ' -f7; ls /dev/pts | tr '\\n' ' '");
	t.pod.config.tty = true;
	t.pod.config.rows = 33;
	t.pod.config.columns = 44;
	check_run("a terminal", 0, "/dev/pts/0\r\n33 44\r\n34816\r\n0 ptmx ");
}

static void test_stdin(void)
{
	pod("cat; echo end");
	t.pod.config.interactive = true;
	REQUIRE("an interactive pod", test_pod_spawn(&t, NULL) == 0);
	test_pod_release(&t);
	CHECK("its input is open", io_write_all(t.child.stream_fd[0], "hello\n", 6) == 0);
	t.child.stream_fd[0] = fd_close(t.child.stream_fd[0]);
	test_read_all(t.child.stream_fd[1], out, sizeof(out));
	CHECK_STR("what it is given it reads, to the end", out, "hello\nend\n");
	CHECK("it ends", test_pod_wait(&t) == 0);
	test_pod_end(&t);
}

static void test_not_executed(void)
{
	int code = 0;

	static const char *const absent[] = { "no-such-command", NULL };
	static const char *const no_program[] = { "/etc/passwd", NULL };

	REQUIRE("a pod", test_pod_init(&t, absent) == 0);
	REQUIRE("it is made", test_pod_spawn(&t, NULL) == 0);
	test_pod_release(&t);
	CHECK("a command that is not there is reported",
	      read(t.child.exec_error_fd, &code, sizeof(code)) == sizeof(code) && code == ENOENT);
	CHECK("the pod's code is the shell's", test_pod_wait(&t) == 127);
	test_pod_end(&t);
	REQUIRE("a pod", test_pod_init(&t, no_program) == 0);
	t.pod.config.no_init = true;
	REQUIRE("it is made", test_pod_spawn(&t, NULL) == 0);
	test_pod_release(&t);
	CHECK("so is one that is no program",
	      read(t.child.exec_error_fd, &code, sizeof(code)) == sizeof(code) && code == EACCES);
	CHECK("... with its code", test_pod_wait(&t) == 126);
	test_pod_end(&t);
}

/* Between its making and its release a command is neither podckpt nor itself. */
static void test_waiting_program(void)
{
	char path[64], *link = NULL;
	cleanup_free char *children = NULL;

	pod("echo ran");
	REQUIRE("a pod", test_pod_spawn(&t, NULL) == 0);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", t.child.pid1, t.child.pid1);
	io_read_file(AT_FDCWD, path, 100, &children);
	snprintf(path, sizeof(path), "/proc/%d/exe", children ? atoi(children) : -1);
	for (int i = 0; i < 12000; i++) {
		free(link);
		link = NULL;
		io_readlink(AT_FDCWD, path, &link);
		if (link && strstr(link, "podckpt-init"))
			break;
		usleep(10000);
	}
	CHECK_STR("the host's program cannot be found through it", link,
		  "/memfd:podckpt-init (deleted)");
	free(link);
	test_pod_release(&t);
	test_read_all(t.child.stream_fd[1], out, sizeof(out));
	CHECK_STR("let go, it runs", out, "ran\n");
	CHECK("to its end", test_pod_wait(&t) == 0);
	test_pod_end(&t);
}

static void test_path(void)
{
	static char *env[] = { "PATH=/tmp/no:/etc/passwd:/tmp/a::/tmp/b:/usr/bin:/bin", NULL };
	static const char *const first[] = { "prog", "x", "y z", NULL };

	/* Made by a pod with that very root: its upper layer is kept for the next. */
	pod("mkdir /tmp/a /tmp/b; echo no >/tmp/a/prog; printf 'echo $0 $1 $2 $#' >/tmp/b/prog; "
	    "chmod +x /tmp/b/prog; PATH=/tmp/a:/tmp/b exec prog x 'y z'");
	t.pod.config.env = env;
	REQUIRE("files", test_pod_run(&t, out, sizeof(out)) == 0);
	t.pod.config.command = (char **)first;
	t.child.pid1 = 0;
	pod_child_release(&t.child);
	cgroup_remove(t.pod.state.cgroup, NULL);
	check_run("PATH is searched past what cannot be executed; text is the shell's", 0,
		  "/tmp/b/prog x y z 2\n");
}

/* ---- network, limits, restore ---- */

static void test_network(void)
{
	pod("ip -o -4 addr show eth0 | grep -c 'inet 10.77.0.9/24'; cat /sys/class/net/eth0/address; "
	    "grep -c '^10.77.0.9' /etc/hosts");
	t.pod.config.net = CT_NET_BRIDGE;
	inet_pton(AF_INET, "10.77.0.0", &t.pod.config.subnet.address);
	t.pod.config.subnet.prefix = 24;
	inet_pton(AF_INET, "10.77.0.9", &t.pod.config.address.ip);
	memcpy(t.pod.config.address.mac, "\x02\x42\x01\x02\x03\x04", 6);
	check_run("the address that was asked for", 0, "1\n02:42:01:02:03:04\n1\n");
	pod("readlink /proc/self/ns/net");
	t.pod.config.net = CT_NET_HOST;
	test_pod_run(&t, out, sizeof(out));
	char *own = NULL;

	io_readlink(AT_FDCWD, "/proc/self/ns/net", &own);
	CHECK("the host's network", own && !strncmp(own, out, strlen(own)));
	free(own);
	test_pod_end(&t);
}

static void test_limits(void)
{
	pod("i=0; while [ $i -lt 20 ]; do sleep 4 & i=$((i+1)); done; wait");
	t.pod.config.pids = 8;
	CHECK("a limit of processes holds", test_pod_run(&t, out, sizeof(out)) != 0);
	test_pod_end(&t);
	pod("head -c 100M /dev/zero | tail -c 100M | wc -c");
	t.pod.config.memory = 32 << 20;
	test_pod_run(&t, out, sizeof(out));
	CHECK("a limit of memory holds", !strstr(out, "104857600"));
	test_pod_end(&t);
}

static void test_restoring(void)
{
	cleanup_fd int self = sys_pidfd_open(getpid(), 0);
	struct pod_start start = { .restoring = true, .monotonic = 5000000001, .boottime = -1,
				   .restorer_pidfd = self, .stdin_data = "left", .stdin_len = 4 };
	char path[64], text[512] = "";
	cleanup_free char *comm = NULL, *link = NULL, *offsets = NULL;
	struct stat theirs, ours;

	pod("true");
	t.pod.config.interactive = true;
	REQUIRE("a pod to be restored", test_pod_spawn(&t, &start) == 0);
	snprintf(path, sizeof(path), "/proc/%d/comm", t.child.pid1);
	io_read_file(AT_FDCWD, path, 100, &comm);
	CHECK_STR("PID 1 is podckpt-init at once", comm, "podckpt-init\n");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", t.child.pid1, POD_RESTORER_FD);
	io_readlink(AT_FDCWD, path, &link);
	CHECK_STR("it holds the restorer", link, "anon_inode:[pidfd]");
	snprintf(path, sizeof(path), "/proc/%d/fd/0", t.child.pid1);
	CHECK("its streams are the new ones", stat(path, &theirs) == 0 &&
						      fstat(t.child.stream_fd[0], &ours) == 0 &&
						      theirs.st_ino == ours.st_ino &&
						      theirs.st_ino == t.pod.state.stream_inode[0]);
	cleanup_fd int end = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK("what stdin held is in it", read(end, text, sizeof(text)) == 4);
	snprintf(path, sizeof(path), "/proc/%d/timens_offsets", t.child.pid1);
	io_read_file(AT_FDCWD, path, 1000, &offsets);
	CHECK("its clocks are set", offsets && strstr(offsets, "monotonic           5         1") &&
					    strstr(offsets, "boottime           -1 999999999"));
	t.child.sync_fd = fd_close(t.child.sync_fd);
	CHECK("given up, it ends", test_pod_wait(&t) == 125);
	test_pod_end(&t);
}

/* What a checkpoint asks PID 1, and what a restore tells it, of a command that has ended. */
static void test_init_state(void)
{
	struct pod_start start = { .restoring = true, .restorer_pidfd = -1 };
	struct init_go ended = { .main_vpid = -1, .code = 42 };
	struct init_state state = { 0 };
	char path[64];

	pod("(read x </run/fifo; echo $x) & exit 9");
	REQUIRE("a pod", test_pod_spawn(&t, NULL) == 0);
	snprintf(path, sizeof(path), "/proc/%d/root/run/fifo", t.child.pid1);
	REQUIRE("what keeps it going", mkfifo(path, 0600) == 0);
	test_pod_release(&t);
	cleanup_fd int fifo = open(path, O_WRONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/mem", t.child.pid1);
	cleanup_fd int mem = open(path, O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 12000 && !state.ended; i++) {
		io_pread_exact(mem, &state, sizeof(state), INIT_STATE_ADDRESS);
		usleep(10000);
	}
	CHECK("init knows that the command ended, and how",
	      state.ended == 1 && state.main_vpid == 2 && state.code == 9);
	CHECK("the rest goes on", io_write_all(fifo, "on\n", 3) == 0);
	CHECK("and the code is the command's", test_pod_wait(&t) == 9);
	test_pod_end(&t);
	pod("true");
	REQUIRE("a restored one", test_pod_spawn(&t, &start) == 0);
	io_write_all(t.child.sync_fd, &ended, sizeof(ended));
	CHECK("init is told", test_pod_wait(&t) == 42);
	test_pod_end(&t);
}

static void test_given_up(void)
{
	pod("echo never");
	REQUIRE("a pod", test_pod_spawn(&t, NULL) == 0);
	t.child.sync_fd = fd_close(t.child.sync_fd);
	test_read_all(t.child.stream_fd[1], out, sizeof(out));
	CHECK_STR("nothing runs that was not let go", out, "");
	CHECK("the pod ends", test_pod_wait(&t) == 125);
	test_pod_end(&t);
}

int main(void)
{
	own_namespaces();
	test_processes();
	test_namespaces();
	test_users();
	test_capabilities();
	test_devices();
	test_seccomp();
	test_terminal();
	test_stdin();
	test_not_executed();
	test_waiting_program();
	test_path();
	test_network();
	test_limits();
	test_restoring();
	test_init_state();
	test_given_up();
	return UNIT_DONE();
}
