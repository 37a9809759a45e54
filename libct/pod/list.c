// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <string.h>

#include "images/node.h"
#include "libct/base/error.h"
#include "libct/pod/pod.h"
#include "libct/pod/state.h"

DEFINE_CLEANUP(struct doc *, doc_free)

const char *ct_status_name(enum ct_status status)
{
	static const char *const names[] = {
		[CT_CREATED] = "created",     [CT_RUNNING] = "running",
		[CT_CHECKPOINTING] = "checkpointing", [CT_RESTORING] = "restoring",
		[CT_MIGRATING] = "migrating",	      [CT_EXITED] = "exited",
	};

	return (unsigned int)status <= CT_EXITED ? names[status] : "unknown";
}

static char *joined(char *const *words)
{
	size_t size = 1;
	char *text;

	for (size_t i = 0; words && words[i]; i++)
		size += strlen(words[i]) + 1;
	text = calloc(1, size);
	for (size_t i = 0; text && words && words[i]; i++) {
		if (i)
			strcat(text, " ");
		strcat(text, words[i]);
	}
	return text;
}

static int info_fill(struct pod *pod, struct ct_pod_info *ret)
{
	const struct in_addr *ip = &pod->config.address.ip;
	const struct in6_addr *ip6 = &pod->config.address.ip6;
	char text[INET6_ADDRSTRLEN];

	ret->status = pod->state.status;
	ret->exit_code = pod->state.exit_code;
	ret->created = pod->state.created;
	ret->command = joined(pod->config.command);
	if (!ret->command)
		return -ENOMEM;
	if (pod->config.net == CT_NET_BRIDGE && ip->s_addr) {
		inet_ntop(AF_INET, ip, text, sizeof(text));
		ret->ip = strdup(text);
		if (!ret->ip)
			return -ENOMEM;
	}
	if (pod->config.net == CT_NET_BRIDGE && !IN6_IS_ADDR_UNSPECIFIED(ip6)) {
		inet_ntop(AF_INET6, ip6, text, sizeof(text));
		ret->ip6 = strdup(text);
		if (!ret->ip6)
			return -ENOMEM;
	}
	if (pod->pid1_pidfd >= 0) {
		cleanup_free pid_t *pids = NULL;
		ssize_t n = cgroup_processes(pod->state.cgroup, &pids, NULL);

		ret->pid = pod->state.pid1;
		ret->n_processes = n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* One pod. What cannot be read of it stays empty: a damaged pod must not hide the others. */
static int info_get(struct ct *ct, const char *name, struct ct_pod_info *ret)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r = pod_open(ct, name, &pod, NULL);

	if (r == -ENOENT || r == -ENOMEM)
		return r;
	ret->name = strdup(name);
	if (!ret->name)
		return -ENOMEM;
	if (r >= 0)
		return info_fill(pod, ret);
	ret->status = CT_EXITED;
	ret->exit_code = 255;
	ret->command = strdup("");
	return ret->command ? 0 : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct ct_pod_info *)a)->name, ((const struct ct_pod_info *)b)->name);
}

void ct_pods_free(struct ct_pod_info *pods, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(pods[i].name);
		free(pods[i].ip);
		free(pods[i].ip6);
		free(pods[i].command);
	}
	free(pods);
}

struct list {
	struct ct_pod_info *pods;
	size_t n;
};

static void list_release(struct list *l)
{
	ct_pods_free(l->pods, l->n);
}

static int list_add(struct ct *ct, struct list *l, const char *name)
{
	struct ct_pod_info *grown = realloc(l->pods, (l->n + 1) * sizeof(*grown));
	int r;

	if (!grown)
		return -ENOMEM;
	l->pods = grown;
	memset(&grown[l->n], 0, sizeof(*grown));
	r = info_get(ct, name, &grown[l->n]);
	if (r == -ENOENT) /* gone since we read its name */
		return 0;
	l->n++;
	return r;
}

int ct_list(struct ct *ct, struct ct_pod_info **ret, size_t *ret_n, struct ct_error *err)
{
	__cleanup(list_release) struct list l = {};
	cleanup_fd int fd = pods_open(ct, false, err);
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir)
		return error_errno(err, -errno, "list the pods of '%s'", ct->root);
	take_fd(&fd);
	while ((entry = readdir(dir))) {
		int r = pod_name_valid(entry->d_name) ? list_add(ct, &l, entry->d_name) : 0;

		if (r < 0)
			return error_errno(err, r, "list the pods of '%s'", ct->root);
	}
	if (l.n)
		qsort(l.pods, l.n, sizeof(*l.pods), by_name);
	*ret = take_ptr(l.pods);
	*ret_n = l.n;
	l.n = 0;
	return 0;
}

int ct_inspect(struct ct *ct, const char *name, char **ret_json, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	size_t len;
	int r;

	r = pod_open(ct, name, &pod, err);
	if (r < 0)
		return r;
	doc = doc_new();
	if (!doc)
		return error_errno(err, -ENOMEM, "inspect");
	pod_config_put(&pod->config, node_put_object(doc_root(doc), "config"));
	pod_state_put(&pod->state, node_put_object(doc_root(doc), "state"));
	r = doc_check(doc, err);
	if (r >= 0)
		r = doc_format(doc, ret_json, &len, err);
	return r;
}
