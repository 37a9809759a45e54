/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of SOL_SOCKET and the owner of a socket. Options are set only where they differ from
 * what the new socket has already: some have side effects, and the image of a plain socket needs no
 * privilege and no module.
 */
#include "libct/kind/sock.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "libct/base/cleanup.h"
#include "netns/tcp.h"

/* Newer than the C library's headers. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#ifndef SO_TIMESTAMP_NEW
#define SO_TIMESTAMP_NEW 63
#define SO_TIMESTAMPNS_NEW 64
#define SO_TIMESTAMPING_NEW 65
#endif

#define FILTER_MAX 4096 /* instructions: BPF_MAXINSNS */

static const struct sock_option options[] = {
	{ "debug", SOL_SOCKET, SO_DEBUG },
	{ "reuse_address", SOL_SOCKET, SO_REUSEADDR },
	{ "reuse_port", SOL_SOCKET, SO_REUSEPORT },
	{ "keep_alive", SOL_SOCKET, SO_KEEPALIVE },
	{ "broadcast", SOL_SOCKET, SO_BROADCAST },
	{ "oob_inline", SOL_SOCKET, SO_OOBINLINE },
	{ "dont_route", SOL_SOCKET, SO_DONTROUTE },
	{ "priority", SOL_SOCKET, SO_PRIORITY },
	{ "mark", SOL_SOCKET, SO_MARK },
	/* Before the buffers: TCP grows them with it. */
	{ "receive_low", SOL_SOCKET, SO_RCVLOWAT },
	{ "pass_credentials", SOL_SOCKET, SO_PASSCRED },
	{ "pass_security", SOL_SOCKET, SO_PASSSEC },
	{ "pass_pidfd", SOL_SOCKET, SO_PASSPIDFD },
	{ "pass_rights", SOL_SOCKET, SO_PASSRIGHTS },
	{ "no_check", SOL_SOCKET, SO_NO_CHECK },
	{ "overflow_count", SOL_SOCKET, SO_RXQ_OVFL },
	{ "wifi_status", SOL_SOCKET, SO_WIFI_STATUS },
	{ "no_fcs", SOL_SOCKET, SO_NOFCS },
	{ "select_error_queue", SOL_SOCKET, SO_SELECT_ERR_QUEUE },
	{ "busy_poll", SOL_SOCKET, SO_BUSY_POLL },
	{ "prefer_busy_poll", SOL_SOCKET, SO_PREFER_BUSY_POLL },
	{ "zero_copy", SOL_SOCKET, SO_ZEROCOPY },
	{ "rehash", SOL_SOCKET, SO_TXREHASH },
	{ "receive_mark", SOL_SOCKET, SO_RCVMARK },
	{ "receive_priority", SOL_SOCKET, SO_RCVPRIORITY },
	{ "timestamp_new", SOL_SOCKET, SO_TIMESTAMP_NEW },
	{ "timestamp", SOL_SOCKET, SO_TIMESTAMP },
	{ "timestamp_ns_new", SOL_SOCKET, SO_TIMESTAMPNS_NEW },
	{ "timestamp_ns", SOL_SOCKET, SO_TIMESTAMPNS },
	{ "timestamping_new", SOL_SOCKET, SO_TIMESTAMPING_NEW },
	{ "timestamping", SOL_SOCKET, SO_TIMESTAMPING },
	{ "peek_offset", SOL_SOCKET, SO_PEEK_OFF },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

int sock_int(int fd, int level, int number, int otherwise)
{
	int v = 0;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, number, &v, &len) < 0 || len != sizeof(v) ? otherwise : v;
}

bool sock_is(const struct fd_view *v, int family)
{
	if (!S_ISSOCK(v->st.st_mode) || v->flags & O_PATH)
		return false;
	return family == AF_UNSPEC || sock_int(v->dup, SOL_SOCKET, SO_DOMAIN, -1) == family;
}

