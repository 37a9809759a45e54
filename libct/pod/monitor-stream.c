// SPDX-License-Identifier: Apache-2.0
/*
 * The pod's standard streams: what comes out goes to the log and to every attached client, what
 * clients send goes in. A terminal is one stream, tagged 1.
 *
 * Nothing is lost for a client that reads slowly: from CLIENT_QUEUE bytes on the pod's output stays
 * in its pipe. What the log has no room for is counted, and said in the log when there is room.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/pod/log.h"
#include "libct/pod/monitor-impl.h"

/* Input on its way to the pod. */
struct input {
	struct input *next;
	struct client *from; /* gets its credit back; NULL: it has left */
	bool end;	     /* instead of bytes */
	size_t done, len;
	char data[];
};

/* ---- the log ---- */

static int log_write(struct monitor *m, uint8_t tag, const void *data, size_t len)
{
	uint8_t head[LOG_HEAD];
	struct iovec iov[] = { { head, sizeof(head) }, { (void *)data, len } };
	ssize_t n;

	log_head_put(head, tag, (uint32_t)len);
	do
		n = writev(m->log_fd, iov, 2);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)(sizeof(head) + len)) {
		m->log_size += (uint64_t)n;
		return 0;
	}
	m->log_error = n < 0 ? errno : ENOSPC;
	/* Half a record would make the rest unreadable. */
	if (n > 0 && ftruncate(m->log_fd, (off_t)m->log_size) < 0)
		m->log_error = errno;
	return -m->log_error;
}

static void log_append(struct monitor *m, uint8_t tag, const void *data, size_t len)
{
	char text[160];

	if (m->log_lost) {
		snprintf(text, sizeof(text), "podckpt: %llu bytes of output are missing in this log here: %s\n",
			 (unsigned long long)m->log_lost, strerror(m->log_error));
		if (log_write(m, 2, text, strlen(text)) >= 0)
			m->log_lost = 0;
	}
	if (m->log_lost || log_write(m, tag, data, len) < 0)
		m->log_lost += len;
}

/* An unfinished record at its end, from an image or a killed writer, would hide what follows. */
static int log_repair(struct monitor *m)
{
	int64_t size = log_whole_size(m->log_read_fd);

	if (size < 0)
		return (int)size;
	m->log_size = (uint64_t)size;
	return ftruncate(m->log_fd, size) < 0 ? -errno : 0;
}

static int log_open(struct monitor *m, struct ct_error *err)
{
	struct pod *pod = m->pod;
	int r;

	m->log_fd = openat(pod->dirfd, "log", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			   0600);
	if (m->log_fd >= 0)
		m->log_read_fd = openat(pod->dirfd, "log", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (m->log_read_fd < 0)
		return error_errno(err, -errno, "open '%s/log'", pod->dir);
	r = log_repair(m);
	if (r < 0)
		return error_errno(err, r, "'%s/log'", pod->dir);
	m->log_start = m->log_size;
	return 0;
}

/* ---- out ---- */

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int streams_open(struct monitor *m, struct ct_error *err)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int r = log_open(m, err);

	if (r < 0)
		return r;
	for (int i = 0; i < 3 && r >= 0; i++)
		if (m->child.stream_fd[i] >= 0)
			r = set_nonblocking(m->child.stream_fd[i]);
	if (r < 0)
		return error_errno(err, r, "the pod's streams");
	if (m->child.master_fd < 0)
		return 0;
	/*
	 * Told by edges: while no process of the pod has the terminal open, its master reports a
	 * hang-up all the time, but it may be opened again.
	 */
	m->master_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->master_epoll < 0 || set_nonblocking(m->child.master_fd) < 0 ||
	    epoll_ctl(m->master_epoll, EPOLL_CTL_ADD, m->child.master_fd, &event) < 0)
		return error_errno(err, -errno, "the pod's terminal");
	return 0;
}

void streams_resume(struct monitor *m)
{
	log_repair(m);
	m->master_ready = m->child.master_fd >= 0;
}

bool streams_wanted(const struct monitor *m)
{
	for (struct client *c = m->clients; c; c = c->next)
		if (c->attached && c->out.bytes >= CLIENT_QUEUE)
			return false;
	return true;
}

static int *stream_of(struct monitor *m, int tag)
{
	return m->child.master_fd >= 0 ? &m->child.master_fd : &m->child.stream_fd[tag];
}

