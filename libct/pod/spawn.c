/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's side of making a pod: what has to be done from outside, in the order it can be
 * undone.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/pod/spawn.h"

/* Everything made so far; its cleanup undoes what was not handed over. */
struct making {
	struct spawn s;
	struct pod_child child;
	const char *cgroup, *link; /* NULL: not made */
};

void pod_child_release(struct pod_child *child)
{
	child->pid1_pidfd = fd_close(child->pid1_pidfd);
	child->sync_fd = fd_close(child->sync_fd);
	child->exec_error_fd = fd_close(child->exec_error_fd);
	child->master_fd = fd_close(child->master_fd);
	for (int i = 0; i < 3; i++)
		child->stream_fd[i] = fd_close(child->stream_fd[i]);
}

static void close_inner(struct spawn *s)
{
	s->sync = fd_close(s->sync);
	s->exec_error = fd_close(s->exec_error);
	s->restorer = fd_close(s->restorer);
	s->init = fd_close(s->init);
	for (int i = 0; i < 3; i++)
		s->stream[i] = fd_close(s->stream[i]);
}

static void making_release(struct making *m)
{
	close_inner(&m->s);
	if (m->child.pid1 > 0) {
		sys_pidfd_send_signal(m->child.pid1_pidfd, SIGKILL);
		/* Returns when the whole PID namespace has ended. */
		while (waitpid(m->child.pid1, NULL, __WALL) < 0 && errno == EINTR)
			;
	}
	if (m->link)
		net_detach(m->link, NULL);
	if (m->cgroup)
		cgroup_remove(m->cgroup, NULL);
	pod_child_release(&m->child);
}

/* ---- names ---- */

static int random_hex(char ret[9], struct ct_error *err)
{
	uint32_t bits;

	if (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
		return error_errno(err, -errno, "getrandom");
	snprintf(ret, 9, "%08" PRIx32, bits);
	return 0;
}

static int name_effects(struct pod *pod, struct ct_error *err)
{
	char hex[9];
	int r = random_hex(hex, err);

	if (r < 0)
		return r;
	if (!pod->state.cgroup[0])
		snprintf(pod->state.cgroup, sizeof(pod->state.cgroup), "/podckpt/%.63s-%s",
			 pod->name, hex);
	if (!pod->state.link[0] && pod->config.net == CT_NET_BRIDGE)
		snprintf(pod->state.link, sizeof(pod->state.link), "pck%s", hex);
	return 0;
}

/* ---- streams and channels ---- */

/* A pipe; the inner end lifted. `inner` is 0 where the pod reads, 1 where it writes. */
static int make_pipe(int inner, int *ret_inner, int *ret_outer)
{
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	r = spawn_lift(&ends[inner]);
	*ret_inner = ends[inner];
	*ret_outer = ends[!inner];
	return r;
}

/* Puts back what the pod's standard input held and had not read. */
static int refill_stdin(int fd, const struct pod_start *start)
{
	int room = fcntl(fd, F_GETPIPE_SZ);

	if (!start->stdin_len)
		return 0;
	if (start->stdin_len > INT_MAX)
		return -EFBIG;
	/* The writing must not wait: nobody reads yet. */
	if (room < (int)start->stdin_len && fcntl(fd, F_SETPIPE_SZ, (int)start->stdin_len) < 0)
		return -errno;
	return io_write_all(fd, start->stdin_data, start->stdin_len);
}

static int make_streams(struct making *m, struct ct_error *err)
{
	struct pod *pod = m->s.pod;
	int r = 0;

	memset(pod->state.stream_inode, 0, sizeof(pod->state.stream_inode));
	if (pod->config.tty)
		return 0; /* the terminal is of the pod's own devpts: made inside */
	for (int i = pod->config.interactive ? 0 : 1; r == 0 && i < 3; i++) {
		struct stat st;

		r = make_pipe(i > 0, &m->s.stream[i], &m->child.stream_fd[i]);
		if (r == 0 && fstat(m->s.stream[i], &st) < 0)
			r = -errno;
		if (r == 0)
			pod->state.stream_inode[i] = st.st_ino;
	}
	if (r == 0 && pod->config.interactive)
		r = refill_stdin(m->child.stream_fd[0], m->s.start);
	return r < 0 ? error_errno(err, r, "make the standard streams") : 0;
}

static int make_channels(struct making *m, struct ct_error *err)
{
	const struct pod_start *start = m->s.start;
	int sync[2], r = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) < 0)
		return error_errno(err, -errno, "socketpair");
	m->child.sync_fd = sync[0];
	m->s.sync = sync[1];
	r = spawn_lift(&m->s.sync);
	if (r == 0 && !start->restoring)
		r = make_pipe(1, &m->s.exec_error, &m->child.exec_error_fd);
	if (r == 0 && start->restoring && start->restorer_pidfd >= 0) {
		m->s.restorer = fcntl(start->restorer_pidfd, F_DUPFD_CLOEXEC, SPAWN_FIRST_FD);
		r = m->s.restorer < 0 ? -errno : 0;
	}
	return r < 0 ? error_errno(err, r, "make the channels to PID 1") : 0;
}

