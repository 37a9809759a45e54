/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three calls that note who made them (SO_PEERCRED): socketpair(2), listen(2) and connect(2). The process
 * of the pod that made them once makes them again, by a tape, with the ids that it had then.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"
#include "libct/kind/unix.h"
#include "libct/restore-steps.h"

/* Numbers of descriptors in the process, which has five by now. */
#define SOCKET_FD 100
#define FILE_FD 101
#define FILE_LINK "/proc/self/fd/101"

static int executor(struct restore *r, pid_t vpid, struct restore_process **ret, struct ct_error *err)
{
	*ret = restore_by_vpid(r, vpid);
	return *ret ? 0 : restore_stand_in(r, vpid, ret, err);
}

int unix_host_pid(struct restore *r, pid_t vpid, pid_t *ret, struct ct_error *err)
{
	struct restore_process *p;
	int e;

	if (!vpid) {
		*ret = getpid(); /* outside the pod too */
		return 0;
	}
	e = executor(r, vpid, &p, err);
	if (e == 0)
		*ret = p->pid;
	return e;
}

/* ---- by a process of the pod ---- */

static int begin(struct restore_process *p, const struct unix_who *who, struct ct_error *err)
{
	struct tape *tape = &p->tape;
	int e = tape_need(tape, 24, who->n_groups * sizeof(gid_t) + 512, err);

	if (e < 0)
		return e;
	if (tape->data_len + who->n_groups * sizeof(gid_t) + 512 > tape->data_max)
		return error_set(err, -EBADMSG, "%zu groups", who->n_groups);
	return 0;
}

static void become(struct tape *tape, const struct unix_who *who)
{
	tape_must(tape, "setgroups", SYS_setgroups, who->n_groups,
		  who->n_groups ? tape_data(tape, who->groups, who->n_groups * sizeof(gid_t)) : 0, 0, 0,
		  0, 0);
	tape_must(tape, "setresgid", SYS_setresgid, UINT32_MAX, who->gid, UINT32_MAX, 0, 0, 0);
	tape_must(tape, "setresuid", SYS_setresuid, UINT32_MAX, who->uid, UINT32_MAX, 0, 0, 0);
}

static void become_root(struct tape *tape)
{
	tape_must(tape, "setresuid", SYS_setresuid, UINT32_MAX, 0, UINT32_MAX, 0, 0, 0);
	tape_must(tape, "setresgid", SYS_setresgid, UINT32_MAX, 0, UINT32_MAX, 0, 0, 0);
	tape_must(tape, "setgroups", SYS_setgroups, 0, 0, 0, 0, 0, 0);
}

static int pair_by(struct restore_process *p, const struct unix_who *who, int type, int protocol,
		   int ret[2], struct ct_error *err)
{
	struct tape *tape = &p->tape;
	uint64_t room;
	int e = begin(p, who, err), theirs[2];
	cleanup_fd int a = -1;

	if (e < 0)
		return e;
	room = tape_room(tape, sizeof(theirs));
	become(tape, who);
	tape_must(tape, "socketpair", SYS_socketpair, AF_UNIX, (uint64_t)type | SOCK_CLOEXEC,
		  (uint64_t)protocol, room, 0, 0);
	become_root(tape);
	e = restore_run_keep(p, err);
	if (e == 0)
		memcpy(theirs, tape_at(tape, room), sizeof(theirs));
	tape_clear(tape);
	if (e < 0)
		return e;
	a = sys_pidfd_getfd(p->pidfd, theirs[0]);
	ret[1] = a < 0 ? -1 : sys_pidfd_getfd(p->pidfd, theirs[1]);
	if (a < 0 || ret[1] < 0)
		return error_errno(err, a < 0 ? a : ret[1], "pidfd_getfd");
	ret[0] = take_fd(&a);
	tape_must(tape, "close", SYS_close, (uint64_t)theirs[0], 0, 0, 0, 0, 0);
	tape_must(tape, "close", SYS_close, (uint64_t)theirs[1], 0, 0, 0, 0, 0);
	return restore_run(p, err);
}

static int listen_by(struct restore_process *p, const struct unix_who *who, int fd, int backlog,
		     struct ct_error *err)
{
	struct tape *tape = &p->tape;
	int e = begin(p, who, err);

	if (e < 0)
		return e;
	restore_tape_fd(p, tape, fd, SOCKET_FD, true);
	become(tape, who);
	tape_must(tape, "listen", SYS_listen, SOCKET_FD, (uint64_t)backlog, 0, 0, 0, 0);
	become_root(tape);
	tape_must(tape, "close", SYS_close, SOCKET_FD, 0, 0, 0, 0, 0);
	return restore_run(p, err);
}

static int connect_by(struct restore_process *p, const struct unix_who *who, int fd,
		      const struct sockaddr_un *address, socklen_t len, int file, struct ct_error *err)
{
	struct sockaddr_un a = *address;
	struct tape *tape = &p->tape;
	int e = begin(p, who, err);

	if (e < 0)
		return e;
	restore_tape_fd(p, tape, fd, SOCKET_FD, true);
	if (file >= 0) {
		restore_tape_fd(p, tape, file, FILE_FD, true);
		strcpy(a.sun_path, FILE_LINK);
		len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(FILE_LINK));
	}
	become(tape, who);
	tape_must(tape, "connect", SYS_connect, SOCKET_FD, tape_data(tape, &a, len), len, 0, 0, 0);
	become_root(tape);
	tape_must(tape, "close", SYS_close, SOCKET_FD, 0, 0, 0, 0, 0);
	if (file >= 0)
		tape_must(tape, "close", SYS_close, FILE_FD, 0, 0, 0, 0, 0);
	return restore_run(p, err);
}