bool stream_pump(struct monitor *m, int tag)
{
	int *fd = stream_of(m, tag);
	bool terminal = fd == &m->child.master_fd;
	struct packet *p;
	ssize_t n;

	if (*fd < 0)
		return false;
	p = packet_new(MSG_OUTPUT, tag, 0, MONITOR_DATA_MAX);
	if (!p)
		return false;
	do
		n = read(*fd, p->data, MONITOR_DATA_MAX);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		struct packet *small = realloc(p, sizeof(*p) + (size_t)n);

		p = small ? small : p;
		p->len = (size_t)n;
		log_append(m, (uint8_t)tag, p->data, p->len);
		for (struct client *c = m->clients; c; c = c->next)
			if (c->attached)
				client_push(c, p);
	} else if (terminal) {
		m->master_ready = false;
	} else if (n == 0 || errno != EAGAIN) {
		*fd = fd_close(*fd);
	}
	packet_put(p);
	return n > 0;
}

void streams_drain(struct monitor *m)
{
	while (stream_pump(m, 1))
		;
	if (m->child.master_fd < 0)
		while (stream_pump(m, 2))
			;
}

void streams_close(struct monitor *m)
{
	m->master_epoll = fd_close(m->master_epoll);
	m->child.master_fd = fd_close(m->child.master_fd);
	for (int i = 0; i < 3; i++)
		m->child.stream_fd[i] = fd_close(m->child.stream_fd[i]);
	input_clear(m);
}

void stream_resize(struct monitor *m, unsigned short rows, unsigned short columns)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };

	if (m->child.master_fd >= 0 && rows && columns)
		ioctl(m->child.master_fd, TIOCSWINSZ, &size);
}

/* ---- in ---- */

int input_fd(const struct monitor *m)
{
	if (!m->input || m->input_paused)
		return -1;
	return m->child.master_fd >= 0 ? m->child.master_fd : m->child.stream_fd[0];
}

static int input_append(struct monitor *m, struct client *c, const void *data, size_t len, bool end)
{
	struct input *in = malloc(sizeof(*in) + len);

	if (!in)
		return -ENOMEM;
	*in = (struct input){ .from = c, .end = end, .len = len };
	if (len)
		memcpy(in->data, data, len);
	*(m->input ? m->input_last : &m->input) = in;
	m->input_last = &in->next;
	if (c)
		c->input += len;
	return 0;
}

static void input_pop(struct monitor *m)
{
	struct input *in = m->input;

	m->input = in->next;
	if (in->from) {
		in->from->input -= in->len;
		if (in->len)
			client_send(in->from, MSG_CREDIT, 0, in->len);
	}
	free(in);
}

int input_push(struct monitor *m, struct client *c, const void *data, size_t len)
{
	int r;

	if (c->input + len > MONITOR_CREDIT)
		return -EPROTO;
	if (!len)
		return 0;
	r = input_append(m, c, data, len, false);
	if (r >= 0)
		input_pump(m);
	return r;
}

void input_end(struct monitor *m)
{
	if (input_append(m, NULL, NULL, 0, true) >= 0)
		input_pump(m);
}

/* The end of input: a pipe is closed, on a terminal somebody would have typed ctrl-d. */
static bool input_finish(struct monitor *m)
{
	struct termios t;
	char eof = 4;

	if (m->child.master_fd < 0) {
		m->child.stream_fd[0] = fd_close(m->child.stream_fd[0]);
		keeper_input_ended(m);
		return true;
	}
	if (!tcgetattr(m->child.master_fd, &t))
		eof = (char)t.c_cc[VEOF];
	return write(m->child.master_fd, &eof, 1) == 1 || errno != EAGAIN;
}

void input_pump(struct monitor *m)
{
	while (m->input && !m->input_paused) {
		struct input *in = m->input;
		int fd = m->child.master_fd >= 0 ? m->child.master_fd : m->child.stream_fd[0];
		ssize_t n;

		if (in->end) {
			if (!input_finish(m))
				return;
			input_pop(m);
			continue;
		}
		n = fd < 0 ? -1 : write(fd, in->data + in->done, in->len - in->done);
		if (n < 0 && fd >= 0 && errno == EINTR)
			continue;
		if (n < 0 && fd >= 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			/* Nobody will ever read from the pipe; a terminal may be opened again. */
			if (m->child.stream_fd[0] >= 0) {
				m->child.stream_fd[0] = fd_close(m->child.stream_fd[0]);
				keeper_input_ended(m);
			}
			input_pop(m);
			continue;
		}
		in->done += (size_t)n;
		if (in->done == in->len)
			input_pop(m);
	}
}

void input_forget(struct monitor *m, const struct client *c)
{
	for (struct input *in = m->input; in; in = in->next)
		if (in->from == c)
			in->from = NULL;
}

void input_clear(struct monitor *m)
{
	while (m->input)
		input_pop(m);
}

void input_report(struct monitor *m, struct client *c)
{
	for (struct input *in = m->input; in; in = in->next) {
		struct packet *p = packet_new(MSG_INPUT, 0, 0, in->len - in->done);

		if (!p) {
			c->hung_up = true; /* part of it would be worse than none */
			return;
		}
		memcpy(p->data, in->data + in->done, p->len);
		client_push(c, p);
		packet_put(p);
	}
}