static int make_init(struct making *m, struct ct_error *err)
{
	int r;

	m->s.init = embedded_open(err);
	if (m->s.init < 0)
		return m->s.init;
	r = spawn_lift(&m->s.init);
	return r < 0 ? error_errno(err, r, "duplicate a descriptor") : 0;
}

/* ---- PID 1 ---- */

static void format_offset(char *buf, size_t size, const char *clock, int64_t ns)
{
	int64_t seconds = ns / 1000000000, rest = ns % 1000000000;

	if (rest < 0) {
		rest += 1000000000;
		seconds--;
	}
	snprintf(buf, size, "%s %" PRId64 " %" PRId64 "\n", clock, seconds, rest);
}

/* The offsets have to be there before the first process is: so not by a flag of clone3(). */
static int enter_time_namespace(const struct pod_start *start, struct ct_error *err)
{
	char monotonic[64], boottime[64], both[128];
	int r;

	if (unshare(CLONE_NEWTIME) < 0)
		return error_errno(err, errno == EINVAL ? -ENOSYS : -errno,
				   "make a time namespace (CONFIG_TIME_NS)");
	format_offset(monotonic, sizeof(monotonic), "monotonic", start->monotonic);
	format_offset(boottime, sizeof(boottime), "boottime", start->boottime);
	snprintf(both, sizeof(both), "%s%s", monotonic, boottime);
	r = io_write_file(AT_FDCWD, "/proc/self/timens_offsets", both);
	return r < 0 ? error_errno(err, r, "set the clocks of the time namespace") : 0;
}

static int clone_pid1(struct making *m, struct ct_error *err)
{
	cleanup_fd int cgroup = cgroup_open_v2(m->s.pod->state.cgroup, err);
	int pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD,
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup,
	};
	pid_t pid;

	if (cgroup < 0 && cgroup != -ENOENT)
		return cgroup;
	m->s.born = cgroup >= 0;
	if (m->s.born)
		args.flags |= CLONE_INTO_CGROUP;
	if (m->s.pod->config.net != CT_NET_HOST)
		args.flags |= CLONE_NEWNET;
	pid = sys_clone3(&args);
	if (pid < 0)
		return error_errno(err, pid, "make the pod's namespaces");
	if (pid == 0)
		spawn_inside(&m->s);
	m->child.pid1 = pid;
	m->child.pid1_pidfd = pidfd;
	return 0;
}

static int start_pid1(struct making *m, struct ct_error *err)
{
	cleanup_fd int own_time = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
	int r, back;

	if (own_time < 0)
		return error_errno(err, errno == ENOENT ? -ENOSYS : -errno,
				   "open '/proc/self/ns/time' (CONFIG_TIME_NS)");
	r = enter_time_namespace(m->s.start, err);
	if (r == 0)
		r = clone_pid1(m, err);
	/* Later children of the monitor are not of the pod. */
	back = sys_setns_back(own_time, CLONE_NEWTIME);
	if (back < 0 && r == 0)
		r = error_errno(err, back, "return to the host's time namespace");
	close_inner(&m->s);
	return r;
}

/* ---- what is done to PID 1 from outside ---- */

static int attach_bridge(struct making *m, int netns, struct ct_error *err)
{
	struct pod *pod = m->s.pod;
	const struct net_subnet *wanted = pod->config.subnet.prefix ? &pod->config.subnet : NULL;
	struct net_subnet subnet;
	bool nat;
	int r;

	if (!pod->config.address.bridge[0]) {
		r = net_bridge_ensure(wanted, &subnet, &nat, err);
	} else {
		pod->config.address.subnet = pod->config.subnet;
		r = net_bridge_check(&pod->config.address, err);
	}

	if (r < 0)
		return r;
	m->link = pod->state.link; /* from here on there may be something to remove */
	r = net_attach(netns, pod->state.link, &pod->config.address, err);
	return r < 0 ? r
		     : net_publish(pod->state.link, &pod->config.address, pod->config.publish,
				   pod->config.n_publish, err);
}