/* ---- by us ---- */

struct act {
	const struct unix_who *who;
	int what; /* SYS_socketpair, SYS_listen, SYS_connect */
	int type, protocol; /* of a pair */
	int fd, backlog;
	const struct sockaddr_un *address;
	socklen_t len;
	int pair[2];
};

static int act(struct act *a)
{
	int r;

	if (a->what == SYS_socketpair)
		r = socketpair(AF_UNIX, a->type | SOCK_CLOEXEC, a->protocol, a->pair);
	else if (a->what == SYS_listen)
		r = listen(a->fd, a->backlog);
	else
		r = connect(a->fd, (const struct sockaddr *)a->address, a->len);
	return r < 0 ? -errno : 0;
}

/*
 * For one that was outside the pod: by a child of ours that has its ids and our descriptors. The numbers of
 * a pair come back through a pipe.
 */
static int act_as(struct act *a)
{
	struct clone_args args = { .flags = CLONE_FILES };
	const struct unix_who *who = a->who;
	struct {
		int error, pair[2];
	} answer = { -EIO, { -1, -1 } };
	int channel[2];
	pid_t child;

	if (pipe2(channel, O_CLOEXEC) < 0)
		return -errno;
	child = sys_clone3(&args);
	if (child == 0) {
		/* Raw calls: the C library would ask threads that do not exist here. */
		if (syscall(SYS_setgroups, who->n_groups, who->groups) < 0 ||
		    syscall(SYS_setresgid, -1, who->gid, -1) < 0 ||
		    syscall(SYS_setresuid, -1, who->uid, -1) < 0)
			answer.error = -errno;
		else
			answer.error = act(a);
		memcpy(answer.pair, a->pair, sizeof(a->pair));
		_exit(write(channel[1], &answer, sizeof(answer)) != sizeof(answer));
	}
	if (child > 0) {
		while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
			;
		if (read(channel[0], &answer, sizeof(answer)) != sizeof(answer))
			answer.error = -EIO;
		memcpy(a->pair, answer.pair, sizeof(a->pair));
	} else {
		answer.error = child;
	}
	fd_close(channel[0]);
	fd_close(channel[1]);
	return answer.error;
}

static int act_here(struct act *a, const char *what, struct ct_error *err)
{
	int e = a->who->known ? act_as(a) : act(a);

	return e < 0 ? error_errno(err, e, "%s", what) : 0;
}

/* ---- */

int unix_pair(struct restore *r, const struct unix_who *who, int type, int protocol, int ret[2],
	      struct ct_error *err)
{
	struct act a = { .who = who, .what = SYS_socketpair, .type = type, .protocol = protocol,
			 .pair = { -1, -1 } };
	struct restore_process *p;
	int e;

	if (who->known && who->vpid) {
		e = executor(r, who->vpid, &p, err);
		return e < 0 ? e : pair_by(p, who, type, protocol, ret, err);
	}
	e = act_here(&a, "socketpair", err);
	memcpy(ret, a.pair, sizeof(a.pair));
	return e;
}

int unix_listen(struct restore *r, const struct unix_who *who, int fd, int backlog,
		struct ct_error *err)
{
	struct act a = { .who = who, .what = SYS_listen, .fd = fd, .backlog = backlog };
	struct restore_process *p;
	int e;

	if (who->known && who->vpid) {
		e = executor(r, who->vpid, &p, err);
		return e < 0 ? e : listen_by(p, who, fd, backlog, err);
	}
	return act_here(&a, "listen", err);
}

int unix_reach(int fd, struct sockaddr_un *ret, socklen_t *ret_len, int *ret_file, struct ct_error *err)
{
	struct sockaddr_storage a = { 0 };
	struct unix_name name;

	*ret_file = -1;
	*ret_len = sizeof(a);
	if (getsockname(fd, (struct sockaddr *)&a, ret_len) < 0)
		return error_errno(err, -errno, "getsockname");
	unix_name_from((struct sockaddr_un *)&a, *ret_len, &name);
	*ret_len = unix_name_to(&name, ret);
	if (!name.len)
		return error_set(err, -EBADMSG, "a connection to a socket without a name");
	if (!name.bytes[0])
		return 0;
	*ret_file = unix_open_file(fd);
	if (*ret_file < 0)
		return error_errno(err, *ret_file, "SIOCUNIXFILE");
	snprintf(ret->sun_path, sizeof(ret->sun_path), "%d/fd/%d", getpid(), *ret_file);
	*ret_len = sizeof(*ret);
	return 0;
}

int unix_connect(struct restore *r, const struct unix_who *who, int fd, int to, struct ct_error *err)
{
	struct sockaddr_un address;
	struct act a = { .who = who, .what = SYS_connect, .fd = fd, .address = &address };
	struct restore_process *p;
	cleanup_fd int file = -1;
	int e = unix_reach(to, &address, &a.len, &file, err);

	if (e < 0)
		return e;
	if (who->known && who->vpid) {
		e = executor(r, who->vpid, &p, err);
		return e < 0 ? e : connect_by(p, who, fd, &address, a.len, file, err);
	}
	return act_here(&a, "connect", err);
}
