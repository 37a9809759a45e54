/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other work of podckpt-init's program: the last step before a pod's command.
 *
 * A process that goes straight from podckpt to the command would show podckpt's own program in
 * /proc/PID/exe: a command that is a script for "/proc/self/exe" runs it, and whoever keeps it open
 * can overwrite the host's file later. So the process is this program first, sealed and in memory,
 * and waits here for the pod's release too.
 */
#include "libct/pod/init-sys.h"

#define F_SETFD 2
#define FD_CLOEXEC 1
#define PATH_MAX 4096
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The value of PATH. */
static const char *find_path(char **env)
{
	for (; *env; env++) {
		const char *e = *env;

		if (e[0] == 'P' && e[1] == 'A' && e[2] == 'T' && e[3] == 'H' && e[4] == '=')
			return e + 5;
	}
	return DEFAULT_PATH;
}

/*
 * argv[0] and argv[1] are free places in front of the command: a text file without "#!" is a
 * script of the shell, as for every shell.
 */
static long try(const char *path, char **argv, char **env)
{
	char *name = argv[2];
	long r = sys(__NR_execve, (long)path, (long)(argv + 2), (long)env, 0);

	if (r != -ENOEXEC)
		return r;
	argv[1] = (char *)"sh";
	argv[2] = (char *)path;
	r = sys(__NR_execve, (long)"/bin/sh", (long)(argv + 1), (long)env, 0);
	argv[2] = name;
	return r;
}

/* "dir/name" of the first entry of *path, which goes on to the next. Its length, 0: too long. */
static int next_candidate(const char **path, const char *name, char *buf)
{
	const char *p = *path;
	int n = 0;

	for (; *p && *p != ':'; p++)
		if (n < PATH_MAX - 2)
			buf[n++] = *p;
	*path = p;
	if (n)
		buf[n++] = '/'; /* an empty entry is the current directory */
	for (; *name && n < PATH_MAX; name++)
		buf[n++] = *name;
	if (n >= PATH_MAX - 1)
		return 0;
	buf[n] = '\0';
	return n;
}

static long search(char **argv, char **env)
{
	const char *path = find_path(env);
	char buf[PATH_MAX];
	long r = -ENOENT;
	int denied = 0;

	for (;; path++) {
		r = next_candidate(&path, argv[2], buf) ? try(buf, argv, env) : -ENAMETOOLONG;
		/* A file that may not be executed hides no other one further on. */
		denied |= r == -EACCES;
		if (r != -ENOENT && r != -ENOTDIR && r != -EACCES && r != -ENAMETOOLONG)
			return r;
		if (!*path)
			return denied ? -EACCES : r;
	}
}

void execute(char **argv, char **env)
{
	char buf[16];
	int code, slash = 0;
	long r;

	if (argv[1][0] > '0') /* how many bytes mean "go" */
		await(WAIT_FD, buf, (unsigned long)(argv[1][0] - '0'));
	sys(__NR_close, WAIT_FD, 0, 0, 0);
	if (sys(__NR_fcntl, ERROR_FD, F_SETFD, FD_CLOEXEC, 0) < 0)
		sys(__NR_close, ERROR_FD, 0, 0, 0);
	for (const char *p = argv[2]; *p; p++)
		slash |= *p == '/';
	r = slash ? try(argv[2], argv, env) : argv[2][0] ? search(argv, env) : -ENOENT;
	code = (int)-r;
	sys(__NR_write, ERROR_FD, (long)&code, sizeof(code), 0);
	leave(code == ENOENT ? CODE_NOT_FOUND : CODE_NOT_EXECUTABLE);
}
