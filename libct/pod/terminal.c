// SPDX-License-Identifier: Apache-2.0
#include "libct/pod/terminal.h"

#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>

#include "libct/base/error.h"

int terminal_raw(struct terminal *t, int fd, struct ct_error *err)
{
	struct termios raw;

	if (tcgetattr(fd, &t->saved) < 0)
		return error_errno(err, -errno, "terminal");
	raw = t->saved;
	cfmakeraw(&raw);
	/* TCSADRAIN: what was typed ahead is for the pod. */
	if (tcsetattr(fd, TCSADRAIN, &raw) < 0)
		return error_errno(err, -errno, "terminal");
	t->fd = fd;
	return 0;
}

void terminal_restore(struct terminal *t)
{
	if (t->fd >= 0)
		tcsetattr(t->fd, TCSADRAIN, &t->saved);
	t->fd = -1;
}

bool terminal_size(unsigned short *ret_rows, unsigned short *ret_columns)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return false;
	*ret_rows = size.ws_row;
	*ret_columns = size.ws_col;
	return true;
}

static bool is_ignored(int sig)
{
	struct sigaction action;

	return sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int signals_take(struct signals *s, struct ct_error *err)
{
	static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };
	sigset_t set, blocked;
	int r;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(*passed_on); i++)
		if (!is_ignored(passed_on[i])) /* e.g. under nohup */
			sigaddset(&set, passed_on[i]);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGCHLD);
	blocked = set;
	sigaddset(&blocked, SIGPIPE);
	r = -pthread_sigmask(SIG_BLOCK, &blocked, &s->before);
	if (r < 0)
		return error_errno(err, r, "signals");
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0) {
		r = -errno;
		pthread_sigmask(SIG_SETMASK, &s->before, NULL);
		return error_errno(err, r, "signals");
	}
	return 0;
}

int signals_next(struct signals *s)
{
	struct signalfd_siginfo info;

	return read(s->fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

void signals_restore(struct signals *s)
{
	struct timespec now = {};
	sigset_t pipe;

	if (s->fd < 0)
		return;
	/* One of ours: its write(2) has reported it. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	if (!sigismember(&s->before, SIGPIPE))
		while (sigtimedwait(&pipe, NULL, &now) > 0)
			;
	s->fd = fd_close(s->fd);
	pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}
