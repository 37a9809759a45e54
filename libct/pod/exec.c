// SPDX-License-Identifier: Apache-2.0
/*
 * A further command in a running pod.
 *
 *	caller --fork--> door: into the cgroup and every namespace of PID 1
 *	   |               |
 *	   |               +--clone3(CLONE_PARENT)--> the command, in the pod's PID namespace
 *	   +---- waits for it, passes on signals, relays its terminal
 *
 * The door ends at once: what stays in the pod's cgroup is only the command, which is a process of
 * the pod like any other.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/pod/make.h"
#include "libct/pod/monitor.h"
#include "libct/pod/pod.h"
#include "libct/pod/state.h"
#include "libct/pod/terminal.h"

struct exec {
	struct pod *pod;
	const struct ct_exec_options *options;
	char **env;
	int root_fd;	/* the pod's root, as PID 1 has it */
	int tell_fd;	/* of the door and the command: MADE + pidfd, FAILED, EOF: all is prepared */
	int fail_fd;	/* an int, the errno of why it was not executed, or EOF */
	int slave_fd;	/* the command's terminal, -1: the caller's streams */
};

/* ---- in the door and in the command ---- */

__attribute__((noreturn)) static void give_up(const struct exec *e, const struct ct_error *err)
{
	struct monitor_msg msg = { .type = MSG_FAILED, .value = err->code };

	monitor_send_fd(e->tell_fd, &msg, err->text, strlen(err->text), -1);
	_exit(127);
}

static int streams_place(const struct exec *e, struct ct_error *err)
{
	setsid(); /* signals of the caller's terminal reach the command once, through the caller */
	if (e->slave_fd >= 0) {
		if (ioctl(e->slave_fd, TIOCSCTTY, 0) < 0)
			return error_errno(err, -errno, "terminal");
		for (int i = 0; i < 3; i++)
			if (dup2(e->slave_fd, i) < 0)
				return error_errno(err, -errno, "terminal");
	} else if (!e->options->interactive) {
		cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (null < 0 || dup2(null, STDIN_FILENO) < 0)
			return error_errno(err, -errno, "open '/dev/null'");
	}
	return 0;
}

__attribute__((noreturn)) static void be_command(const struct exec *e)
{
	const struct ct_exec_options *o = e->options;
	struct pod_command command = { .argv = (char *const *)o->command,
				       .env = e->env,
				       .workdir = o->workdir ? o->workdir : e->pod->config.workdir,
				       .user = o->user ? o->user : e->pod->config.user };
	struct ct_error err = {};
	int r;

	umask(022);
	r = streams_place(e, &err);
	if (r >= 0)
		r = command_prepare(&e->pod->config, &command, &err);
	/* Not only ours, which are so anyway: a caller's that it forgot. */
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	if (r >= 0) {
		r = command_execute(&command, -1, 0, e->fail_fd);
		error_errno(&err, r, "cannot execute '%s'", o->command[0]);
	}
	give_up(e, &err);
}