static int attach_network(struct making *m, struct ct_error *err)
{
	cleanup_fd int netns = -1;
	char path[64];

	if (m->s.pod->config.net == CT_NET_HOST)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)m->child.pid1);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return error_errno(err, -errno, "open '%s'", path);
	if (m->s.pod->config.net == CT_NET_NONE)
		return net_loopback_up(netns, err);
	return attach_bridge(m, netns, err);
}

/* ---- reports ---- */

/*
 * One message of PID 1's side, with the descriptor it may carry. Returns its length, 0 at the
 * end.
 */
static ssize_t receive(int sync, struct report *ret, int *ret_fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { ret, sizeof(*ret) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	/* It ended before it had read all: the kernel says so once, before what it has sent itself. */
	do
		n = recvmsg(sync, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n;
}

/*
 * Waits for a message; with the command gone without one (killed by a filter, by the OOM
 * killer) for nothing.
 */
static int wait_message(const struct pod_child *child)
{
	struct pollfd fds[2] = { { .fd = child->sync_fd, .events = POLLIN },
				 { .fd = child->exec_error_fd, .events = POLLIN } };

	for (;;) {
		if (poll(fds, 2, -1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		/* In this order: the last words are sent before the descriptors close. */
		if (fds[0].revents)
			return 0;
		if (fds[1].revents) {
			struct pollfd again = { .fd = child->sync_fd, .events = POLLIN };

			return poll(&again, 1, 0) > 0 ? 0 : -ECHILD;
		}
	}
}

static int await_ready(struct making *m, struct ct_error *err)
{
	bool command = m->s.start->restoring; /* no command then: as good as ready */
	bool init = !m->s.start->restoring && m->s.pod->config.no_init;

	while (!command || !init) {
		struct report report = { 0 };
		ssize_t n = 0;
		int fd = -1, r = wait_message(&m->child);

		if (r == 0)
			n = receive(m->child.sync_fd, &report, &fd);
		if (n == 1) {
			init = true;
		} else if (n == (ssize_t)sizeof(report) && report.kind == REPORT_MASTER && fd >= 0) {
			fd_close(m->child.master_fd);
			m->child.master_fd = fd;
		} else if (n == (ssize_t)sizeof(report) && report.kind == REPORT_READY) {
			command = true;
		} else if (n == (ssize_t)sizeof(report) && report.kind == REPORT_FAILED) {
			return error_set(err, report.error.code, "%s", report.error.text);
		} else {
			fd_close(fd);
			return error_set(err, -ECHILD,
					 "the pod's %s was killed while it was being made",
					 r < 0 ? "command" : "first process");
		}
	}
	return 0;
}

/* What cannot be done to a PID 1 that has given up is not the cause: its last words are. */
static int last_words(struct making *m, int r, struct ct_error *err)
{
	struct pollfd words = { .fd = m->child.sync_fd, .events = POLLIN };

	return poll(&words, 1, 0) > 0 ? await_ready(m, err) : r;
}

static int bring_up(struct making *m, struct ct_error *err)
{
	struct pod *pod = m->s.pod;
	int r;

	r = attach_network(m, err);
	if (r < 0)
		return last_words(m, r, err);
	r = io_write_all(m->child.sync_fd, &pod->config.address, sizeof(pod->config.address));
	if (r < 0)
		return last_words(m, error_errno(err, r, "let PID 1 go on"), err);
	return await_ready(m, err);
}

int pod_spawn(struct pod *pod, const struct pod_start *start, struct pod_child *ret,
	      struct ct_error *err)
{
	__cleanup(making_release) struct making m = {
		.s = { pod, start, false, -1, -1, { -1, -1, -1 }, -1, -1 },
		.child = { 0, -1, -1, -1, -1, { -1, -1, -1 } },
	};
	int r = name_effects(pod, err);

	if (r == 0)
		r = rootfs_prepare(pod, err);
	if (r == 0)
		r = cgroup_make(pod->state.cgroup, &pod->config, err);
	if (r == 0)
		m.cgroup = pod->state.cgroup;
	if (r == 0)
		r = make_streams(&m, err);
	if (r == 0)
		r = make_channels(&m, err);
	if (r == 0)
		r = make_init(&m, err);
	if (r == 0)
		r = start_pid1(&m, err);
	if (r == 0)
		r = bring_up(&m, err);
	if (r < 0)
		return r;
	*ret = m.child;
	m.child = (struct pod_child){ 0, -1, -1, -1, -1, { -1, -1, -1 } };
	m.cgroup = m.link = NULL;
	return 0;
}
