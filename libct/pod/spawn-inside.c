/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of a pod before it becomes podckpt-init, and the command before it is executed.
 *
 * Everything that can fail is done before the pod is released and reported in words; afterwards
 * only the execve(2) of the command is left.
 */
#include <fcntl.h>
#include <linux/keyctl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/pod/spawn.h"

#define CODE_GIVEN_UP 125
#define CODE_NOT_EXECUTABLE 126

static void send_report(int sync, enum report_kind kind, const struct ct_error *error, int fd)
{
	struct report report = { .kind = kind };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { &report, sizeof(report) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (error)
		report.error = *error;
	if (fd < 0) { /* a seccomp profile may know of nothing but write(2) */
		while (write(sync, &report, sizeof(report)) < 0 && errno == EINTR)
			;
		return;
	}
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(int));
	while (sendmsg(sync, &msg, 0) < 0 && errno == EINTR)
		;
}

static void __attribute__((noreturn)) fail(const struct spawn *s, const struct ct_error *error)
{
	send_report(s->sync, REPORT_FAILED, error, -1);
	_exit(CODE_GIVEN_UP);
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/*
 * What the monitor has open is not for the pod: our copies of its ends of our channels would hide
 * its death from us, and until the command is executed we would keep its locks and connections.
 */
static void close_others(const struct spawn *s)
{
	int keep[] = { s->sync,	     s->exec_error, s->stream[0], s->stream[1],
		       s->stream[2], s->restorer,   s->init };
	size_t n = sizeof(keep) / sizeof(*keep);
	unsigned int next = 0;
	int fd;

	qsort(keep, n, sizeof(int), compare);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < 0)
			continue;
		if ((unsigned int)keep[i] > next)
			close_range(next, (unsigned int)keep[i] - 1, 0);
		next = (unsigned int)keep[i] + 1;
	}
	close_range(next, ~0U, 0);
	/* The places of the streams are held, so that nothing else gets there meanwhile. */
	do
		fd = open("/", O_PATH | O_CLOEXEC);
	while (fd >= 0 && fd < 2);
}

