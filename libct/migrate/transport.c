/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/migrate/transport.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "images/pipeline.h"
#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/pod/proc.h"

#define WORDS_MAX 256
#define CLOSE_TIMEOUT_MS 5000
/* Tells a host that has vanished from one that takes its time. */
#define SSH "ssh -T -e none -o ServerAliveInterval=5 -o ServerAliveCountMax=3 -o ConnectTimeout=15"

extern char **environ;

void words_free(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

DEFINE_CLEANUP(char **, words_free)

/* The next word of *at, without its quotes; NULL at the end. */
static char *word_next(const char **at, bool *failed)
{
	size_t n = 0;
	char quote = 0, *word;

	*at += strspn(*at, " \t\n");
	if (!**at)
		return NULL;
	word = malloc(strlen(*at) + 1);
	*failed |= !word;
	for (; word && **at; ++*at) {
		if (quote ? **at == quote : **at == '\'' || **at == '"')
			quote = quote ? 0 : **at;
		else if (!quote && strchr(" \t\n", **at))
			break;
		else
			word[n++] = **at;
	}
	if (word)
		word[n] = '\0';
	return word;
}

int words_split(const char *text, char ***ret, struct ct_error *err)
{
	__cleanup(words_free_cleanup) char **words = calloc(WORDS_MAX + 1, sizeof(*words));
	bool failed = !words;
	size_t n = 0;

	while (!failed && n < WORDS_MAX) {
		words[n] = word_next(&text, &failed);
		if (!words[n])
			break;
		n++;
	}
	if (failed)
		return error_errno(err, -ENOMEM, "migration");
	if (!n)
		return error_set(err, -EINVAL, "an empty command");
	*ret = take_ptr(words);
	return 0;
}

/* RSH HOST PODCKPT receive */
static int make_command(const struct ct_remote_options *o, char ***ret, struct ct_error *err)
{
	const char *program = o->remote_podckpt ? o->remote_podckpt : "podckpt";
	const char *rsh = o->rsh ? o->rsh : SSH;
	cleanup_free char *text = NULL;

	/* What begins with a dash the remote shell takes for an option. */
	if (!*o->host || *o->host == '-' || strpbrk(o->host, " \t\n'\""))
		return error_set(err, -EINVAL, "'%s' is not a host", o->host);
	if (asprintf(&text, "%s %s %s receive", rsh, o->host, program) < 0) {
		text = NULL;
		return error_errno(err, -ENOMEM, "migration");
	}
	return words_split(text, ret, err);
}

/* ---- what the remote shell says to people ---- */

static void say(struct transport *t, char *line, size_t *len)
{
	for (size_t i = 0; i < *len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = line[i] == '\t' ? ' ' : '?';
	while (*len && (line[*len - 1] == '?' || line[*len - 1] == ' '))
		--*len;
	line[*len] = '\0';
	if (*len && t->remote->words)
		t->remote->words(t->remote->context, line);
	*len = 0;
}

static void *read_words(void *arg)
{
	struct transport *t = arg;
	char line[1024], buf[1024];
	size_t len = 0;

	for (;;) {
		struct pollfd p[] = { { t->words_fd, POLLIN, 0 }, { t->stop_fd, POLLIN, 0 } };
		ssize_t n;

		if (poll(p, 2, -1) < 0)
			continue;
		/* What was said before we were told to stop is heard still. */
		if (!p[0].revents)
			break;
		n = read(t->words_fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] == '\n' || len == sizeof(line) - 1)
				say(t, line, &len);
			if (buf[i] != '\n')
				line[len++] = buf[i];
		}
	}
	say(t, line, &len);
	return NULL;
}

/* ---- its life ---- */

struct pipes {
	int to[2], from[2], words[2];
};

static void pipes_release(struct pipes *p)
{
	for (int i = 0; i < 2; i++) {
		fd_close(p->to[i]);
		fd_close(p->from[i]);
		fd_close(p->words[i]);
	}
}

