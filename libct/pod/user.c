/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and groups by name, from the files of the root that this process is in; never through
 * NSS.
 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/pod/inside.h"

#define GROUPS_MAX 65536 /* the kernel's */

/*
 * The decimal id that `text` is. False: it is a name. (uid_t)-1 means "no change" to the
 * kernel: a name too.
 */
static bool parse_id(const char *text, unsigned int *ret)
{
	char *end;
	unsigned long v;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (*end || errno || v >= UINT_MAX)
		return false;
	*ret = (unsigned int)v;
	return true;
}

/* By name, or by number where the name is one. 1 found, 0 not, or a negative errno. */
static int find_passwd(const char *name, struct user *ret, char **ret_name)
{
	cleanup_file FILE *f = fopen("/etc/passwd", "re");
	unsigned int id = 0;
	bool number = parse_id(name, &id);
	struct passwd *p;

	while (f && (p = fgetpwent(f))) {
		if (strcmp(p->pw_name, name) && !(number && p->pw_uid == id))
			continue;
		ret->uid = p->pw_uid;
		ret->gid = p->pw_gid;
		ret->home = strdup(p->pw_dir);
		*ret_name = strdup(p->pw_name);
		return ret->home && *ret_name ? 1 : -ENOMEM;
	}
	if (number)
		ret->uid = id;
	return 0;
}

static int find_group(const char *name, gid_t *ret, struct ct_error *err)
{
	cleanup_file FILE *f = fopen("/etc/group", "re");
	unsigned int id;
	struct group *g;

	while (f && (g = fgetgrent(f))) {
		if (!strcmp(g->gr_name, name)) {
			*ret = g->gr_gid;
			return 0;
		}
	}
	if (!parse_id(name, &id))
		return error_set(err, -EINVAL, "group '%s': the pod's /etc/group has no such group",
				 name);
	*ret = id;
	return 0;
}

static int add_group(struct user *user, gid_t gid)
{
	gid_t *grown;

	if (user->n_groups == GROUPS_MAX)
		return -E2BIG;
	grown = reallocarray(user->groups, user->n_groups + 1, sizeof(gid_t));
	if (!grown)
		return -ENOMEM;
	user->groups = grown;
	grown[user->n_groups++] = gid;
	return 0;
}

/* Every group that lists the user by name, and first the primary one. */
static int find_supplementary(const char *name, struct user *ret)
{
	cleanup_file FILE *f = fopen("/etc/group", "re");
	int r = add_group(ret, ret->gid);
	struct group *g;

	while (r == 0 && f && (g = fgetgrent(f))) {
		for (char **member = g->gr_mem; r == 0 && *member; member++)
			if (!strcmp(*member, name) && g->gr_gid != ret->gid)
				r = add_group(ret, g->gr_gid);
	}
	return r;
}

void user_release(struct user *user)
{
	free(user->groups);
	free(user->home);
	*user = (struct user){ 0 };
}

int user_find(const char *spec, struct user *ret, struct ct_error *err)
{
	cleanup_free char *name = strdup(spec && *spec ? spec : "0");
	cleanup_free char *login = NULL;
	cleanup_user struct user user = { 0 };
	unsigned int id;
	char *group;
	int r;

	if (!name)
		return error_errno(err, -ENOMEM, "user '%s'", spec);
	group = strchr(name, ':');
	if (group)
		*group++ = '\0';
	r = find_passwd(name, &user, &login);
	if (r == 0 && !parse_id(name, &id))
		return error_set(err, -EINVAL, "user '%s': the pod's /etc/passwd has no such user",
				 name);
	if (r >= 0 && group && *group)
		r = find_group(group, &user.gid, err);
	else if (r > 0)
		r = find_supplementary(login, &user);
	if (r == -EINVAL)
		return r; /* words are there */
	if (r < 0)
		return error_errno(err, r, "user '%s'", name);
	if (!user.home)
		user.home = strdup("/");
	if (!user.home)
		return error_errno(err, -ENOMEM, "user '%s'", name);
	*ret = user;
	user = (struct user){ 0 };
	return 0;
}