unsigned int sock_queued(int fd)
{
	uint32_t mem[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(mem);

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len) < 0 ? 0 : mem[SK_MEMINFO_RMEM_ALLOC];
}

void sock_options_put(struct dump *d, int fd, const struct sock_option *table, size_t n, struct node *to)
{
	for (size_t i = 0; i < n && !d->preflight; i++) {
		int v = 0;
		socklen_t len = sizeof(v);

		if (getsockopt(fd, table[i].level, table[i].number, &v, &len) < 0)
			continue;
		/* Some answer with one byte. */
		node_put_i64(to, table[i].name, len == 1 ? *(unsigned char *)&v : v);
	}
}

int sock_options_get(int fd, const struct sock_option *table, size_t n, const struct node *from,
		     struct ct_error *err)
{
	for (size_t i = 0; i < n; i++) {
		int v = 0, want;
		socklen_t len = sizeof(v);

		if (!node_has(from, table[i].name))
			continue;
		want = (int)node_i64(from, table[i].name, INT32_MIN, INT32_MAX);
		if (getsockopt(fd, table[i].level, table[i].number, &v, &len) == 0 &&
		    (len == 1 ? *(unsigned char *)&v : v) == want)
			continue;
		if (setsockopt(fd, table[i].level, table[i].number, &want, sizeof(want)) < 0)
			return error_errno(err, -errno, "set the option '%s' to %d", table[i].name, want);
	}
	return 0;
}

static void put_time(int fd, int number, const char *name, struct node *to)
{
	struct timeval t = { 0 };
	socklen_t len = sizeof(t);

	if (getsockopt(fd, SOL_SOCKET, number, &t, &len) == 0)
		node_put_i64(to, name, (int64_t)t.tv_sec * 1000000 + t.tv_usec);
}

static int get_time(int fd, int number, const char *name, const struct node *from,
		    struct ct_error *err)
{
	int64_t us = node_has(from, name) ? node_i64(from, name, 0, INT64_MAX) : 0;
	struct timeval t = { us / 1000000, us % 1000000 };

	if (us && setsockopt(fd, SOL_SOCKET, number, &t, sizeof(t)) < 0)
		return error_errno(err, -errno, "set the option '%s'", name);
	return 0;
}

/* Those that are no plain numbers. */
static void put_structs(int fd, struct node *to)
{
	char device[IFNAMSIZ] = "";
	socklen_t len = sizeof(device);
	struct linger linger = { 0 };
	uint64_t rate = UINT64_MAX;
	int txtime[2] = { 0 };

	if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &len) == 0 && device[0])
		node_put_str(to, "device", device);
	len = sizeof(linger);
	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff)
		node_put_i64(to, "linger", linger.l_linger);
	len = sizeof(rate);
	if (getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &len) == 0 && rate != UINT64_MAX &&
	    len == sizeof(rate))
		node_put_u64(to, "max_pacing_rate", rate);
	len = sizeof(txtime);
	if (getsockopt(fd, SOL_SOCKET, SO_TXTIME, txtime, &len) == 0 && (txtime[0] || txtime[1])) {
		node_put_i64(to, "send_time_clock", txtime[0]);
		node_put_hex(to, "send_time_flags", (uint64_t)txtime[1]);
	}
	put_time(fd, SO_RCVTIMEO, "receive_timeout", to);
	put_time(fd, SO_SNDTIMEO, "send_timeout", to);
	/* Even, as they can be set: the kernel's own may not be. */
	node_put_i64(to, "receive_buffer", sock_int(fd, SOL_SOCKET, SO_RCVBUF, 0) & ~1);
	node_put_i64(to, "send_buffer", sock_int(fd, SOL_SOCKET, SO_SNDBUF, 0) & ~1);
	node_put_i64(to, "buffer_lock", sock_int(fd, SOL_SOCKET, SO_BUF_LOCK, 0));
}