/* Order: the cgroup is joined by its path on the host; the mount namespace takes that path away. */
static int enter(const struct exec *e, struct ct_error *err)
{
	const int namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
			       CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWTIME;
	int r;

	/* Until the command has given up its privileges no process of the pod may look into it. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return error_errno(err, -errno, "prctl");
	r = cgroup_enter(e->pod->state.cgroup, false, err);
	if (r < 0)
		return r;
	if (setns(e->pod->pid1_pidfd, namespaces) < 0)
		return error_errno(err, -errno, "enter the pod's namespaces");
	if (fchdir(e->root_fd) < 0 || chroot(".") < 0)
		return error_errno(err, -errno, "enter the pod's root");
	return 0;
}

__attribute__((noreturn)) static void be_door(const struct exec *e)
{
	struct monitor_msg msg = { .type = MSG_MADE };
	int pidfd = -1;
	struct clone_args args = { .flags = CLONE_PARENT | CLONE_PIDFD,
				   .pidfd = (uint64_t)(uintptr_t)&pidfd };
	struct ct_error err = {};
	pid_t pid;

	if (enter(e, &err) < 0)
		give_up(e, &err);
	pid = sys_clone3(&args);
	if (pid == 0)
		be_command(e);
	if (pid < 0) {
		error_errno(&err, pid, "clone3");
		give_up(e, &err);
	}
	monitor_send_fd(e->tell_fd, &msg, NULL, 0, pidfd);
	_exit(0);
}

/* ---- in the caller ---- */

static bool same_variable(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return n == strcspn(b, "=") && !strncmp(a, b, n);
}

/* The pod's environment with `added` over it. The array is new, its strings are not. */
static int env_merge(char *const *pod, const char *const *added, char ***ret)
{
	size_t n = 0, n_added = 0;
	char **env;

	while (pod && pod[n])
		n++;
	while (added && added[n_added])
		n_added++;
	env = calloc(n + n_added + 1, sizeof(*env));
	if (!env)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		env[i] = pod[i];
	for (size_t i = 0; i < n_added; i++) {
		size_t at = 0;

		while (at < n && !same_variable(env[at], added[i]))
			at++;
		env[at] = (char *)added[i];
		n += at == n;
	}
	*ret = env;
	return 0;
}

static int exit_code_of(int pidfd)
{
	siginfo_t info = {};

	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0)
		if (errno != EINTR)
			return -errno;
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

/* Starts the command: its pidfd. Whatever happens, none of the two processes is left behind. */
static int start(struct exec *e, struct ct_error *err)
{
	cleanup_fd int pidfd = -1, tell = -1, fail = -1;
	int sockets[2], fails[2], r, failed = 0;
	struct monitor_msg msg;
	pid_t door;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return error_errno(err, -errno, "socketpair");
	tell = sockets[0];
	e->tell_fd = sockets[1];
	if (pipe2(fails, O_CLOEXEC) < 0) {
		r = -errno;
		fd_close(sockets[1]);
		return error_errno(err, r, "pipe");
	}
	fail = fails[0];
	e->fail_fd = fails[1];
	door = fork();
	if (door == 0)
		be_door(e);
	r = -errno;
	fd_close(sockets[1]);
	fd_close(fails[1]);
	if (door < 0)
		return error_errno(err, r, "fork");
	/* The two may speak in any order. Nobody holds the socket any more when the command is executed. */
	do {
		r = monitor_answer(tell, &msg, pidfd < 0 ? &pidfd : NULL, failed ? NULL : err);
		if (r < 0 && r != -EPIPE)
			failed = r;
	} while (r != -EPIPE);
	while (waitpid(door, NULL, 0) < 0 && errno == EINTR)
		;
	if (!failed && io_read_exact(fail, &r, sizeof(r)) == 0)
		failed = error_errno(err, -r, "cannot execute '%s'", e->options->command[0]);
	if (!failed && pidfd >= 0)
		return take_fd(&pidfd);
	if (pidfd >= 0)
		exit_code_of(pidfd);
	return failed ? failed : error_set(err, -EPIPE, "the command was killed before it was executed");
}

/* Bytes on their way from one descriptor to another. */
struct flow {
	int from, to; /* from -1: nothing more comes */
	char buf[4096];
	size_t done, len;
};

static void flow_read(struct flow *f)
{
	ssize_t n = read(f->from, f->buf, sizeof(f->buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	f->done = 0;
	f->len = n > 0 ? (size_t)n : 0;
	if (n <= 0)
		f->from = -1;
}

static int flow_write(struct flow *f)
{
	ssize_t n = write(f->to, f->buf + f->done, f->len - f->done);

	if (n < 0 && errno != EINTR && errno != EAGAIN)
		return -errno;
	f->done += n > 0 ? (size_t)n : 0;
	if (f->done == f->len)
		f->done = f->len = 0;
	return 0;
}

struct relay {
	int pidfd, master; /* master -1: the command has our streams */
	struct signals signals;
	struct terminal terminal;
	struct flow in, out;
};

#define cleanup_relay __cleanup(relay_release)

static void relay_release(struct relay *r)
{
	terminal_restore(&r->terminal);
	signals_restore(&r->signals);
	fd_close(r->master);
	fd_close(r->pidfd);
}

static void relay_signals(struct relay *r)
{
	struct winsize size = {};
	int sig;

	while ((sig = signals_next(&r->signals))) {
		if (sig == SIGWINCH) {
			if (r->master >= 0 && terminal_size(&size.ws_row, &size.ws_col))
				ioctl(r->master, TIOCSWINSZ, &size);
		} else if (sig != SIGCHLD) {
			sys_pidfd_send_signal(r->pidfd, sig);
		}
	}
}

/* What the command has left in its terminal; others may still have it open. */
static int relay_rest(struct relay *r)
{
	int q = 0;

	if (r->master < 0)
		return 0;
	fcntl(r->master, F_SETFL, O_RDWR | O_NONBLOCK);
	for (;;) {
		while (q >= 0 && r->out.len)
			q = flow_write(&r->out);
		if (q < 0 || r->out.from < 0)
			return q;
		flow_read(&r->out);
		if (!r->out.len)
			return 0;
	}
}

static int relay_loop(struct relay *r)
{
	for (;;) {
		struct pollfd p[] = {
			{ r->pidfd, POLLIN, 0 },
			{ r->signals.fd, POLLIN, 0 },
			{ r->in.len ? -1 : r->in.from, POLLIN, 0 },
			{ r->in.len ? r->in.to : -1, POLLOUT, 0 },
			{ r->out.len ? -1 : r->out.from, POLLIN, 0 },
			{ r->out.len ? r->out.to : -1, POLLOUT, 0 },
		};
		int q = 0;

		if (poll(p, 6, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (p[1].revents)
			relay_signals(r);
		if (p[2].revents)
			flow_read(&r->in);
		if (p[3].revents && flow_write(&r->in) < 0)
			r->in.from = -1, r->in.len = 0;
		if (p[4].revents)
			flow_read(&r->out);
		if (p[5].revents)
			q = flow_write(&r->out);
		if (q < 0)
			return q;
		if (p[0].revents)
			return relay_rest(r);
	}
}

/* Relays until the command ends: its exit code. Takes both descriptors over. */
static int relay(int pidfd, int master, bool interactive, struct ct_error *err)
{
	cleanup_relay struct relay r = { .pidfd = pidfd,
					 .master = master,
					 .signals = SIGNALS_INIT,
					 .terminal = TERMINAL_INIT,
					 .in = { .from = -1, .to = master },
					 .out = { .from = master, .to = STDOUT_FILENO } };
	int q = signals_take(&r.signals, err);

	if (q >= 0 && master >= 0 && interactive) {
		r.in.from = STDIN_FILENO;
		if (isatty(STDIN_FILENO))
			q = terminal_raw(&r.terminal, STDIN_FILENO, err);
	}
	if (q >= 0) {
		q = relay_loop(&r);
		if (q < 0)
			error_errno(err, q, "relay of the command's terminal");
	}
	if (q < 0) { /* the command must not run on without the one who waits for it */
		sys_pidfd_send_signal(pidfd, SIGKILL);
		exit_code_of(pidfd);
		return q;
	}
	q = exit_code_of(pidfd);
	return q < 0 ? error_errno(err, q, "wait for the command") : q;
}

static int terminal_open(const struct exec *e, int *ret_master, int *ret_slave, struct ct_error *err)
{
	unsigned short rows = 24, columns = 80;
	cleanup_fd int dev = sys_openat2(e->root_fd, "dev", O_PATH | O_DIRECTORY, 0,
					 RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);

	if (dev < 0)
		return error_errno(err, dev, "the pod's /dev");
	terminal_size(&rows, &columns);
	return pty_open(dev, rows, columns, ret_master, ret_slave, err);
}

static int pod_exec(struct pod *pod, const struct ct_exec_options *options, struct ct_error *err)
{
	cleanup_free char **env = NULL;
	cleanup_fd int root = -1, master = -1, slave = -1;
	struct exec e = { .pod = pod, .options = options, .slave_fd = -1 };
	char path[32];
	int r, pidfd;

	/* Held until the command is there: a checkpoint sees all of it or nothing. */
	r = pod_lock_wait(pod, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, -ESRCH, "the pod was removed") : r;
	if (pod->state.status != CT_RUNNING || pod->pid1_pidfd < 0)
		return error_set(err, -ESRCH, "the pod is %s, not running",
				 ct_status_name(pod->state.status));
	r = cgroup_check_thawed(pod->state.cgroup, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/root", pod->state.pid1);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_errno(err, -errno, "the pod's root");
	e.root_fd = root;
	r = env_merge(pod->config.env, options->env, &env);
	if (r < 0)
		return error_errno(err, r, "environment");
	e.env = env;
	if (options->tty) {
		r = terminal_open(&e, &master, &slave, err);
		if (r < 0)
			return r;
		e.slave_fd = slave;
	}
	pidfd = start(&e, err);
	slave = fd_close(slave);
	pod->lockfd = fd_close(pod->lockfd);
	if (pidfd < 0)
		return pidfd;
	return relay(pidfd, take_fd(&master), options->interactive, err);
}

int ct_exec(struct ct *ct, const char *name, const struct ct_exec_options *options,
	    struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r;

	if (!options->command || !options->command[0])
		return error_set(err, -EINVAL, "no command was given");
	r = pod_open(ct, name, &pod, err);
	if (r >= 0)
		return pod_exec(pod, options, err);
	/* -ENOENT is said of the command alone. */
	if (r == -ENOENT && err)
		err->code = -ESRCH;
	return r == -ENOENT ? -ESRCH : r;
}
