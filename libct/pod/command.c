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
	r = caps_bound(caps, err);
	if (r == 0)
		r = become_user(&user, own | admin, err);
	if (r == 0 && chdir(workdir) < 0)
		r = error_errno(err, -errno, "working directory '%s' in the pod", workdir);
	if (r == 0)
		r = seccomp_install(config->seccomp, caps, err);
	return r < 0 ? r : caps_set(own, err);
}

int command_execute(const struct pod_command *command)
{
	environ = (char **)command->env; /* where execvp() looks for PATH */
	execvp(command->argv[0], command->argv);
	return -errno;
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
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return error_errno(err, -errno, "open the terminal");
	if (ioctl(master, TIOCSWINSZ, &size) < 0)
		return error_errno(err, -errno, "set the size of the terminal");
	*ret_master = take_fd(&master);
	*ret_slave = take_fd(&slave);
	return 0;
}
