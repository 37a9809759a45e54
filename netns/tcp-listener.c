/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/tcp-listener.h"

#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "netns/tcp-impl.h"

/* ---- settings ---- */

static void path_of(const char *name, char path[64])
{
	snprintf(path, 64, "sys/%s", name);
}

int tcp_setting(struct tcp_settings *s, const char *name, const char *value, struct ct_error *err)
{
	cleanup_free char *now = NULL;
	char path[64];
	bool known = false;
	int r;

	if (s->proc < 0)
		return 0;
	path_of(name, path);
	r = (int)io_read_file(s->proc, path, 100, &now);
	if (r < 0)
		return error_errno(err, r, "read '/proc/%s'", path);
	if (!strncmp(now, value, strlen(value)) && now[strlen(value)] == '\n')
		return 0;
	r = io_write_file(s->proc, path, value);
	if (r < 0)
		return error_errno(err, r, "write '/proc/%s'", path);
	for (size_t i = 0; i < s->n; i++)
		known |= !strcmp(s->changed[i].name, name);
	if (!known)
		s->changed[s->n++] = (struct tcp_setting){ name, take_ptr(now) };
	return 0;
}

void tcp_settings_undo(struct tcp_settings *s)
{
	while (s->n) {
		struct tcp_setting *one = &s->changed[--s->n];
		char path[64];

		path_of(one->name, path);
		io_write_file(s->proc, path, one->was);
		free(one->was);
	}
}

/* The kernel scales a window so that the largest receive buffer can be told in 16 bits. */
static int set_scale(struct tcp_settings *s, int scale, struct ct_error *err)
{
	cleanup_free char *now = NULL;
	int min, first, max, r;
	char text[64];

	if (s->proc < 0)
		return 0;
	r = (int)io_read_file(s->proc, "sys/net/ipv4/tcp_rmem", 100, &now);
	if (r < 0 || sscanf(now, "%d %d %d", &min, &first, &max) != 3)
		return error_errno(err, r < 0 ? r : -EIO, "read '/proc/sys/net/ipv4/tcp_rmem'");
	if (max >> scale >= 32768 && max >> scale < 65536)
		return 0;
	snprintf(text, sizeof(text), "%d\t%d\t%d", min, first, 65535 << scale);
	return tcp_setting(s, "net/ipv4/tcp_rmem", text, err);
}

int tcp_settings_for(struct tcp_settings *s, const struct tcp_connection *c, struct ct_error *err)
{
	int r = c->sack ? tcp_setting(s, "net/ipv4/tcp_sack", "1", err) : 0;

	if (r == 0 && c->scaling)
		r = tcp_setting(s, "net/ipv4/tcp_window_scaling", "1", err);
	return r == 0 && c->scaling ? set_scale(s, c->rcv_scale, err) : r;
}

/* ---- the socket ---- */

static int sys_bpf(int command, union bpf_attr *attr)
{
	int r = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

static int map_with(int fd)
{
	union bpf_attr make = { .map_type = BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, .key_size = 4, .value_size = 4,
				.max_entries = 1 };
	union bpf_attr put = { 0 };
	const uint32_t first = 0;
	cleanup_fd int map = sys_bpf(BPF_MAP_CREATE, &make);
	int r;

	if (map < 0)
		return map;
	put.map_fd = (uint32_t)map;
	put.key = (uintptr_t)&first;
	put.value = (uintptr_t)&fd;
	r = sys_bpf(BPF_MAP_UPDATE_ELEM, &put);
	return r < 0 ? r : take_fd(&map);
}

/* A program that chooses the only socket of the map, whoever asks (enum sk_action in <linux/bpf.h>). */
static int program_for(int map)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4, .imm = 0 },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_2, .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_3, .imm = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sk_select_reuseport },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = SK_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_SK_REUSEPORT,
				.expected_attach_type = BPF_SK_REUSEPORT_SELECT,
				.insn_cnt = sizeof(code) / sizeof(code[0]), .insns = (uintptr_t)code,
				.license = (uintptr_t) "Apache-2.0" };

	return sys_bpf(BPF_PROG_LOAD, &load);
}

