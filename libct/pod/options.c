/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a user asked for to a configuration: everything is looked up and checked on this
 * host.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/pod/config-impl.h"
#include "libct/pod/inside.h"

#define CPU_MICROS_MIN 1000 /* the least the kernel can enforce */
#define DEFAULT_ROWS 24
#define DEFAULT_COLUMNS 80

struct options {
	const struct ct *ct;
	const struct ct_run_options *given;
	struct pod_config *config;
};

/* ---- strings and paths ---- */

static int copy(const char *from, char **ret, struct ct_error *err)
{
	if (!from)
		return 0;
	*ret = strdup(from);
	return *ret ? 0 : error_errno(err, -ENOMEM, "copy the options");
}

static int copy_strings(const char *const *from, char ***ret, struct ct_error *err)
{
	size_t n = 0;

	while (from && from[n])
		n++;
	*ret = calloc(n + 1, sizeof(**ret));
	if (!*ret)
		return error_errno(err, -ENOMEM, "copy the options");
	for (size_t i = 0; i < n; i++) {
		int r = copy(from[i], &(*ret)[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * An absolute path without needless slashes; ".." is refused, since it means another place in
 * the pod.
 */
static int plain_path(const char *what, const char *path, char **ret, struct ct_error *err)
{
	char *out, *p;

	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return error_set(err, -EINVAL, "%s '%s' is not an absolute path", what, path);
	out = p = calloc(1, strlen(path) + 2);
	if (!out)
		return error_errno(err, -ENOMEM, "copy the options");
	for (const char *from = path; *from;) {
		size_t len;

		from += strspn(from, "/");
		len = strcspn(from, "/");
		if (len == 2 && !strncmp(from, "..", 2)) {
			free(out);
			return error_set(err, -EINVAL, "%s '%s' contains '..'", what, path);
		}
		if (len && !(len == 1 && *from == '.')) {
			*p++ = '/';
			memcpy(p, from, len);
			p += len;
		}
		from += len;
	}
	if (p == out)
		*p++ = '/';
	*p = '\0';
	*ret = out;
	return 0;
}

/* ---- volumes ---- */

bool volume_destination_valid(const char *path)
{
	static const char *const kernels[] = { "/proc", "/sys" };

	for (size_t i = 0; i < 2; i++)
		if (path_below(path, kernels[i]))
			return false;
	/* Below these two is fine. */
	return strcmp(path, "/") && strcmp(path, "/dev") && strcmp(path, "/run");
}

static int get_volume(const struct ct_volume *from, struct pod_config *c, struct ct_error *err)
{
	struct pod_volume *v = &c->volumes[c->n_volumes];
	struct stat st;
	int r;

	if (!from->source || !from->destination)
		return error_set(err, -EINVAL, "a volume needs a source and a destination");
	if (stat(from->source, &st) < 0)
		return error_errno(err, -errno, "volume '%s'", from->source);
	c->n_volumes++; /* what it holds is released with the configuration */
	v->read_only = from->read_only;
	r = plain_path("volume source", from->source, &v->source, err);
	if (r == 0)
		r = plain_path("volume destination", from->destination, &v->destination, err);
	if (r < 0)
		return r;
	if (!volume_destination_valid(v->destination))
		return error_set(err, -EINVAL, "a volume cannot be at '%s' in the pod",
				 v->destination);
	for (size_t i = 0; i + 1 < c->n_volumes; i++)
		if (!strcmp(c->volumes[i].destination, v->destination))
			return error_set(err, -EINVAL, "two volumes at '%s' in the pod",
					 v->destination);
	return 0;
}

static int get_volumes(struct options *o, struct ct_error *err)
{
	struct pod_config *c = o->config;
	int r = 0;

	c->volumes = calloc(o->given->n_volumes + 1, sizeof(*c->volumes));
	if (!c->volumes)
		return error_errno(err, -ENOMEM, "copy the options");
	for (size_t i = 0; r == 0 && i < o->given->n_volumes; i++)
		r = get_volume(&o->given->volumes[i], c, err);
	return r;
}

/* ---- files ---- */

static int get_trees(struct options *o, struct ct_error *err)
{
	struct pod_config *c = o->config;

	return o->given->rootfs
		       ? trees_of_rootfs(o->given->rootfs, &c->trees, &c->n_trees, err)
		       : trees_of_host(o->ct->root, &c->trees, &c->n_trees, err);
}

static bool is_directory(const char *base, const char *below, uint64_t *ret_mount)
{
	char path[PATH_MAX];
	struct statx stx;

	if (snprintf(path, sizeof(path), "%s%s%s", strcmp(base, "/") ? base : "",
		     *below || !strcmp(base, "/") ? "/" : "", below) >= (int)sizeof(path) ||
	    statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_TYPE | STATX_MNT_ID, &stx) < 0)
		return false;
	*ret_mount = stx.stx_mnt_id;
	return S_ISDIR(stx.stx_mode);
}

/*
 * Will the pod have this directory? It has the trees' mounts and the volumes, not what else is
 * mounted.
 */
static bool pod_has_directory(const struct options *o, const char *path)
{
	static const char *const own[] = { "/proc", "/sys", "/dev", "/run" };
	const struct pod_config *c = o->config;
	const struct pod_tree *tree = NULL;
	uint64_t mount, tree_mount;

	for (size_t i = 0; i < c->n_volumes; i++) {
		const char *below = path_below(path, c->volumes[i].destination);

		if (below)
			return is_directory(c->volumes[i].source, below, &mount);
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (path_below(path, own[i]))
			return false;
	for (size_t i = 0; i < c->n_trees; i++)
		if (path_below(path, c->trees[i].at))
			tree = &c->trees[i]; /* the last is the deepest */
	if (!tree || (!strcmp(tree->lower, tree->at) && path_below(path, o->ct->root)))
		return false;
	return is_directory(tree->lower, path_below(path, tree->at), &mount) &&
	       is_directory(tree->lower, "", &tree_mount) && mount == tree_mount;
}

static int get_workdir(struct options *o, struct ct_error *err)
{
	char cwd[PATH_MAX];

	if (o->given->workdir)
		return plain_path("working directory", o->given->workdir, &o->config->workdir, err);
	if (!getcwd(cwd, sizeof(cwd)) || cwd[0] != '/' || !pod_has_directory(o, cwd))
		strcpy(cwd, "/");
	return copy(cwd, &o->config->workdir, err);
}

/* ---- rights ---- */

static int get_seccomp(struct options *o, struct ct_error *err)
{
	const char *given = o->given->seccomp ? o->given->seccomp : "default";
	struct pod_config *c = o->config;
	ssize_t n;
	int r;

	if (!strcmp(given, "default") || !strcmp(given, "unconfined"))
		return copy(given, &c->seccomp, err);
	n = io_read_file(AT_FDCWD, given, SECCOMP_PROFILE_MAX, &c->seccomp);
	if (n < 0)
		return error_errno(err, (int)n, "seccomp profile '%s'", given);
	r = seccomp_check(c->seccomp, c->capabilities, err);
	return r < 0 ? error_prefix(err, r, "'%s'", given) : 0;
}

static int get_limits(struct options *o, struct ct_error *err)
{
	struct pod_config *c = o->config;

	c->memory = o->given->memory;
	c->cpu_micros = o->given->cpu_micros;
	c->pids = o->given->pids;
	if (c->memory > INT64_MAX || c->pids > INT64_MAX || c->cpu_micros > INT64_MAX)
		return error_set(err, -EINVAL, "a limit is larger than any machine");
	if (c->cpu_micros && c->cpu_micros < CPU_MICROS_MIN)
		return error_set(err, -EINVAL, "a CPU limit below %d us per second cannot be enforced",
				 CPU_MICROS_MIN);
	return 0;
}

/* ---- network ---- */

int mac_parse(const char *text, uint8_t ret[6])
{
	uint8_t mac[6];
	int used = 0;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &used) != 6 ||
	    used != 17 || text[17] || mac[0] & 1)
		return -EINVAL;
	memcpy(ret, mac, 6);
	return 0;
}

static int parse_subnet(const char *text, struct net_subnet *ret)
{
	char address[INET_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	unsigned int prefix;
	int used = 0;

	if (!slash || slash - text >= (int)sizeof(address) ||
	    sscanf(slash + 1, "%2u%n", &prefix, &used) != 1 || slash[1 + used] || prefix < 8 ||
	    prefix > 30)
		return -EINVAL;
	snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
	if (inet_pton(AF_INET, address, &ret->address) != 1 ||
	    ntohl(ret->address.s_addr) & (UINT32_MAX >> prefix))
		return -EINVAL;
	ret->prefix = prefix;
	return 0;
}

static int get_network(struct options *o, struct ct_error *err)
{
	const struct ct_run_options *given = o->given;
	struct pod_config *c = o->config;
	int r = 0;

	if (given->net != CT_NET_BRIDGE && given->net != CT_NET_NONE && given->net != CT_NET_HOST)
		return error_set(err, -EINVAL, "network %d is not known", (int)given->net);
	c->net = given->net;
	if (c->net != CT_NET_BRIDGE && (given->ip || given->ip6 || given->mac || given->subnet || given->bridge))
		return error_set(err, -EINVAL,
				 "an address is for pods on the bridge only (--net bridge)");
	if (given->mac && mac_parse(given->mac, c->address.mac) < 0)
		return error_set(err, -EINVAL,
				 "'%s' is not a MAC address of one station (aa:bb:cc:dd:ee:ff)",
				 given->mac);
	if (given->subnet && parse_subnet(given->subnet, &c->subnet) < 0)
		return error_set(err, -EINVAL,
				 "'%s' is not a subnet (a.b.c.d/n, n from 8 to 30, no host bits)",
				 given->subnet);
	if (given->bridge && pod_config_set_bridge(c, given->bridge) < 0)
		return error_set(err, -EINVAL, "'%s' cannot be the name of a bridge", given->bridge);
	if (given->ip)
		r = pod_config_set_ip(c, given->ip, err);
	if (r == 0 && given->ip6)
		r = pod_config_set_ip6(c, given->ip6, err);
	return r < 0 ? r : pod_config_set_publish(c, given->publish, err);
}

/* ---- the whole ---- */

static int get_simple(struct options *o, struct ct_error *err)
{
	const struct ct_run_options *given = o->given;
	struct pod_config *c = o->config;
	int r;

	if (!given->command || !given->command[0] || !*given->command[0])
		return error_set(err, -EINVAL, "no command is given");
	for (const char *const *e = given->env; e && *e; e++)
		if (!strchr(*e, '=') || **e == '=')
			return error_set(err, -EINVAL, "environment '%s' is not NAME=value", *e);
	if (given->hostname && !hostname_valid(given->hostname))
		return error_set(err, -EINVAL, "'%s' is not a host name", given->hostname);
	if (given->stop_signal < 0 || given->stop_signal > SIGRTMAX)
		return error_set(err, -EINVAL, "signal %d does not exist", given->stop_signal);
	c->read_only = given->read_only;
	c->tty = given->tty;
	c->interactive = given->interactive;
	c->no_init = given->no_init;
	c->remove = given->remove;
	c->stop_signal = given->stop_signal ? given->stop_signal : SIGTERM;
	c->rows = given->tty && !given->rows ? DEFAULT_ROWS : given->rows;
	c->columns = given->tty && !given->columns ? DEFAULT_COLUMNS : given->columns;
	r = copy(given->name, &c->name, err); /* pod_reserve() checks it */
	if (r == 0)
		r = copy(given->hostname, &c->hostname, err);
	if (r == 0)
		r = copy(given->user, &c->user, err);
	if (r == 0)
		r = copy_strings(given->command, &c->command, err);
	return r < 0 ? r : copy_strings(given->env, &c->env, err);
}

int pod_config_from_options(const struct ct *ct, const struct ct_run_options *options,
			    struct pod_config *ret, struct ct_error *err)
{
	__cleanup(pod_config_release) struct pod_config config = { 0 };
	/* A caller built against an older header gave less: the rest is the default. */
	CT_OPTIONS(ct_run_options, given);
	struct options o = { ct, &given, &config };
	int r;

	memcpy(&given, options, options->size < sizeof(given) ? options->size : sizeof(given));
	r = get_simple(&o, err);

	if (r == 0)
		r = get_limits(&o, err);
	if (r == 0)
		r = get_network(&o, err);
	if (r == 0)
		r = caps_parse(given.cap_add, given.cap_drop, &config.capabilities, err);
	if (r == 0)
		r = get_seccomp(&o, err);
	if (r == 0)
		r = get_volumes(&o, err);
	if (r == 0)
		r = get_trees(&o, err);
	if (r == 0)
		r = get_workdir(&o, err); /* last: it asks whether the pod will have it */
	if (r < 0)
		return r;
	*ret = config;
	config = (struct pod_config){ 0 };
	return 0;
}
