/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/migrate/message.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"

#define LIST_MAX 4096

DEFINE_CLEANUP(struct doc *, doc_free)

int message_send(struct wire *w, enum wire_type type, const struct doc *doc, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r = doc ? doc_check(doc, err) : error_errno(err, -ENOMEM, "migration");

	if (r == 0)
		r = doc_format(doc, &text, &len, err);
	return r < 0 ? r : wire_send(w, type, text, len, err);
}

int message_recv(struct wire *w, int timeout_ms, enum wire_type type, enum wire_type other,
		 struct doc **ret, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	const void *payload;
	size_t len;
	int r, got = wire_recv(w, timeout_ms, &payload, &len, err);

	if (got < 0)
		return got;
	if (got != WIRE_FAILED && got != (int)type && got != (int)other)
		return error_set(err, -EPROTO, "the message %s does not belong here", wire_type_name(got));
	if (ret || got == WIRE_FAILED) {
		r = doc_parse(payload, len, &doc, err);
		if (r < 0)
			return error_prefix(err, -EPROTO, "%s", wire_type_name(got));
	}
	if (got == WIRE_FAILED)
		return message_get_error(doc_root(doc), w->peer, err);
	if (ret)
		*ret = take_ptr(doc);
	return got;
}

/* ---- errors ---- */

/* The words are the protocol's and stay. */
static const struct {
	int code;
	const char *reason;
} reasons[] = {
	{ -EEXIST, "name" },	    { -EADDRINUSE, "address" },	 { -ENOSYS, "host" },
	{ -EBADMSG, "image" },	    { -EPROTONOSUPPORT, "version" }, { -EUCLEAN, "verify" },
	{ -EINVAL, "options" },	    { -EKEYREJECTED, "grants" }, { -EOPNOTSUPP, "object" },
	{ -ENOMEM, "memory" },	    { -ENOSPC, "disk" },	 { -EPERM, "root" },
	{ -ENOENT, "missing" },	    { -EINPROGRESS, "unknown" },
};

void message_put_error(struct node *to, const struct ct_error *error)
{
	const char *reason = "other";

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].code == error->code)
			reason = reasons[i].reason;
	node_put_str(to, "reason", reason);
	node_put_str(to, "text", error->text[0] ? error->text : strerror(-error->code));
}

/* Nothing that a terminal would act on. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 ? *text != '\n' : *text == 0x7f)
			*text = '?';
}

int message_get_error(const struct node *from, const char *peer, struct ct_error *err)
{
	const char *reason = node_str(from, "reason"), *text = node_str(from, "text");
	char all[sizeof(((struct ct_error *)0)->text)] = "";
	int code = -EREMOTEIO;
	size_t len = 0;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (!strcmp(reason, reasons[i].reason))
			code = reasons[i].code;
	if (!*text)
		text = "it failed without a reason";
	while (*text && len < sizeof(all) - 1) {
		size_t n = strcspn(text, "\n");

		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s%s%.*s", len ? "\n" : "",
					peer ? peer : "", peer ? ": " : "", (int)n, text);
		text += n + (text[n] == '\n');
	}
	clean(all);
	return error_lines(err, code, all);
}

void message_fail(struct wire *w, const struct ct_error *error)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();

	if (!doc)
		return;
	message_put_error(doc_root(doc), error);
	message_send(w, WIRE_FAILED, doc, NULL);
}

bool migration_id_valid(const char *id)
{
	return strlen(id) == MIGRATION_ID_SIZE - 1 && strspn(id, "0123456789abcdef") == MIGRATION_ID_SIZE - 1;
}

/* ---- options ---- */

void message_put_options(struct node *to, const struct ct_restore_options *o, const char *seccomp)
{
	struct node *list;

	node_put_str(to, "name", o->name);
	node_put_str(to, "ip", o->ip);
	node_put_str(to, "mac", o->mac);
	node_put_str(to, "rootfs", o->rootfs);
	node_put_bool(to, "verify", o->verify);
	node_put_bool(to, "leave_stopped", o->leave_stopped);
	node_put_bool(to, "remove", o->remove);
	node_put_bool(to, "host_net", o->host_net);
	node_put_bool(to, "tcp_close", o->tcp_close);
	node_put_bool(to, "alone", o->alone);
	if (seccomp)
		node_put_str(to, "seccomp_profile", seccomp);
	else
		node_put_str(to, "seccomp", o->seccomp);
	node_put_str(to, "bridge", o->bridge);
	node_put_str(to, "ip6", o->ip6);
	node_put_strings(to, "cap_add", o->cap_add);
	node_put_strings(to, "publish", o->publish);
	list = node_put_array(to, "volumes");
	for (size_t i = 0; i < o->n_volumes; i++) {
		struct node *v = node_put_object(list, NULL);

		node_put_str(v, "source", o->volumes[i].source);
		node_put_str(v, "destination", o->volumes[i].destination);
		node_put_bool(v, "read_only", o->volumes[i].read_only);
	}
}

