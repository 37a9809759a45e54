// SPDX-License-Identifier: Apache-2.0
#include "cmd/pod-options.h"

#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/ioctl.h>

/* One "SRC:DST[:ro]"; `text` is cut up. */
static const char *volume_parse(char *text, struct ct_volume *ret, char **ret_source)
{
	char *destination = strchr(text, ':'), *mode;

	if (!destination || destination == text)
		return "not SRC:DST[:ro]";
	*destination++ = '\0';
	if (*destination != '/')
		return "DST is not an absolute path";
	mode = strchr(destination, ':');
	if (mode) {
		*mode++ = '\0';
		if (strcmp(mode, "ro") && strcmp(mode, "rw"))
			return "what follows DST is neither ro nor rw";
	}
	*ret_source = realpath(text, NULL);
	if (!*ret_source)
		return strerror(errno);
	*ret = (struct ct_volume){ .source = *ret_source,
				   .destination = destination,
				   .read_only = mode && !strcmp(mode, "ro") };
	return NULL;
}

int volumes_parse(const struct context *context, const struct string_list *texts,
		  struct volumes *ret)
{
	char shown[PATH_MAX];
	const char *wrong;

	ret->v = calloc(texts->n + 1, sizeof(*ret->v));
	ret->sources = calloc(texts->n + 1, sizeof(*ret->sources));
	if (!ret->v || !ret->sources)
		return report_text(context, PODCKPT_FAILURE, "out of memory");
	for (size_t i = 0; i < texts->n; i++) {
		/* The strings of argv are ours to cut. */
		char *text = (char *)texts->v[i];

		snprintf(shown, sizeof(shown), "%s", text);
		wrong = volume_parse(text, &ret->v[i], &ret->sources[i]);
		if (wrong)
			return report_text(context, PODCKPT_USAGE, "--volume '%s': %s", shown,
					   wrong);
		ret->n++;
	}
	return 0;
}

void volumes_release(struct volumes *volumes)
{
	for (size_t i = 0; i < volumes->n; i++)
		free(volumes->sources[i]);
	free(volumes->sources);
	free(volumes->v);
}

int environment_set(struct environment *env, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : strlen(text);
	const char *value = equals ? NULL : getenv(text);
	char *entry, **v;

	if (!equals && !value)
		return 0;
	if (equals)
		entry = strdup(text);
	else if (asprintf(&entry, "%s=%s", text, value) < 0)
		entry = NULL;
	if (!entry)
		return -ENOMEM;
	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->v[i], text, len) || env->v[i][len] != '=')
			continue;
		free(env->v[i]);
		env->v[i] = entry;
		return 0;
	}
	v = realloc(env->v, (env->n + 2) * sizeof(*v));
	if (!v) {
		free(entry);
		return -ENOMEM;
	}
	v[env->n++] = entry;
	v[env->n] = NULL;
	env->v = v;
	return 0;
}

static int set_pair(struct environment *env, const char *name, const char *value)
{
	cleanup_free char *text = NULL;

	if (asprintf(&text, "%s=%s", name, value) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return environment_set(env, text);
}

/* HOME and USER of another user, where the host's list of users is the pod's. */
static int set_user(struct environment *env, const char *user, const char *rootfs)
{
	char name[256], *end;
	struct passwd *pw = NULL;
	unsigned long uid;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(user, ":"), user);
	if (!rootfs) {
		uid = strtoul(name, &end, 10);
		pw = *name && !*end ? getpwuid(uid) : getpwnam(name);
	}
	if (!pw)
		return set_pair(env, "HOME", strcmp(name, "root") && strcmp(name, "0") ? "/" : "/root");
	if (set_pair(env, "HOME", pw->pw_dir) < 0 || set_pair(env, "USER", pw->pw_name) < 0)
		return -ENOMEM;
	return set_pair(env, "LOGNAME", pw->pw_name);
}

int environment_default(struct environment *env, bool tty, const char *user, const char *rootfs)
{
	static const char *const always[] = { "LANG",	     "LANGUAGE",    "LC_ALL",	  "LC_COLLATE",
					      "LC_CTYPE",    "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC",
					      "LC_TIME",     "TZ" };
	static const char *const own[] = { "HOME", "USER", "LOGNAME", "SHELL" };
	static const char path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	int r;

	/* Another tree has its programs where distributions put them, not where this shell has them. */
	r = set_pair(env, "PATH", rootfs || !getenv("PATH") ? path : getenv("PATH"));
	for (size_t i = 0; r == 0 && i < sizeof(always) / sizeof(always[0]); i++)
		r = environment_set(env, always[i]);
	for (size_t i = 0; r == 0 && !user && !rootfs && i < sizeof(own) / sizeof(own[0]); i++)
		r = environment_set(env, own[i]);
	if (r == 0 && (user || rootfs))
		r = set_user(env, user ? user : "root", rootfs);
	if (r == 0 && tty)
		r = set_pair(env, "TERM", getenv("TERM") ? getenv("TERM") : "xterm");
	return r;
}

int environment_file(const struct context *context, struct environment *env, const char *path)
{
	cleanup_file FILE *f = fopen(path, "re");
	cleanup_free char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (!f)
		return report_text(context, PODCKPT_FAILURE, "--env-file '%s': %s", path,
				   strerror(errno));
	while ((n = getline(&line, &size, f)) >= 0) {
		while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = '\0';
		if (!*line || *line == '#')
			continue;
		if (*line == '=')
			return report_text(context, PODCKPT_USAGE, "--env-file '%s': no name in '%s'",
					   path, line);
		if (environment_set(env, line) < 0)
			return report_text(context, PODCKPT_FAILURE, "out of memory");
	}
	if (ferror(f))
		return report_text(context, PODCKPT_FAILURE, "--env-file '%s': %s", path,
				   strerror(errno));
	return 0;
}

void environment_release(struct environment *env)
{
	for (size_t i = 0; i < env->n; i++)
		free(env->v[i]);
	free(env->v);
}

void terminal_size(unsigned short *rows, unsigned short *columns)
{
	struct winsize size = { 0 };

	for (int fd = 0; fd < 3; fd++)
		if (ioctl(fd, TIOCGWINSZ, &size) == 0)
			break;
	*rows = size.ws_row;
	*columns = size.ws_col;
}

int program_failed(const struct context *context, const char *object, bool detach,
		   const struct ct_error *err)
{
	int code = report(context, object, err);

	switch (err->code) {
	case -ENOENT:
		return PODCKPT_NOT_FOUND;
	case -EACCES:
	case -ENOEXEC:
	case -EISDIR:
	case -ELIBBAD:
		return PODCKPT_NOT_EXECUTABLE;
	default:
		return detach ? code : PODCKPT_SELF;
	}
}

const char *set_net(const struct option_spec *spec, const char *value, void *field)
{
	static const char prefix[] = "bridge:";
	struct net_choice *choice = field;

	*choice = (struct net_choice){ 0 };
	if (strncmp(value, prefix, strlen(prefix)))
		return set_choice(spec, value, &choice->mode);
	choice->bridge = value + strlen(prefix);
	return *choice->bridge ? NULL : "a name is missing behind 'bridge:'";
}
