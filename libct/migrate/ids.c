/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/migrate/ids.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/migrate/check.h"
#include "libct/task/helper.h"

#define STATUS_MAX (1 << 20)
#define IDS_MAX 8192 /* in an offer, which must fit into a frame; what is beyond is found when it is built */

void ids_release(struct ids *ids)
{
	free(ids->users.v);
	free(ids->groups.v);
	*ids = (struct ids){ 0 };
}

static int add(struct id_list *list, uint32_t id)
{
	size_t at = 0, end = list->n;
	uint32_t *v;

	while (at < end) {
		size_t middle = (at + end) / 2;

		if (list->v[middle] < id)
			at = middle + 1;
		else
			end = middle;
	}
	if ((at < list->n && list->v[at] == id) || list->n == IDS_MAX)
		return 0;
	v = reallocarray(list->v, list->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	memmove(v + at + 1, v + at, (list->n - at) * sizeof(*v));
	v[at] = id;
	list->v = v;
	list->n++;
	return 0;
}

int ids_add_owner(struct ids *ids, uid_t uid, gid_t gid)
{
	int r = add(&ids->users, uid);

	return r < 0 ? r : add(&ids->groups, gid);
}

/* ---- of a pod ---- */

/* The numbers behind "Name:" in a status; the last of them goes to *ret_last (may be NULL). */
static int read_numbers(const char *status, const char *name, struct id_list *list, uint32_t *ret_last)
{
	const char *at = strstr(status, name);
	int r = 0, n;
	uint32_t id;

	at += at ? strlen(name) : 0;
	while (r == 0 && at && sscanf(at, "%*[ \t]%" SCNu32 "%n", &id, &n) == 1) {
		at += n;
		if (list)
			r = add(list, id);
		if (ret_last)
			*ret_last = id;
	}
	return r;
}

static int add_thread(pid_t pid, const char *tid, struct ids *ids)
{
	cleanup_free char *text = NULL;
	char path[64];
	uint32_t inside = 0;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", pid, tid);
	if (io_read_file(AT_FDCWD, path, STATUS_MAX, &text) < 0)
		return 0;
	r = read_numbers(text, "\nUid:", &ids->users, NULL);
	if (r == 0)
		r = read_numbers(text, "\nGid:", &ids->groups, NULL);
	if (r == 0)
		r = read_numbers(text, "\nGroups:", &ids->groups, NULL);
	if (r == 0)
		r = read_numbers(text, "\nNSpid:", NULL, &inside);
	if ((pid_t)inside > ids->highest)
		ids->highest = (pid_t)inside;
	return r;
}

int ids_of_pod(const struct pod *pod, struct ids *ids, struct ct_error *err)
{
	cleanup_free pid_t *pids = NULL;
	ssize_t n = cgroup_processes(pod->state.cgroup, &pids, NULL);
	int r = 0;

	for (ssize_t i = 0; r == 0 && i < n; i++) {
		cleanup_dir DIR *dir = NULL;
		struct dirent *entry;
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/task", pids[i]);
		dir = opendir(path);
		while (r == 0 && dir && (entry = readdir(dir)))
			if (entry->d_name[0] != '.')
				r = add_thread(pids[i], entry->d_name, ids);
	}
	return r < 0 ? error_errno(err, r, "users of the pod") : 0;
}

/* ---- of an image ---- */

static int add_credentials(const struct node *c, struct ids *ids)
{
	static const char *const users[] = { "uid", "euid", "suid", "fsuid" };
	static const char *const groups[] = { "gid", "egid", "sgid", "fsgid" };
	const struct node *list = node_array(c, "groups");
	int r = 0;

	for (size_t i = 0; r == 0 && i < 4; i++)
		r = ids_add_owner(ids, (uid_t)node_u64(c, users[i], UINT32_MAX), (gid_t)node_u64(c, groups[i], UINT32_MAX));
	for (size_t i = 0; r == 0 && i < node_count(list); i++)
		r = add(&ids->groups, (uint32_t)node_at_u64(list, i, UINT32_MAX));
	return r;
}

static void add_pid(const struct node *n, const char *key, struct ids *ids)
{
	pid_t pid = (pid_t)node_i64(n, key, 1, INT32_MAX);

	if (pid > ids->highest)
		ids->highest = pid;
}

int ids_of_image(const struct node *manifest, struct ids *ids, struct ct_error *err)
{
	const struct node *processes = node_array(manifest, "processes");
	int r = 0;

	for (size_t i = 0; r == 0 && i < node_count(processes); i++) {
		const struct node *p = node_at(processes, i);
		const struct node *threads = node_has(p, "threads") ? node_array(p, "threads") : NULL;

		add_pid(p, "vpid", ids);
		for (size_t k = 0; r == 0 && k < node_count(threads); k++) {
			const struct node *t = node_at(threads, k);

			add_pid(t, "vtid", ids);
			r = add_credentials(node_object(t, "credentials"), ids);
		}
	}
	return r < 0 ? error_errno(err, r, "users of the image") : 0;
}

/* ---- the offer ---- */

void ids_put(const struct ids *ids, struct node *to)
{
	struct node *users = node_put_array(to, "users"), *groups = node_put_array(to, "groups");

	for (size_t i = 0; i < ids->users.n; i++)
		node_put_u64(users, NULL, ids->users.v[i]);
	for (size_t i = 0; i < ids->groups.n; i++)
		node_put_u64(groups, NULL, ids->groups.v[i]);
	node_put_u64(to, "highest_pid", (uint64_t)ids->highest);
}

/* Lines of "first-inside first-outside count". */
static bool is_mapped(const char *map, uint64_t id)
{
	for (const char *line = map; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0) {
		uint64_t first, count;

		if (sscanf(line, "%" SCNu64 " %*u %" SCNu64, &first, &count) == 2 && id >= first && id - first < count)
			return true;
	}
	return false;
}

static void check_map(const struct node *list, const char *what, const char *path, struct verdict *v)
{
	cleanup_free char *map = NULL;
	struct ct_error finding = { 0 };
	char more[32] = "";
	uint64_t first = 0;
	size_t n = 0;

	if (io_read_file(AT_FDCWD, path, STATUS_MAX, &map) < 0)
		return;
	for (size_t i = 0; i < node_count(list); i++) {
		uint64_t id = node_at_u64(list, i, UINT32_MAX);

		if (is_mapped(map, id))
			continue;
		first = n ? first : id;
		n++;
	}
	if (n > 1)
		snprintf(more, sizeof(more), " and %zu more", n - 1);
	if (!n)
		return;
	error_set(&finding, -ENOSYS, "%s %" PRIu64 "%s of the pod %s not there: podckpt runs in a user namespace that lacks "
				     "%s (%s)",
		  what, first, more, n > 1 ? "are" : "is", n > 1 ? "them" : "it", path);
	verdict_add(v, &finding);
}

/* Whether a process of a new PID namespace can have it: whose limit is another one since Linux 6.14. */
static bool pid_possible(pid_t pid)
{
	struct clone_args inner = { .flags = CLONE_NEWPID, .exit_signal = SIGCHLD };
	struct clone_args wanted = { .set_tid = (uintptr_t)&pid, .set_tid_size = 1, .exit_signal = SIGCHLD };
	cleanup_free char *text = NULL;
	pid_t init, child;
	int status;

	if (io_read_file(AT_FDCWD, "/proc/sys/kernel/pid_max", 64, &text) >= 0 && pid < atoi(text))
		return true;
	init = sys_clone3(&inner);
	if (init < 0)
		return true; /* that has other reasons */
	if (init == 0) {
		child = sys_clone3(&wanted);
		_exit(child < 0 ? -child : 0);
	}
	status = helper_await(init);
	return !WIFEXITED(status) || WEXITSTATUS(status) != EINVAL;
}

void ids_check(const struct node *from, struct verdict *v)
{
	pid_t highest = (pid_t)node_u64(from, "highest_pid", INT32_MAX);
	struct ct_error finding = { 0 };

	check_map(node_array(from, "users"), "user", "/proc/self/uid_map", v);
	check_map(node_array(from, "groups"), "group", "/proc/self/gid_map", v);
	if (highest <= 1 || pid_possible(highest))
		return;
	error_set(&finding, -ENOSYS, "a process of the pod has PID %d, and this host has none so high; raise kernel.pid_max",
		  highest);
	verdict_add(v, &finding);
}