static const char *optional(const struct node *from, const char *key)
{
	return node_has(from, key) ? node_str(from, key) : NULL;
}

int seccomp_as_file(const char *seccomp, int *ret_fd, char path[32], const char **ret, struct ct_error *err)
{
	int fd, r;

	*ret = seccomp;
	if (!seccomp || !strcmp(seccomp, "default") || !strcmp(seccomp, "unconfined"))
		return 0;
	/* One that has no name anywhere. */
	fd = memfd_create("seccomp", MFD_CLOEXEC);
	if (fd < 0)
		return error_errno(err, -errno, "seccomp profile");
	*ret_fd = fd;
	r = io_write_all(fd, seccomp, strlen(seccomp));
	if (r < 0)
		return error_errno(err, r, "seccomp profile");
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	*ret = path;
	return 0;
}

static int get_seccomp(const struct node *from, struct message_options *ret, struct ct_error *err)
{
	ret->options.seccomp = optional(from, "seccomp");
	if (ret->options.seccomp && strcmp(ret->options.seccomp, "default") &&
	    strcmp(ret->options.seccomp, "unconfined"))
		node_complain(from, "'%s' is no system call filter", ret->options.seccomp);
	if (!node_has(from, "seccomp_profile"))
		return 0;
	return seccomp_as_file(node_str(from, "seccomp_profile"), &ret->seccomp_fd, ret->seccomp_path,
			       &ret->options.seccomp, err);
}

/* NULL-terminated; the strings are the document's. */
static const char **get_strings(const struct node *from, const char *key)
{
	const struct node *list = node_array(from, key);
	size_t n = node_count(list);
	const char **strings = n > LIST_MAX ? NULL : calloc(n + 1, sizeof(*strings));

	if (!strings)
		node_complain(from, "%s: too many", key);
	for (size_t i = 0; strings && i < n; i++)
		strings[i] = node_at_str(list, i);
	return strings;
}

static void get_lists(const struct node *from, struct message_options *ret)
{
	const struct node *volumes = node_array(from, "volumes");
	size_t n = node_count(volumes);

	ret->cap_add = get_strings(from, "cap_add");
	ret->publish = get_strings(from, "publish");
	ret->volumes = n > LIST_MAX ? NULL : calloc(n + 1, sizeof(*ret->volumes));
	if (!ret->volumes) {
		node_complain(from, "volumes: too many");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const struct node *v = node_at(volumes, i);

		ret->volumes[i].source = node_path(v, "source");
		ret->volumes[i].destination = node_path(v, "destination");
		ret->volumes[i].read_only = node_bool(v, "read_only");
	}
	ret->options.cap_add = ret->cap_add;
	ret->options.publish = ret->publish;
	ret->options.volumes = ret->volumes;
	ret->options.n_volumes = n;
}

int message_get_options(const struct node *from, struct message_options *ret, struct ct_error *err)
{
	struct ct_restore_options *o = &ret->options;

	*ret = (struct message_options){ .options.size = sizeof(*o), .seccomp_fd = -1 };
	o->name = optional(from, "name");
	o->ip = optional(from, "ip");
	o->mac = optional(from, "mac");
	o->bridge = optional(from, "bridge");
	o->ip6 = optional(from, "ip6");
	if (node_has(from, "rootfs"))
		o->rootfs = node_path(from, "rootfs");
	o->verify = node_bool(from, "verify");
	o->leave_stopped = node_bool(from, "leave_stopped");
	o->remove = node_bool(from, "remove");
	o->host_net = node_bool(from, "host_net");
	o->tcp_close = node_bool(from, "tcp_close");
	o->alone = node_bool(from, "alone");
	get_lists(from, ret);
	return get_seccomp(from, ret, err);
}

void message_options_release(struct message_options *o)
{
	free(o->volumes);
	free(o->cap_add);
	free(o->publish);
	o->seccomp_fd = fd_close(o->seccomp_fd);
	o->volumes = NULL;
	o->cap_add = o->publish = NULL;
}