static int spawn(struct transport *t, char **command, const struct pipes *p)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, defaults;
	int r;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, p->to[0], 0);
	posix_spawn_file_actions_adddup2(&actions, p->from[1], 1);
	posix_spawn_file_actions_adddup2(&actions, p->words[1], 2);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	r = posix_spawnp(&t->pid, command[0], &actions, &attributes, command, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int transport_open(const struct ct_remote_options *remote, struct transport *ret, struct ct_error *err)
{
	__cleanup(transport_close) struct transport t = { .remote = remote, .pidfd = -1, .words_fd = -1,
							  .stop_fd = -1, .wire = { .in = -1, .out = -1 } };
	__cleanup(pipes_release) struct pipes p = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	__cleanup(words_free_cleanup) char **command = NULL;
	int r = make_command(remote, &command, err);

	if (r < 0)
		return r;
	if (pipe2(p.to, O_CLOEXEC) < 0 || pipe2(p.from, O_CLOEXEC) < 0 || pipe2(p.words, O_CLOEXEC) < 0)
		return error_errno(err, -errno, "pipe");
	(void)fcntl(p.to[1], F_SETPIPE_SZ, WIRE_PIPE);
	r = spawn(&t, command, &p);
	if (r < 0) {
		t.pid = 0;
		return error_errno(err, r, "cannot execute '%s'", command[0]);
	}
	t.pidfd = sys_pidfd_open(t.pid, 0);
	r = wire_init(&t.wire, take_fd(&p.from[0]), take_fd(&p.to[1]), true, err);
	if (r < 0)
		return r;
	*ret = t;
	t = (struct transport){ .pidfd = -1, .words_fd = -1, .stop_fd = -1, .wire = { .in = -1, .out = -1 } };
	ret->words_fd = take_fd(&p.words[0]);
	ret->stop_fd = eventfd(0, EFD_CLOEXEC);
	ret->reading = ret->stop_fd >= 0 && helper_thread_start(&ret->words, read_words, ret) == 0;
	return 0;
}

static void stop_reading(struct transport *t)
{
	uint64_t one = 1;

	/* Not to its end: a connection that ssh shares among sessions may keep it open for ever. */
	if (t->reading && write(t->stop_fd, &one, sizeof(one)) > 0)
		pthread_join(t->words, NULL);
	t->reading = false;
}

bool transport_finish(struct transport *t)
{
	siginfo_t info = { 0 };

	t->wire.out = fd_close(t->wire.out);
	return t->pid > 0 && t->pidfd >= 0 && proc_wait(t->pidfd, CLOSE_TIMEOUT_MS) == 1 &&
	       waitid(P_PID, (id_t)t->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid &&
	       info.si_code == CLD_EXITED && info.si_status == 0;
}

void transport_close(struct transport *t)
{
	t->wire.in = fd_close(t->wire.in);
	t->wire.out = fd_close(t->wire.out);
	if (t->pid > 0) {
		if (t->pidfd >= 0 && proc_wait(t->pidfd, CLOSE_TIMEOUT_MS) != 1)
			sys_pidfd_send_signal(t->pidfd, SIGKILL);
		while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	t->pid = 0;
	stop_reading(t);
	t->pidfd = fd_close(t->pidfd);
	t->words_fd = fd_close(t->words_fd);
	t->stop_fd = fd_close(t->stop_fd);
	wire_release(&t->wire);
}

int transport_explain(struct transport *t, int code, struct ct_error *err)
{
	siginfo_t info = { 0 };

	if (code != -EPIPE || t->pid <= 0)
		return code;
	if (t->pidfd < 0 || proc_wait(t->pidfd, CLOSE_TIMEOUT_MS) != 1 ||
	    waitid(P_PID, (id_t)t->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
		return code;
	/* Its own words come before ours. */
	stop_reading(t);
	if (info.si_code != CLD_EXITED)
		return error_set(err, code, "the remote shell was killed by signal %d", info.si_status);
	if (info.si_status == 127)
		return error_set(err, code, "podckpt was not found there; install it, or name it with "
					    "--remote-podckpt");
	return error_set(err, code, "the connection has ended (the remote shell's exit code is %d)",
			 info.si_status);
}
