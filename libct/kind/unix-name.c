/* SPDX-License-Identifier: Apache-2.0 */
/* Names and credentials of unix sockets in the manifest: man 7 unix. */
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#include "libct/base/cleanup.h"
#include "libct/kind/unix.h"

#define SUN_PATH offsetof(struct sockaddr_un, sun_path)
#define SUN_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)
#define GROUPS_MAX 65536

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0)
#endif

void unix_name_from(const struct sockaddr_un *address, socklen_t len, struct unix_name *ret)
{
	*ret = (struct unix_name){ 0 };
	if (len <= SUN_PATH)
		return;
	len -= SUN_PATH;
	if (len > SUN_PATH_MAX)
		len = SUN_PATH_MAX;
	ret->len = address->sun_path[0] ? strnlen(address->sun_path, len) : len;
	memcpy(ret->bytes, address->sun_path, ret->len);
}

socklen_t unix_name_to(const struct unix_name *name, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, name->bytes, name->len);
	return (socklen_t)(SUN_PATH + name->len + (name->bytes[0] && name->len < SUN_PATH_MAX));
}

bool unix_name_equal(const struct unix_name *a, const struct unix_name *b)
{
	return a->len == b->len && !memcmp(a->bytes, b->bytes, a->len);
}

void unix_name_put(struct node *n, const char *key, const struct unix_name *name)
{
	struct node *to;

	if (!name->len)
		return;
	to = node_put_object(n, key);
	if (name->bytes[0])
		node_put_str(to, "path", name->bytes);
	else
		node_put_blob(to, "abstract", name->bytes + 1, name->len - 1);
}

void unix_name_get(const struct node *n, const char *key, struct unix_name *ret)
{
	const struct node *from;
	const char *bytes;
	size_t len;

	*ret = (struct unix_name){ 0 };
	if (!node_has(n, key))
		return;
	from = node_object(n, key);
	if (node_has(from, "path")) {
		bytes = node_str(from, "path");
		len = strlen(bytes);
		if (len < 1 || len > SUN_PATH_MAX)
			node_complain(from, "a path of %zu bytes", len);
		else
			memcpy(ret->bytes, bytes, ret->len = len);
		return;
	}
	bytes = node_blob(from, "abstract", &len);
	if (len > SUN_PATH_MAX - 1) {
		node_complain(from, "an abstract name of %zu bytes", len);
		return;
	}
	if (len)
		memcpy(ret->bytes + 1, bytes, len);
	ret->len = len + 1;
}

int unix_open_file(int fd)
{
	int file = ioctl(fd, SIOCUNIXFILE);

	return file < 0 ? -errno : file;
}

/* ---- credentials ---- */

void unix_who_release(struct unix_who *who)
{
	free(who->groups);
	who->groups = NULL;
}

bool unix_who_equal(const struct unix_who *a, const struct unix_who *b)
{
	if (a->known != b->known)
		return false;
	return !a->known ||
	       (a->vpid == b->vpid && a->uid == b->uid && a->gid == b->gid &&
		a->n_groups == b->n_groups &&
		(!a->n_groups || !memcmp(a->groups, b->groups, a->n_groups * sizeof(gid_t))));
}

void unix_who_put(struct node *n, const char *key, const struct unix_who *who)
{
	struct node *to;

	if (!who->known)
		return;
	to = node_put_object(n, key);
	node_put_i64(to, "pid", who->vpid);
	node_put_u64(to, "uid", who->uid);
	node_put_u64(to, "gid", who->gid);
	if (who->n_groups) {
		struct node *groups = node_put_array(to, "groups");

		for (size_t i = 0; i < who->n_groups; i++)
			node_put_u64(groups, NULL, who->groups[i]);
	}
}

int unix_who_get(const struct node *n, const char *key, struct unix_who *ret, struct ct_error *err)
{
	const struct node *from, *groups;

	*ret = (struct unix_who){ 0 };
	if (!node_has(n, key))
		return 0;
	from = node_object(n, key);
	ret->known = true;
	ret->vpid = (pid_t)node_i64(from, "pid", 0, 1 << 22);
	ret->uid = (uid_t)node_u64(from, "uid", UINT32_MAX - 1);
	ret->gid = (gid_t)node_u64(from, "gid", UINT32_MAX - 1);
	if (!node_has(from, "groups"))
		return 0;
	groups = node_array(from, "groups");
	if (node_count(groups) > GROUPS_MAX) {
		node_complain(groups, "%zu groups", node_count(groups));
		return 0;
	}
	ret->groups = calloc(node_count(groups) + 1, sizeof(gid_t));
	if (!ret->groups)
		return error_errno(err, -ENOMEM, "groups");
	ret->n_groups = node_count(groups);
	for (size_t i = 0; i < ret->n_groups; i++)
		ret->groups[i] = (gid_t)node_at_u64(groups, i, UINT32_MAX - 1);
	return 0;
}
