/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's configuration as part of config.json and of every manifest: docs/FORMAT.md, "pod". */
#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "images/node.h"
#include "libct/base/error.h"
#include "libct/pod/config-impl.h"
#include "libct/pod/inside.h"

#define TREES_MAX 4096
#define VOLUMES_MAX 4096
#define STRINGS_MAX (1u << 20)

static const char *const net_names[] = {
	[CT_NET_BRIDGE] = "bridge",
	[CT_NET_NONE] = "none",
	[CT_NET_HOST] = "host",
};

void strings_free(char **strings)
{
	for (char **s = strings; s && *s; s++)
		free(*s);
	free(strings);
}

void pod_config_release(struct pod_config *config)
{
	free(config->name);
	strings_free(config->command);
	strings_free(config->env);
	free(config->workdir);
	free(config->user);
	free(config->hostname);
	trees_free(config->trees, config->n_trees);
	for (size_t i = 0; i < config->n_volumes; i++) {
		free(config->volumes[i].source);
		free(config->volumes[i].destination);
	}
	free(config->volumes);
	free(config->seccomp);
	free(config->publish);
	*config = (struct pod_config){ 0 };
}

int pod_config_set_bridge(struct pod_config *config, const char *bridge)
{
	if (!net_name_valid(bridge))
		return -EINVAL;
	if (!strcmp(bridge, NET_BRIDGE)) /* "" is its one name, so that no two images differ by that */
		bridge = "";
	strcpy(config->address.bridge, bridge);
	return 0;
}

bool hostname_valid(const char *name)
{
	size_t len = strlen(name);

	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
			return false;
	return len >= 1 && len <= 64; /* the kernel's most */
}

/* ---- putting ---- */

void pod_config_put(const struct pod_config *c, struct node *to)
{
	struct node *array;

	node_put_str(to, "name", c->name);
	node_put_strings(to, "command", (const char *const *)c->command);
	node_put_strings(to, "env", (const char *const *)c->env);
	node_put_str(to, "workdir", c->workdir);
	node_put_str(to, "user", c->user);
	node_put_str(to, "hostname", c->hostname);
	array = node_put_array(to, "trees");
	for (size_t i = 0; i < c->n_trees; i++) {
		struct node *tree = node_put_object(array, NULL);

		node_put_str(tree, "lower", c->trees[i].lower);
		node_put_str(tree, "at", c->trees[i].at);
		node_put_bool(tree, "plain", c->trees[i].plain);
	}
	array = node_put_array(to, "volumes");
	for (size_t i = 0; i < c->n_volumes; i++) {
		struct node *volume = node_put_object(array, NULL);

		node_put_str(volume, "source", c->volumes[i].source);
		node_put_str(volume, "destination", c->volumes[i].destination);
		node_put_bool(volume, "read_only", c->volumes[i].read_only);
	}
	node_put_bool(to, "read_only", c->read_only);
	node_put_bool(to, "tty", c->tty);
	node_put_bool(to, "interactive", c->interactive);
	node_put_bool(to, "no_init", c->no_init);
	node_put_bool(to, "remove", c->remove);
	node_put_u64(to, "memory", c->memory);
	node_put_u64(to, "cpu_micros", c->cpu_micros);
	node_put_u64(to, "pids", c->pids);
	node_put_hex(to, "capabilities", c->capabilities);
	node_put_str(to, "seccomp", c->seccomp);
	node_put_str(to, "net", net_names[c->net]);
	if (c->net == CT_NET_BRIDGE)
		address_put(to, &c->address);
	publish_put(c, to);
	node_put_i64(to, "stop_signal", c->stop_signal);
	node_put_u64(to, "rows", c->rows);
	node_put_u64(to, "columns", c->columns);
}

/* ---- getting: untrusted ---- */

struct get {
	const struct node *from;
	struct pod_config *config;
	bool no_memory;
};

static char *copy_str(struct get *g, const char *s)
{
	char *copy = strdup(s ? s : "");

	g->no_memory |= !copy;
	return copy;
}

static char **get_strings(struct get *g, const char *key)
{
	const struct node *array = node_array(g->from, key);
	size_t n = node_count(array);
	char **strings;

	if (n > STRINGS_MAX) {
		node_complain(array, "more than %u strings", STRINGS_MAX);
		n = 0;
	}
	strings = calloc(n + 1, sizeof(*strings));
	g->no_memory |= !strings;
	for (size_t i = 0; strings && i < n; i++) {
		strings[i] = copy_str(g, node_at_str(array, i));
		if (!strings[i])
			break;
	}
	return strings;
}