/* As a program expects them from a login, whatever podckpt was started with. */
static void reset_process(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	setsid();
	/* Keys of the host's session are not for the pod. Kernels without keys have none. */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

static int place(int fd, int at, struct ct_error *err)
{
	return dup2(fd, at) < 0 ? error_errno(err, -errno, "place descriptor %d", at) : 0;
}

/*
 * The pod's own terminal is the first of its devpts, so that it has the same name in every
 * restore.
 */
static int open_terminal(const struct spawn *s, struct ct_error *err)
{
	const struct pod_config *config = &s->pod->config;
	cleanup_fd int dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int master = -1, slave = -1;
	int r = dev < 0 ? error_errno(err, -errno, "open '/dev' of the pod")
			: pty_open(dev, config->rows, config->columns, &master, &slave, err);

	/* 0, 1 and 2 were free: what was opened now may stand there. */
	if (r == 0 && (spawn_lift(&dev) < 0 || spawn_lift(&master) < 0 || spawn_lift(&slave) < 0))
		r = error_errno(err, -errno, "move the terminal's descriptors");
	for (int i = 0; r == 0 && i < 3; i++)
		r = place(slave, i, err);
	if (r == 0)
		send_report(s->sync, REPORT_MASTER, NULL, master);
	return r;
}

static int open_streams(const struct spawn *s, struct ct_error *err)
{
	cleanup_fd int null = -1;
	int r = 0;

	if (s->pod->config.tty)
		return open_terminal(s, err);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return error_errno(err, -errno, "open '/dev/null' of the pod");
	for (int i = 0; r == 0 && i < 3; i++)
		r = place(s->stream[i] >= 0 ? s->stream[i] : null, i, err);
	return r;
}

/* ---- the command ---- */

/* The streams are new and the pod's: its user may open them again (/dev/stdout). */
static int own_streams(const struct pod_config *config, struct ct_error *err)
{
	struct user user;
	int r = user_find(config->user, &user, err);

	if (r < 0)
		return r;
	for (int i = 0; i < 3; i++) {
		struct stat st;

		if (fstat(i, &st) < 0 || (!S_ISFIFO(st.st_mode) && !isatty(i)))
			continue;
		if (fchown(i, user.uid, (gid_t)-1) < 0)
			r = error_errno(err, -errno, "give stream %d to user '%s'", i, config->user);
	}
	user_release(&user);
	return r;
}

/*
 * The command, from its own process (or PID 1's) to its execution. `go` is where it waits, for
 * `len` bytes.
 */
static void __attribute__((noreturn)) run_command(const struct spawn *s, int go, size_t len)
{
	const struct pod_config *config = &s->pod->config;
	struct pod_command command = { config->command, config->env, config->workdir, config->user,
				       -1 };
	struct ct_error error = { 0 };
	int code;

	if (config->tty && ioctl(0, TIOCSCTTY, 0) < 0) {
		error_errno(&error, -errno, "make the terminal the controlling one");
		fail(s, &error);
	}
	if (own_streams(config, &error) < 0 || command_prepare(config, &command, &error) < 0)
		fail(s, &error);
	send_report(s->sync, REPORT_READY, NULL, -1);
	code = -command_execute(&command, go, len, s->exec_error);
	while (write(s->exec_error, &code, sizeof(code)) < 0 && errno == EINTR)
		;
	_exit(CODE_NOT_EXECUTABLE);
}

/* ---- PID 1 ---- */

static int fork_command(const struct spawn *s, int *ret_go, struct ct_error *err)
{
	int go[2];
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		return error_errno(err, -errno, "pipe");
	pid = fork();
	if (pid < 0)
		return error_errno(err, -errno, "fork the command");
	if (pid == 0) {
		close(go[1]); /* else it would wait for itself */
		setsid();
		run_command(s, go[0], 1);
	}
	close(go[0]);
	*ret_go = spawn_lift(&go[1]) < 0 ? -1 : go[1];
	return *ret_go < 0 ? error_errno(err, -errno, "duplicate a descriptor") : 0;
}

static void __attribute__((noreturn)) become_init(const struct spawn *s, int go)
{
	char *const argv[] = { (char *)"podckpt-init", NULL }, *const env[] = { NULL };
	struct ct_error error = { 0 };
	int r = 0;

	close_range(3, POD_GO_FD, 0);
	if (s->restorer >= 0)
		r = place(s->restorer, POD_RESTORER_FD, &error);
	if (r == 0 && go >= 0)
		r = place(go, POD_GO_FD, &error);
	if (r == 0)
		r = place(s->sync, POD_SYNC_FD, &error);
	if (r < 0)
		fail(s, &error);
	execveat(s->init, "", argv, env, AT_EMPTY_PATH);
	error_errno(&error, -errno, "execute podckpt-init");
	fail(s, &error);
}

/* The monitor finds an address, which PID 1's copy of the configuration does not have. */
static void await_network(void *spawn)
{
	const struct spawn *s = spawn;
	struct net_config *address = &s->pod->config.address;
	ssize_t n;

	do
		n = read(s->sync, address, sizeof(*address));
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(*address))
		_exit(CODE_GIVEN_UP);
}

static int set_up(const struct spawn *s, struct ct_error *err)
{
	const struct pod_config *config = &s->pod->config;
	int r;

	r = cgroup_enter(s->pod->state.cgroup, s->born, err);
	if (r < 0)
		return r;
	/* Their place becomes the root that the pod sees. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		return error_errno(err, -errno, "make a cgroup namespace");
	if (sethostname(config->hostname, strlen(config->hostname)) < 0)
		return error_errno(err, -errno, "set the host name '%s'", config->hostname);
	r = rootfs_enter(s->pod, s->start, await_network, (void *)s, err);
	return r < 0 ? r : open_streams(s, err);
}

void spawn_inside(const struct spawn *s)
{
	struct ct_error error = { 0 };
	int go = -1;

	close_others(s);
	reset_process();
	if (set_up(s, &error) < 0)
		fail(s, &error);
	if (!s->start->restoring && s->pod->config.no_init)
		run_command(s, s->sync, sizeof(struct init_go));
	if (!s->start->restoring && fork_command(s, &go, &error) < 0)
		fail(s, &error);
	become_init(s, go);
}
