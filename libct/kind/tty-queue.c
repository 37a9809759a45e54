/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is queued in a pseudo-terminal can only be read by taking it out. TIOCSTI puts it back: it
 * feeds a character to the line discipline as if it had come from the other side.
 *
 * For cooked input every character is sent with VLNEXT in front, which makes it an ordinary one,
 * and with every other special character but VEOF disabled, no echo and no signals.
 */
#include "libct/kind/tty.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "libct/base/cleanup.h"
#include "libct/task/helper.h"

static bool is_cooked(const struct termios2 *t)
{
	return t->c_lflag & ICANON && !(t->c_lflag & EXTPROC);
}

static short poll_in(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

static int queued(int fd)
{
	int n = 0;

	return ioctl(fd, FIONREAD, &n) < 0 ? 0 : n;
}

static int feed(int fd, uint8_t c)
{
	return ioctl(fd, TIOCSTI, &c) < 0 ? -errno : 0;
}

int tty_type(int slave, const void *data, size_t len)
{
	const uint8_t *at = data;
	int r = 0;

	for (size_t i = 0; r == 0 && i < len; i++)
		r = feed(slave, at[i]);
	return r;
}

/* ---- putting ---- */

/* A control character that the terminal's line ends do not use. */
static uint8_t spare(const struct termios2 *t, uint8_t other)
{
	uint8_t c = 1;

	while (c == '\n' || c == other || c == t->c_cc[VEOL] || c == t->c_cc[VEOL2])
		c++;
	return c;
}

static int put_line(int fd, const struct tty_line *line, const uint8_t *text, bool cooked, uint8_t next,
		    uint8_t eof)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < line->len; i++) {
		bool plain = !cooked || (line->end == TTY_LINE && i == line->len - 1u);

		if (!plain)
			r = feed(fd, next);
		if (r == 0)
			r = feed(fd, text[i]);
	}
	return r == 0 && line->end == TTY_EOF ? feed(fd, eof) : r;
}

int tty_put_input(int slave, const struct tty_queues *q)
{
	const uint8_t *at = q->input;
	struct termios2 old, t;
	uint8_t next, eof;
	int r = 0, put_back;

	if (!q->n_lines)
		return 0;
	if (ioctl(slave, TCGETS2, &old) < 0)
		return -errno;
	t = old;
	next = spare(&old, 0);
	eof = spare(&old, next);
	t.c_iflag = 0;
	/* ICANON stays as it is: changing it changes what is queued. */
	t.c_lflag = (old.c_lflag & (ICANON | EXTPROC)) | IEXTEN;
	for (size_t i = 0; i < sizeof(t.c_cc); i++)
		if (i != VEOL && i != VEOL2)
			t.c_cc[i] = 0;
	t.c_cc[VLNEXT] = next;
	t.c_cc[VEOF] = eof;
	if (ioctl(slave, TCSETS2, &t) < 0)
		return -errno;
	for (size_t i = 0; r == 0 && i < q->n_lines; i++) {
		r = put_line(slave, &q->lines[i], at, is_cooked(&old), next, eof);
		at += q->lines[i].len;
	}
	put_back = ioctl(slave, TCSETS2, &old) < 0 ? -errno : 0;
	return r < 0 ? r : put_back;
}

int tty_put_output(int master, const struct tty_queues *q)
{
	return tty_type(master, q->output, q->n_output);
}

/* ---- peeking: in a process of its own, so without malloc(3) and its like ---- */

static int add_line(struct tty_queues *q, size_t len, enum tty_end end)
{
	if (q->n_lines == TTY_QUEUE)
		return -EOVERFLOW;
	q->lines[q->n_lines++] = (struct tty_line){ (uint16_t)len, end };
	q->n_input += len;
	return 0;
}