/* Of all that share its port; a program of their own there is none yet, it cannot be carried. */
static int be_alone(struct tcp_listener *l, struct ct_error *err)
{
	cleanup_fd int program = -1;
	int shared = 0;
	socklen_t len = sizeof(shared);

	if (getsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &shared, &len) < 0)
		return error_errno(err, -errno, "SO_REUSEPORT");
	if (!shared)
		return 0;
	l->chosen = map_with(l->fd);
	program = l->chosen < 0 ? l->chosen : program_for(l->chosen);
	if (program < 0)
		return error_errno(err, program, "choose a socket of those that share a port (bpf)");
	if (setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)) < 0)
		return error_errno(err, -errno, "SO_ATTACH_REUSEPORT_EBPF");
	return 0;
}

static void release_others(struct tcp_listener *l)
{
	union bpf_attr forget = { .map_fd = (uint32_t)l->chosen };
	const uint32_t first = 0;

	if (l->chosen < 0)
		return;
	setsockopt(l->fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &(int){ 0 }, sizeof(int));
	/* A map goes some time after its last descriptor, and a socket is in one map at most. */
	forget.key = (uintptr_t)&first;
	sys_bpf(BPF_MAP_DELETE_ELEM, &forget);
	l->chosen = fd_close(l->chosen);
}

int tcp_waiting(int listener)
{
	struct tcp_info info = { 0 };

	/* Of a listening socket that is what it means. */
	return tcp_get(listener, TCP_INFO, &info, sizeof(info)) < 0 ? -errno : (int)info.tcpi_unacked;
}

int tcp_listener_prepare(struct tcp_listener *l, int fd, struct ct_error *err)
{
	struct tcp_info info = { 0 };
	int r;

	*l = (struct tcp_listener){ .fd = fd, .backlog = -1, .buffer = -1, .chosen = -1 };
	if (tcp_get(fd, TCP_INFO, &info, sizeof(info)) < 0)
		return error_errno(err, -errno, "TCP_INFO");
	if (info.tcpi_state != TCP_STATE_LISTENING)
		return error_set(err, -EINVAL, "a socket that connections wait at does not listen");
	/* tcpi_unacked of tcpi_sacked places are taken; there is one more. */
	if (info.tcpi_unacked > info.tcpi_sacked) {
		if (listen(fd, (int)info.tcpi_unacked) < 0)
			return error_errno(err, -errno, "listen");
		l->backlog = (int)info.tcpi_sacked;
	}
	if (tcp_get(fd, TCP_DEFER_ACCEPT, &l->defer, sizeof(l->defer)) < 0 ||
	    (l->defer && tcp_set_int(fd, TCP_DEFER_ACCEPT, 0) < 0))
		return error_errno(err, -errno, "TCP_DEFER_ACCEPT");
	r = be_alone(l, err);
	/* A filter of its own is not replaced. */
	if (r == 0)
		r = tcp_deafen(fd, err);
	l->deaf = r == 0;
	return r;
}

int tcp_listener_let_in(struct tcp_listener *l, size_t received, struct ct_error *err)
{
	/* What is received counts with the kernel's buffers around it. */
	int want = (int)(received < (1 << 28) ? received + (64 << 10) : 1 << 28), lock = 0, is = 0, r;
	socklen_t len = sizeof(lock);

	/* Who is let in has the filter that is here at that moment. */
	l->deaf = false;
	r = tcp_hear(l->fd, err);
	if (r < 0)
		return r;
	if (getsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &is, &len) < 0 ||
	    getsockopt(l->fd, SOL_SOCKET, SO_BUF_LOCK, &lock, &len) < 0)
		return error_errno(err, -errno, "SO_RCVBUF");
	if (is / 2 >= want)
		return 0;
	l->buffer = is;
	l->buffer_lock = lock;
	/* The kernel doubles what it is told. */
	if (setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &want, sizeof(want)) < 0 ||
	    setsockopt(l->fd, SOL_SOCKET, SO_BUF_LOCK, &lock, sizeof(lock)) < 0)
		return error_errno(err, -errno, "SO_RCVBUF");
	return 0;
}

void tcp_listener_undo(struct tcp_listener *l)
{
	int half = l->buffer / 2;

	if (l->fd < 0)
		return;
	if (l->deaf)
		tcp_hear(l->fd, NULL);
	release_others(l);
	if (l->buffer >= 0) {
		setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof(half));
		setsockopt(l->fd, SOL_SOCKET, SO_BUF_LOCK, &l->buffer_lock, sizeof(l->buffer_lock));
	}
	if (l->defer)
		tcp_set_int(l->fd, TCP_DEFER_ACCEPT, l->defer);
	if (l->backlog >= 0)
		listen(l->fd, l->backlog);
}