static void get_trees(struct get *g)
{
	const struct node *array = node_array(g->from, "trees");
	struct pod_config *c = g->config;
	size_t n = node_count(array);

	if (n < 1 || n > TREES_MAX) {
		node_complain(array, "there must be 1 to %d trees", TREES_MAX);
		return;
	}
	c->trees = calloc(n, sizeof(*c->trees));
	if (!c->trees) {
		g->no_memory = true;
		return;
	}
	c->n_trees = n;
	for (size_t i = 0; i < n; i++) {
		const struct node *tree = node_at(array, i);
		struct pod_tree *t = &c->trees[i];

		t->lower = copy_str(g, node_path(tree, "lower"));
		t->at = copy_str(g, node_path(tree, "at"));
		t->plain = node_bool(tree, "plain");
		if (!t->lower || !t->at)
			return;
		/* In this order parents are mounted before what lies below them. */
		if (i == 0 ? strcmp(t->at, "/") || t->plain : strcmp(c->trees[i - 1].at, t->at) >= 0)
			node_complain(tree, i == 0 ? "the first tree is not an overlay at '/'"
						   : "trees are not in order");
	}
}

static void get_volumes(struct get *g)
{
	const struct node *array = node_array(g->from, "volumes");
	struct pod_config *c = g->config;
	size_t n = node_count(array);

	if (n > VOLUMES_MAX) {
		node_complain(array, "more than %d volumes", VOLUMES_MAX);
		return;
	}
	c->volumes = calloc(n ? n : 1, sizeof(*c->volumes));
	if (!c->volumes) {
		g->no_memory = true;
		return;
	}
	c->n_volumes = n;
	for (size_t i = 0; i < n; i++) {
		const struct node *volume = node_at(array, i);
		struct pod_volume *v = &c->volumes[i];

		v->source = copy_str(g, node_path(volume, "source"));
		v->destination = copy_str(g, node_path(volume, "destination"));
		v->read_only = node_bool(volume, "read_only");
		if (v->destination && !volume_destination_valid(v->destination))
			node_complain(volume, "a volume cannot be at '%s'", v->destination);
	}
}

static void get_network(struct get *g)
{
	const char *name = node_str(g->from, "net");
	size_t i;

	for (i = 0; i < sizeof(net_names) / sizeof(*net_names); i++)
		if (name && !strcmp(name, net_names[i]))
			break;
	if (i == sizeof(net_names) / sizeof(*net_names)) {
		node_complain(g->from, "network '%s' is not known", name);
		return;
	}
	g->config->net = (enum ct_net)i;
	if (g->config->net == CT_NET_BRIDGE)
		address_get(node_object(g->from, "address"), g->config);
}

static void get_rights(struct get *g)
{
	struct pod_config *c = g->config;
	uint64_t beyond;

	c->capabilities = node_hex(g->from, "capabilities");
	beyond = c->capabilities & ~caps_host();
	if (beyond)
		node_complain(g->from,
			      "capabilities 0x%" PRIx64 " cannot be given: podckpt itself does not "
			      "have them here",
			      beyond);
	c->seccomp = copy_str(g, node_str(g->from, "seccomp"));
	c->stop_signal = (int)node_i64(g->from, "stop_signal", 1, SIGRTMAX);
}

int pod_config_get(const struct node *from, struct pod_config *ret, struct ct_error *err)
{
	struct pod_config config = { 0 };
	struct get g = { from, &config, false };

	config.name = copy_str(&g, node_str(from, "name")); /* pod_reserve() checks it, this or another */
	config.command = get_strings(&g, "command");
	if (config.command && !config.command[0])
		node_complain(from, "the command is empty");
	config.env = get_strings(&g, "env");
	config.workdir = copy_str(&g, node_path(from, "workdir"));
	if (node_has(from, "user"))
		config.user = copy_str(&g, node_str(from, "user"));
	config.hostname = copy_str(&g, node_str(from, "hostname"));
	if (config.hostname && !hostname_valid(config.hostname))
		node_complain(from, "host name '%s' is not one", config.hostname);
	get_trees(&g);
	get_volumes(&g);
	config.read_only = node_bool(from, "read_only");
	config.tty = node_bool(from, "tty");
	config.interactive = node_bool(from, "interactive");
	config.no_init = node_bool(from, "no_init");
	config.remove = node_bool(from, "remove");
	config.memory = node_u64(from, "memory", INT64_MAX);
	config.cpu_micros = node_u64(from, "cpu_micros", INT64_MAX);
	config.pids = node_u64(from, "pids", INT64_MAX);
	get_rights(&g);
	get_network(&g);
	g.no_memory |= publish_get(from, &config) < 0;
	config.rows = (unsigned short)node_u64(from, "rows", UINT16_MAX);
	config.columns = (unsigned short)node_u64(from, "columns", UINT16_MAX);
	if (g.no_memory) {
		pod_config_release(&config);
		return error_errno(err, -ENOMEM, "read a pod's configuration");
	}
	*ret = config;
	return 0;
}
