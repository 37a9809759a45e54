/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/kind/tty-state.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"

/* ---- dump ---- */

static short poll_now(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

static void put_modes(const struct termios2 *t, struct node *n)
{
	struct node *modes = node_put_object(n, "modes");

	node_put_hex(modes, "input", t->c_iflag);
	node_put_hex(modes, "output", t->c_oflag);
	node_put_hex(modes, "control", t->c_cflag);
	node_put_hex(modes, "local", t->c_lflag);
	node_put_blob(modes, "characters", t->c_cc, sizeof(t->c_cc));
	node_put_u64(modes, "input_speed", t->c_ispeed);
	node_put_u64(modes, "output_speed", t->c_ospeed);
}

static void put_owner(struct dump *d, uint32_t index, struct node *n)
{
	struct stat st;
	char name[64];

	snprintf(name, sizeof(name), "%d/root/dev/pts/%u", d->pod->state.pid1, index);
	if (fstatat(d->proc, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	node_put_u64(n, "uid", st.st_uid);
	node_put_u64(n, "gid", st.st_gid);
	node_put_u64(n, "mode", st.st_mode & 07777);
}

static void put_queues(const struct tty_queues *q, struct node *n)
{
	static const char *const ends[] = { "line", "eof", "open" };
	struct node *lines = node_put_array(n, "typed");
	const uint8_t *at = q->input;

	for (size_t i = 0; i < q->n_lines; i++) {
		struct node *line = node_put_object(lines, NULL);

		node_put_blob(line, "text", at, q->lines[i].len);
		node_put_str(line, "end", ends[q->lines[i].end]);
		at += q->lines[i].len;
	}
	node_put_blob(n, "printed", q->output, q->n_output);
}

static int queued(int fd)
{
	int n = 0;

	poll_now(fd, POLLIN);
	return fd < 0 || ioctl(fd, FIONREAD, &n) < 0 ? 0 : n;
}

static bool is_stopped(int fd)
{
	return fd >= 0 && !(poll_now(fd, POLLOUT) & POLLOUT);
}

/*
 * A queue that is full hides what waits for room in it, and one that is stopped what will be echoed: output starts
 * again, in the live pod, when it is looked at. Nothing tells ^S from tcflow(3) either. False: refused.
 */
static bool can_peek(struct dump *d, const struct tty_sides *s)
{
	const int most = TTY_QUEUE / 2;

	if (s->master >= 0 && poll_now(s->master, POLLPRI) & POLLPRI)
		dump_refuse_fd(d, s->view, "terminal %u has a state change (packet mode) that its master has "
					   "not read yet; try again", s->index);
	else if (queued(s->master) > most)
		dump_refuse_fd(d, s->view, "terminal %u has more output than is carried (%d bytes) that its "
					   "master has not read; try again when it has", s->index, most);
	else if (queued(s->slave) > most)
		dump_refuse_fd(d, s->view, "terminal %u has more input than is carried (%d bytes) that nobody "
					   "has read; try again when somebody has", s->index, most);
	else if (is_stopped(s->slave))
		dump_refuse_fd(d, s->view, "output of terminal %u was stopped (^S), which is not carried; start it "
					   "again first (^Q)", s->index);
	else if (is_stopped(s->master))
		dump_refuse_fd(d, s->view, "input of terminal %u was stopped (tcflow(3) of its master), which is not "
					   "carried; start it again first", s->index);
	else
		return true;
	dump_passing(d);
	return false;
}

static int peek(struct dump *d, const struct tty_sides *s, struct node *n, struct ct_error *err)
{
	struct tty_queues *q;
	cleanup_fd int slave = -1;
	char name[64];
	int r;

	/* A description of our own: the flags of theirs are theirs. */
	if (s->slave >= 0) {
		snprintf(name, sizeof(name), "%d/fd/%d", getpid(), s->slave);
		slave = openat(d->proc, name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (slave < 0)
			return error_errno(err, -errno, "open terminal %u", s->index);
	} else if (poll_now(s->master, POLLIN) & POLLHUP) {
		/* Closed again, it is as it was. -EIO: locked. */
		slave = ioctl(s->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (is_stopped(slave)) {
			dump_refuse_fd(d, s->view, "output of terminal %u was stopped (^S) and its slave closed, "
						   "which is not carried; close its master first", s->index);
			return 0;
		}
	}
	r = tty_queues_peek(slave, s->master, &q, err);
	if (r < 0)
		return r;
	put_queues(q, n);
	tty_queues_free(q);
	return 0;
}

static void put_flags(const struct tty_sides *s, struct node *n)
{
	int packet = 0, locked = 0, slave_exclusive = 0, master_exclusive = 0;

	if (s->slave >= 0)
		ioctl(s->slave, TIOCGEXCL, &slave_exclusive);
	if (s->master >= 0) {
		ioctl(s->master, TIOCGEXCL, &master_exclusive);
		ioctl(s->master, TIOCGPKT, &packet);
		ioctl(s->master, TIOCGPTLCK, &locked);
	}
	node_put_bool(n, "exclusive", slave_exclusive);
	node_put_bool(n, "master_exclusive", master_exclusive);
	node_put_bool(n, "packets", packet);
	node_put_bool(n, "locked", locked);
}

static void refuse_discipline(struct dump *d, const struct tty_sides *s, int discipline)
{
	dump_refuse_fd(d, s->view, "terminal %u has line discipline %d, which is not carried; switch it back "
				   "to N_TTY first", s->index, discipline);
}

int tty_state_dump(struct dump *d, const struct tty_sides *s, struct node *n, struct ct_error *err)
{
	struct node *state = node_put_object(n, "state");
	int any = s->slave >= 0 ? s->slave : s->master, discipline = 0;
	struct winsize size = { 0 };
	struct node *window;
	struct termios2 t;
	uint32_t dev;

	if (s->slave >= 0 && ioctl(s->slave, TIOCGDEV, &dev) < 0 && errno == EIO) {
		node_put_bool(state, "opened", true);
		node_put_bool(state, "hung_up", true);
		if (s->master >= 0 || s->own)
			dump_refuse_fd(d, s->view, "terminal %u was hung up by vhangup(2); close it first",
				       s->index);
		return 0;
	}
	if (s->master < 0 && !s->own) {
		dump_refuse_fd(d, s->view, "the master of terminal %u is outside the pod (podckpt exec -t); end "
					   "that first", s->index);
		return 0;
	}
	/* First: others need not answer TCGETS2. */
	if (any >= 0)
		ioctl(any, TIOCGETD, &discipline);
	if (discipline != N_TTY) {
		refuse_discipline(d, s, discipline);
		return 0;
	}
	if (any < 0 || ioctl(any, TCGETS2, &t) < 0 || ioctl(any, TIOCGWINSZ, &size) < 0) {
		if (d->preflight)
			return 0;
		return error_errno(err, -errno, "ask terminal %u", s->index);
	}
	/* tcsetattr(3) takes any. */
	if (t.c_line != N_TTY) {
		refuse_discipline(d, s, t.c_line);
		return 0;
	}
	/* A master whose slave was open once and is not any more polls as hung up. */
	node_put_bool(state, "opened", s->has_slave || poll_now(s->master, POLLIN) & POLLHUP);
	node_put_bool(state, "hung_up", false);
	put_owner(d, s->index, state);
	put_modes(&t, state);
	window = node_put_array(state, "window");
	node_put_u64(window, NULL, size.ws_row);
	node_put_u64(window, NULL, size.ws_col);
	node_put_u64(window, NULL, size.ws_xpixel);
	node_put_u64(window, NULL, size.ws_ypixel);
	put_flags(s, state);
	return can_peek(d, s) && !d->preflight ? peek(d, s, state, err) : 0;
}

/* ---- restore ---- */

static void get_modes(const struct node *n, struct termios2 *t)
{
	const struct node *modes = node_object(n, "modes");
	size_t len = 0;
	const void *cc = node_blob(modes, "characters", &len);

	t->c_iflag = (tcflag_t)node_hex(modes, "input");
	t->c_oflag = (tcflag_t)node_hex(modes, "output");
	t->c_cflag = (tcflag_t)node_hex(modes, "control");
	t->c_lflag = (tcflag_t)node_hex(modes, "local");
	t->c_ispeed = (speed_t)node_u64(modes, "input_speed", UINT32_MAX);
	t->c_ospeed = (speed_t)node_u64(modes, "output_speed", UINT32_MAX);
	if (cc && len == sizeof(t->c_cc))
		memcpy(t->c_cc, cc, len);
	else
		node_complain(modes, "not the special characters of a terminal");
}

static int get_queues(struct restore *r, const struct node *n, struct tty_queues *q, struct ct_error *err)
{
	const struct node *lines = node_array(n, "typed");
	const void *printed = node_blob(n, "printed", &q->n_output);

	if (q->n_output >= TTY_QUEUE || node_count(lines) >= TTY_QUEUE) {
		node_complain(n, "more than a terminal holds");
		return doc_check(r->doc, err);
	}
	if (printed)
		memcpy(q->output, printed, q->n_output);
	for (size_t i = 0; i < node_count(lines); i++) {
		const struct node *line = node_at(lines, i);
		const char *end = node_str(line, "end");
		struct tty_line *l = &q->lines[q->n_lines++];
		size_t len = 0;
		const void *text = node_blob(line, "text", &len);

		if (!text || q->n_input + len >= TTY_QUEUE) {
			node_complain(line, "more than a terminal holds");
			break;
		}
		memcpy(q->input + q->n_input, text, len);
		q->n_input += len;
		l->len = (uint16_t)len;
		l->end = !strcmp(end, "line") ? TTY_LINE : !strcmp(end, "eof") ? TTY_EOF : TTY_OPEN;
	}
	return doc_check(r->doc, err);
}

static int set_size_and_owner(struct restore *r, const struct node *n, uint32_t index, int any,
			      struct ct_error *err)
{
	const struct node *window = node_array(n, "window");
	struct winsize size = {
		.ws_row = (unsigned short)node_at_u64(window, 0, UINT16_MAX),
		.ws_col = (unsigned short)node_at_u64(window, 1, UINT16_MAX),
		.ws_xpixel = (unsigned short)node_at_u64(window, 2, UINT16_MAX),
		.ws_ypixel = (unsigned short)node_at_u64(window, 3, UINT16_MAX),
	};
	uid_t uid = (uid_t)node_u64(n, "uid", UINT32_MAX - 1);
	gid_t gid = (gid_t)node_u64(n, "gid", UINT32_MAX - 1);
	mode_t mode = (mode_t)node_u64(n, "mode", 07777);
	int e = doc_check(r->doc, err);
	char name[32];

	if (e < 0)
		return e;
	snprintf(name, sizeof(name), "/dev/pts/%u", index);
	if (lchown(name, uid, gid) < 0 || fchmodat(AT_FDCWD, name, mode, 0) < 0)
		return error_errno(err, -errno, "give '%s' to user %u", name, uid);
	if (ioctl(any, TIOCSWINSZ, &size) < 0)
		return error_errno(err, -errno, "set the size of '%s'", name);
	return 0;
}

static int fill(struct restore *r, const struct node *n, int slave, int master, struct ct_error *err)
{
	struct tty_queues *q = calloc(1, sizeof(*q));
	int e = q ? get_queues(r, n, q, err) : error_errno(err, -ENOMEM, "terminal"), f;

	if (e == 0 && ((q->n_lines && slave < 0) || (q->n_output && master < 0)))
		e = error_set(err, -EBADMSG, "a terminal with something in it and nobody who has put it there");
	if (e == 0) {
		f = q->n_output ? tty_put_output(master, q) : 0;
		if (f == 0)
			f = tty_put_input(slave, q);
		if (f < 0)
			e = error_errno(err, f, "fill the queues of a terminal");
	}
	free(q);
	return e;
}

/* Last, since some of it keeps others from what was done before. */
static int set_flags(const struct node *n, int slave, int master, struct ct_error *err)
{
	int yes = 1;
	bool exclusive = node_bool(n, "exclusive");
	bool master_exclusive = node_bool(n, "master_exclusive");
	bool packets = node_bool(n, "packets"), locked = node_bool(n, "locked");

	if (exclusive && slave < 0)
		node_complain(n, "a terminal that nobody can have set so");
	else if ((master_exclusive || packets || locked) && master < 0)
		node_complain(n, "the master of the pod's own terminal is not the pod's");
	else if ((exclusive && ioctl(slave, TIOCEXCL) < 0) ||
		 (master_exclusive && ioctl(master, TIOCEXCL) < 0) ||
		 (packets && ioctl(master, TIOCPKT, &yes) < 0) ||
		 (locked && ioctl(master, TIOCSPTLCK, &yes) < 0))
		return error_errno(err, -errno, "set the flags of a terminal");
	return 0;
}

int tty_state_restore(struct restore *r, const struct node *state, uint32_t index, int slave, int master,
		      struct ct_error *err)
{
	int any = slave >= 0 ? slave : master, e;
	struct termios2 t = { .c_line = N_TTY };

	if (node_bool(state, "hung_up"))
		return doc_check(r->doc, err);
	e = set_size_and_owner(r, state, index, any, err);
	if (e < 0)
		return e;
	get_modes(state, &t);
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	/* First the modes, because they decide what can be queued. */
	if (ioctl(any, TCSETS2, &t) < 0)
		return error_errno(err, -errno, "set the modes of a terminal");
	e = fill(r, state, slave, master, err);
	return e < 0 ? e : set_flags(state, slave, master, err);
}