int sock_get_structs(int fd, const struct node *from, struct ct_error *err)
{
	if (node_has(from, "device")) {
		const char *device = node_str(from, "device");

		if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0)
			return error_errno(err, -errno, "bind to the link '%s'", device);
	}
	if (node_has(from, "linger")) {
		struct linger linger = { 1, (int)node_i64(from, "linger", INT32_MIN, INT32_MAX) };

		if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
			return error_errno(err, -errno, "set the option 'linger'");
	}
	if (node_has(from, "max_pacing_rate")) {
		uint64_t rate = node_u64(from, "max_pacing_rate", UINT64_MAX);

		if (setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)) < 0)
			return error_errno(err, -errno, "set the option 'max_pacing_rate'");
	}
	if (node_has(from, "send_time_clock")) {
		int txtime[2] = { (int)node_i64(from, "send_time_clock", 0, 64),
				  (int)node_hex(from, "send_time_flags") };

		if (setsockopt(fd, SOL_SOCKET, SO_TXTIME, txtime, sizeof(txtime)) < 0)
			return error_errno(err, -errno, "set the option 'send_time'");
	}
	return 0;
}

/* The kernel doubles what it is given and notes that it was given. */
int sock_set_buffer(int fd, int number, int want, struct ct_error *err)
{
	bool receive = number == SO_RCVBUF;
	const char *name = receive ? "receive_buffer" : "send_buffer";
	int half = want / 2;

	if (setsockopt(fd, SOL_SOCKET, receive ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &half, sizeof(half)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, number, &half, sizeof(half)) < 0)
		return error_errno(err, -errno, "set the option '%s'", name);
	/* An odd number is one less: it was the kernel's own. */
	if (sock_int(fd, SOL_SOCKET, number, -1) < (want & ~1))
		return error_set(err, -EPERM,
				 "a %s of %d bytes is more than this pod may have; raise net.core.%cmem_max",
				 name, want, receive ? 'r' : 'w');
	return 0;
}

static int get_buffers(const struct node *n, int fd, struct ct_error *err)
{
	const struct node *from = node_object(n, "options");
	static const struct {
		const char *name;
		int number;
	} buffers[] = {
		{ "receive_buffer", SO_RCVBUF },
		{ "send_buffer", SO_SNDBUF },
	};
	int lock = (int)node_i64(from, "buffer_lock", 0, 3);

	for (size_t i = 0; i < 2; i++) {
		int want = (int)node_i64(from, buffers[i].name, 0, INT32_MAX), r;

		if (sock_int(fd, SOL_SOCKET, buffers[i].number, -1) == want)
			continue;
		r = sock_set_buffer(fd, buffers[i].number, want, err);
		if (r < 0)
			return r;
	}
	if (sock_int(fd, SOL_SOCKET, SO_BUF_LOCK, lock) != lock &&
	    setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, sizeof(lock)) < 0)
		return error_errno(err, -errno, "set the option 'buffer_lock'");
	return 0;
}

/* man 7 socket, SO_ATTACH_FILTER. An eBPF program has no text to be read. */
static void put_filter(struct dump *d, const struct fd_view *v, struct node *to)
{
	struct sock_filter *program;
	socklen_t n = 0;

	/* Of a restored connection that has not been let go yet. */
	if (tcp_is_deaf(v->dup))
		return;
	if (getsockopt(v->dup, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0) {
		if (errno == EACCES)
			dump_refuse_fd(d, v, "an eBPF program on a socket is not carried; detach it first");
		return;
	}
	if (!n)
		return;
	program = calloc(n, sizeof(*program));
	if (program && getsockopt(v->dup, SOL_SOCKET, SO_GET_FILTER, program, &n) == 0)
		node_put_blob(to, "filter", program, n * sizeof(*program));
	else
		dump_refuse_fd(d, v, "its filter cannot be read");
	free(program);
	node_put_bool(to, "filter_locked", sock_int(v->dup, SOL_SOCKET, SO_LOCK_FILTER, 0));
}

int sock_filter_get(const struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	__cleanup(sock_limit_end) struct sock_limit limit = { 0 };
	const struct node *from = node_object(n, "options");
	struct sock_fprog program;
	size_t len;
	int one = 1, e;

	if (!node_has(from, "filter"))
		return 0;
	e = sock_limit(r, &limit, err);
	if (e < 0)
		return e;
	program.filter = (struct sock_filter *)node_blob(from, "filter", &len);
	program.len = (unsigned short)(len / sizeof(struct sock_filter));
	if (len % sizeof(struct sock_filter) || len / sizeof(struct sock_filter) > FILTER_MAX)
		return error_set(err, -EBADMSG, "a filter of %zu bytes", len);
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return error_errno(err, -errno, "attach its filter");
	if (node_bool(from, "filter_locked") &&
	    setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)) < 0)
		return error_errno(err, -errno, "lock its filter");
	return 0;
}

