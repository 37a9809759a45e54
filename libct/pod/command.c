/* SPDX-License-Identifier: Apache-2.0 */
/* From root inside the pod to the pod's user in front of its command; also for exec. */
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/pod/inside.h"

#define COMMAND_WAIT_FD 3 /* init-sys.h knows them too */
#define COMMAND_ERROR_FD 4

static const char *env_value(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, len) && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

/* A program without HOME is lost. The array lives until the process executes or ends. */
static int add_home(struct pod_command *command, const char *home, struct ct_error *err)
{
	size_t n = 0;
	char **env;

	if (env_value(command->env, "HOME"))
		return 0;
	while (command->env[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	if (!env || asprintf(&env[n], "HOME=%s", home) < 0) {
		free(env);
		return error_errno(err, -ENOMEM, "set HOME");
	}
	memcpy(env, command->env, n * sizeof(*env));
	command->env = env;
	return 0;
}

static int reset_signals(struct ct_error *err)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL); /* fails for those that cannot be changed anyway */
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0
		       ? error_errno(err, -errno, "unblock the signals")
		       : 0;
}

/*
 * Becomes the user but keeps, for the filter, what would be lost with the user id:
 * without no_new_privs only CAP_SYS_ADMIN may install one.
 */
static int become_user(const struct user *user, uint64_t keep, struct ct_error *err)
{
	int r;

	if (prctl(PR_SET_KEEPCAPS, 1) < 0)
		return error_errno(err, -errno, "keep the capabilities");
	if (setgroups(user->n_groups, user->groups) < 0 ||
	    setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return error_errno(err, -errno, "become user %u", (unsigned int)user->uid);
	r = caps_set(keep, err);
	if (r == 0 && prctl(PR_SET_KEEPCAPS, 0) < 0)
		r = error_errno(err, -errno, "let go of the capabilities");
	return r;
}

/* Before the filter, which may know of no memfd; out of the places of the channels. */
static int open_program(int *ret, struct ct_error *err)
{
	cleanup_fd int fd = embedded_open(err);

	if (fd < 0)
		return fd;
	*ret = fcntl(fd, F_DUPFD_CLOEXEC, COMMAND_ERROR_FD + 1);
	return *ret < 0 ? error_errno(err, -errno, "duplicate a descriptor") : 0;
}

int command_prepare(const struct pod_config *config, struct pod_command *command,
		    struct ct_error *err)
{
	const char *workdir = command->workdir ? command->workdir : "/";
	const uint64_t admin = UINT64_C(1) << CAP_SYS_ADMIN;
	cleanup_user struct user user = { 0 };
	uint64_t caps = config->capabilities & caps_host(), own;
	int r = user_find(command->user, &user, err);

	if (r == 0)
		r = add_home(command, user.home, err);
	if (r == 0)
		r = reset_signals(err);
	if (r < 0)
		return r;
	/* An ordinary user has none; those of the bounding set come with set-user-ID programs. */
	own = user.uid == 0 ? caps : 0;
	r = open_program(&command->program_fd, err);
	if (r == 0)
		r = caps_bound(caps, err);
	if (r == 0)
		r = become_user(&user, own | admin, err);
	if (r == 0 && chdir(workdir) < 0)
		r = error_errno(err, -errno, "working directory '%s' in the pod", workdir);
	if (r == 0)
		r = seccomp_install(config->seccomp, caps, err);
	return r < 0 ? r : caps_set(own, err);
}

/* Both descriptors to the places where init-exec.c takes them. They stay open over one execve(2). */
static int place_channels(int go_fd, int error_fd)
{
	cleanup_fd int error = fcntl(error_fd, F_DUPFD_CLOEXEC, COMMAND_ERROR_FD + 1);

	if (error < 0)
		return -errno;
	if (go_fd >= 0 && go_fd != COMMAND_WAIT_FD && dup2(go_fd, COMMAND_WAIT_FD) < 0)
		return -errno;
	if (go_fd == COMMAND_WAIT_FD && fcntl(go_fd, F_SETFD, 0) < 0)
		return -errno;
	return dup2(error, COMMAND_ERROR_FD) < 0 ? -errno : 0;
}

int command_execute(const struct pod_command *command, int go_fd, size_t go_len, int error_fd)
{
	char path[32], len[2] = { (char)('0' + go_len), '\0' };
	size_t n = 0;
	char **argv;
	int r;

	while (command->argv[n])
		n++;
	argv = calloc(n + 3, sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	argv[0] = (char *)"podckpt-init";
	argv[1] = len;
	memcpy(argv + 2, command->argv, n * sizeof(*argv));
	r = place_channels(go_fd, error_fd);
	if (r == 0) {
		/* Not execveat(2): a profile that lists what it allows may know execve(2) alone. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", command->program_fd);
		execve(path, argv, command->env);
		r = -errno;
	}
	free(argv);
	return r;
}

int pty_open(int devfd, unsigned short rows, unsigned short columns, int *ret_master,
	     int *ret_slave, struct ct_error *err)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };
	cleanup_fd int master = openat(devfd, "pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	cleanup_fd int slave = -1;
	int unlock = 0;

	if (master < 0)
		return error_errno(err, -errno, "open '/dev/pts/ptmx' of the pod");
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return error_errno(err, -errno, "unlock the terminal");
	/* Not with O_CLOEXEC: here the kernel would keep it among the flags of the file. */
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	if (slave < 0 || fcntl(slave, F_SETFD, FD_CLOEXEC) < 0)
		return error_errno(err, -errno, "open the terminal");
	if (ioctl(master, TIOCSWINSZ, &size) < 0)
		return error_errno(err, -errno, "set the size of the terminal");
	*ret_master = take_fd(&master);
	*ret_slave = take_fd(&slave);
	return 0;
}