/* One read(2) gets one line, or nothing for an end of file. */
static int take_lines(int fd, const struct termios2 *t, struct tty_queues *q)
{
	while (poll_in(fd) & POLLIN) {
		uint8_t *at = q->input + q->n_input, last;
		size_t room = sizeof(q->input) - q->n_input;
		ssize_t n = read(fd, at, room < TTY_QUEUE ? room : TTY_QUEUE);
		bool line;
		int r;

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		last = n ? at[n - 1] : 0;
		line = n && (last == '\n' || (last && (last == t->c_cc[VEOL] || last == t->c_cc[VEOL2])));
		r = add_line(q, (size_t)n, line ? TTY_LINE : TTY_EOF);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_rest(int fd, struct tty_queues *q)
{
	size_t got = 0;

	poll_in(fd); /* waits for what is under way to the queue */
	while (queued(fd) > 0 && q->n_input + got < sizeof(q->input)) {
		ssize_t n = read(fd, q->input + q->n_input + got, sizeof(q->input) - q->n_input - got);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return got ? add_line(q, got, TTY_OPEN) : 0;
}

static int peek_input(int slave, struct tty_queues *q)
{
	struct termios2 t, raw;
	int r = 0, put_back;

	if (ioctl(slave, TCGETS2, &t) < 0)
		return -errno;
	if (!is_cooked(&t)) {
		r = take_rest(slave, q);
	} else {
		r = take_lines(slave, &t, q);
		/* An open line is only seen in raw mode; the queue being empty else, the change harms nothing. */
		raw = t;
		raw.c_lflag &= ~(tcflag_t)ICANON;
		raw.c_cc[VMIN] = 0;
		raw.c_cc[VTIME] = 0;
		if (r == 0 && ioctl(slave, TCSETS2, &raw) < 0)
			r = -errno;
		if (r == 0)
			r = take_rest(slave, q);
		if (ioctl(slave, TCSETS2, &t) < 0 && r == 0)
			r = -errno;
	}
	put_back = tty_put_input(slave, q);
	return r < 0 ? r : put_back;
}

static int peek_output(int master, struct tty_queues *q)
{
	poll_in(master);
	while (queued(master) > 0 && q->n_output + 1 < sizeof(q->output)) {
		uint8_t *at = q->output + q->n_output;
		ssize_t n = read(master, at, sizeof(q->output) - q->n_output);

		if (n <= 0)
			break;
		q->n_output += (size_t)n;
	}
	return tty_put_output(master, q);
}

static int fail(struct tty_queues *q, const char *what, int error)
{
	if (error < 0 && !q->error) {
		q->error = error;
		strncpy(q->what, what, sizeof(q->what) - 1);
	}
	return error;
}

static void peek_both(int slave, int master, struct tty_queues *q)
{
	int packets = 0, no = 0;

	/* In packet mode the changes of modes would be told to the master's reader; none is waiting to be read now. */
	if (master >= 0 && ioctl(master, TIOCGPKT, &packets) == 0 && packets)
		ioctl(master, TIOCPKT, &no);
	if (slave >= 0)
		fail(q, "look at its input", peek_input(slave, q));
	if (master >= 0)
		fail(q, "look at its output", peek_output(master, q));
	if (packets)
		ioctl(master, TIOCPKT, &packets);
}

int tty_queues_peek(int slave, int master, struct tty_queues **ret, struct ct_error *err)
{
	struct tty_queues *q = helper_memory(sizeof(*q));
	pid_t pid;

	if (!q)
		return error_errno(err, -ENOMEM, "terminal");
	fail(q, "interrupted", -EINTR); /* unless it comes to its end */
	pid = helper_spawn();
	if (pid == 0) {
		q->error = 0;
		peek_both(slave, master, q);
		_exit(0);
	}
	if (pid > 0)
		helper_await(pid);
	if (pid < 0 || q->error) {
		int r = pid < 0 ? error_errno(err, pid, "fork")
				: error_errno(err, q->error, "terminal: %.31s", q->what);

		tty_queues_free(q);
		return r;
	}
	*ret = q;
	return 0;
}

void tty_queues_free(struct tty_queues *q)
{
	if (q)
		munmap(q, sizeof(*q));
}

/* ---- /dev/tty ---- */

int tty_open_current(int slave, const int *flags, int *ret_fds, size_t n, struct ct_error *err)
{
	int *result = helper_memory((n + 1) * sizeof(int)), r;
	pid_t pid;

	if (!result)
		return error_errno(err, -ENOMEM, "terminal");
	for (size_t i = 0; i <= n; i++)
		result[i] = -EINTR;
	pid = helper_spawn();
	if (pid == 0) {
		setsid();
		result[n] = ioctl(slave, TIOCSCTTY, 0) < 0 ? -errno : 0;
		for (size_t i = 0; i < n; i++) {
			result[i] = open("/dev/tty", flags[i] | O_CLOEXEC);
			if (result[i] < 0)
				result[i] = -errno;
		}
		_exit(0);
	}
	if (pid > 0)
		helper_await(pid);
	r = pid < 0 ? pid : result[n];
	for (size_t i = 0; i < n; i++) {
		ret_fds[i] = r < 0 ? -1 : result[i];
		if (r == 0 && result[i] < 0)
			r = result[i];
		if (r < 0 && pid > 0)
			ret_fds[i] = fd_close(result[i]);
	}
	munmap(result, (n + 1) * sizeof(int));
	return r < 0 ? error_errno(err, r, "open '/dev/tty'") : 0;
}
