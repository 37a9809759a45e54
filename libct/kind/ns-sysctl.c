/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of the pod's IPC and network namespaces below /proc/sys. A pod cannot change them itself
 * (they are read-only there), but whoever runs it can. Those that differ from a new pod's are set.
 */
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"
#include "libct/kind.h"

#define MAX_VALUE 256

static const struct setting {
	const char *name; /* the manifest's, and the path below /proc/sys with dots for slashes */
	bool net;
} settings[] = {
	{ "fs.mqueue.msg_default", false },
	{ "fs.mqueue.msg_max", false },
	{ "fs.mqueue.msgsize_default", false },
	{ "fs.mqueue.msgsize_max", false },
	{ "fs.mqueue.queues_max", false },
	{ "kernel.msgmax", false },
	{ "kernel.msgmnb", false },
	{ "kernel.msgmni", false },
	{ "kernel.sem", false },
	{ "kernel.shmall", false },
	{ "kernel.shmmax", false },
	{ "kernel.shmmni", false },
	{ "net.core.somaxconn", true },
	{ "net.ipv4.ip_forward", true },
	{ "net.ipv4.ip_local_port_range", true },
	{ "net.ipv4.ip_local_reserved_ports", true },
	{ "net.ipv4.ip_nonlocal_bind", true },
	{ "net.ipv4.ip_unprivileged_port_start", true },
	{ "net.ipv4.ping_group_range", true },
	{ "net.ipv4.tcp_fin_timeout", true },
	{ "net.ipv4.tcp_keepalive_intvl", true },
	{ "net.ipv4.tcp_keepalive_probes", true },
	{ "net.ipv4.tcp_keepalive_time", true },
	{ "net.ipv4.tcp_max_syn_backlog", true },
	{ "net.ipv4.tcp_syncookies", true },
	{ "net.ipv4.tcp_tw_reuse", true },
};

static const char *path_of(const char *name, char path[64])
{
	snprintf(path, 64, "sys/%s", name);
	for (char *at = path; (at = strchr(at, '.'));)
		*at = '/';
	return path;
}

/* The value without its newline; NULL where this kernel has no such setting. */
static char *read_setting(int proc, const char *name)
{
	char path[64], *text = NULL;
	ssize_t n = io_read_file(proc, path_of(name, path), MAX_VALUE, &text);

	if (n < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static bool applies(const struct pod *pod, const struct setting *s)
{
	return !s->net || pod->config.net != CT_NET_HOST;
}

static int sysctl_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		cleanup_free char *value = NULL;

		if (!applies(d->pod, &settings[i]))
			continue;
		value = read_setting(d->proc, settings[i].name);
		if (value)
			node_put_str(n, settings[i].name, value);
	}
	return 0;
}

static int sysctl_restore(struct restore *r, const struct node *n, struct ct_error *err)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		const char *name = settings[i].name, *value;
		cleanup_free char *now = NULL;
		char path[64];
		int e;

		if (!applies(r->pod, &settings[i]) || !node_has(n, name))
			continue;
		value = node_str(n, name);
		if (strlen(value) >= MAX_VALUE || strspn(value, "0123456789 \t,-") != strlen(value))
			node_complain(n, "%s: not a value of such a setting", name);
		e = doc_check(r->doc, err);
		if (e < 0)
			return e;
		now = read_setting(r->proc, name);
		if (now && !strcmp(now, value))
			continue;
		e = io_write_file(r->proc, path_of(name, path), value);
		if (e < 0)
			return error_errno(err, e, "set %s to '%s'", name, value);
	}
	return 0;
}

const struct kind kind_sysctl = {
	.name = "sysctl",
	.carries = "settings of the pod's IPC and network namespaces (/proc/sys)",
	.victims = "sysctl",
	.pod_dump = sysctl_dump,
	.pod_restore = sysctl_restore,
};