struct node *sock_put(struct dump *d, const struct fd_view *v, struct node *n)
{
	struct node *to;

	node_put_i64(n, "type", sock_int(v->dup, SOL_SOCKET, SO_TYPE, 0));
	node_put_i64(n, "protocol", sock_int(v->dup, SOL_SOCKET, SO_PROTOCOL, 0));
	node_put_u64(n, "uid", v->st.st_uid);
	node_put_u64(n, "gid", v->st.st_gid);
	node_put_hex(n, "mode", v->st.st_mode & 07777);
	to = node_put_object(n, "options");
	sock_options_put(d, v->dup, options, N_OPTIONS, to);
	if (!d->preflight)
		put_structs(v->dup, to);
	put_filter(d, v, to);
	if (sock_int(v->dup, SOL_SOCKET, SO_TIMESTAMPING, 0) & SOF_TIMESTAMPING_OPT_ID)
		dump_refuse_fd(d, v, "the numbers of its transmit timestamps are not carried; "
				     "switch SOF_TIMESTAMPING_OPT_ID off first");
	return to;
}

int sock_own(const struct node *n, int fd, struct ct_error *err)
{
	uid_t uid = (uid_t)node_u64(n, "uid", UINT32_MAX);
	gid_t gid = (gid_t)node_u64(n, "gid", UINT32_MAX);
	mode_t mode = (mode_t)node_hex(n, "mode") & 07777;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(err, -errno, "fstat");
	if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) < 0)
		return error_errno(err, -errno, "fchown");
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0)
		return error_errno(err, -errno, "fchmod");
	return 0;
}

int sock_make(const struct node *n, int family, int *ret_fd, struct ct_error *err)
{
	int type = (int)node_i64(n, "type", 1, 10), protocol = (int)node_i64(n, "protocol", 0, 262);
	cleanup_fd int fd = socket(family, type | SOCK_CLOEXEC, protocol);
	int e;

	if (fd < 0)
		return error_errno(err, -errno, "socket");
	e = sock_own(n, fd, err);
	if (e == 0)
		*ret_fd = take_fd(&fd);
	return e;
}

int sock_get_unsized(const struct node *n, int fd, struct ct_error *err)
{
	const struct node *from = node_object(n, "options");
	int e = sock_options_get(fd, options, N_OPTIONS, from, err);

	if (e == 0)
		e = sock_get_structs(fd, from, err);
	if (e == 0)
		e = get_time(fd, SO_RCVTIMEO, "receive_timeout", from, err);
	return e < 0 ? e : get_time(fd, SO_SNDTIMEO, "send_timeout", from, err);
}

int sock_get_passes(const struct node *n, int fd, struct ct_error *err)
{
	const struct node *from = node_object(n, "options");
	int e = 0;

	for (size_t i = 0; e == 0 && i < N_OPTIONS; i++)
		if (!strncmp(options[i].name, "pass_", strlen("pass_")))
			e = sock_options_get(fd, &options[i], 1, from, err);
	return e;
}

int sock_get(const struct node *n, int fd, struct ct_error *err)
{
	int e = sock_get_unsized(n, fd, err);

	return e < 0 ? e : get_buffers(n, fd, err);
}
