// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <string.h>

#include "cmd/output.h"

struct network_options {
	const char *subnet, *uplink, *vxlan, *dev;
	uint64_t id;
	int format;
};

#define OPTION(field) offsetof(struct network_options, field)
static const struct option_spec network_specs[] = {
	{ "subnet", 0, "ADDRESS/N", "create: the subnet, or the bridge's own address in it (default: a free one)",
	  set_string, OPTION(subnet) },
	{ "uplink", 0, "LINK", "create: a network card of the host that becomes a port of the bridge", set_string,
	  OPTION(uplink) },
	{ "vxlan", 0, "GROUP", "create: a VXLAN to a multicast group becomes a port of the bridge", set_string,
	  OPTION(vxlan) },
	{ "dev", 0, "LINK", "create: the link that the VXLAN runs over", set_string, OPTION(dev) },
	{ "id", 0, "N", "create: the number of the VXLAN (default: 1)", set_count, OPTION(id) },
	{ "format", 0, "FORMAT", "ls: table (default) or json", set_choice, OPTION(format), COMPLETE_WORDS,
	  "table json" },
	{ 0 },
};
#undef OPTION

static void print_ports(const char *ports)
{
	const char *separator = "";

	putchar('[');
	for (size_t len; *ports; ports += len + (ports[len] == ' ')) {
		char name[32];

		len = strcspn(ports, " ");
		snprintf(name, sizeof(name), "%.*s", (int)len, ports);
		fputs(separator, stdout);
		json_string(stdout, name);
		separator = ", ";
	}
	putchar(']');
}

static void print_json(const struct ct_network_info *list, size_t n)
{
	fputs("{\n  \"version\": 1,\n  \"networks\": [", stdout);
	for (size_t i = 0; i < n; i++) {
		const struct ct_network_info *w = &list[i];

		printf("%s\n    {\"name\": ", i ? "," : "");
		json_string(stdout, w->name);
		fputs(", \"subnet\": ", stdout);
		json_string(stdout, *w->subnet ? w->subnet : NULL);
		fputs(", \"address\": ", stdout);
		json_string(stdout, *w->address ? w->address : NULL);
		fputs(", \"address6\": ", stdout);
		json_string(stdout, *w->address6 ? w->address6 : NULL);
		fputs(", \"ports\": ", stdout);
		print_ports(w->ports);
		printf(", \"pods\": %zu, \"own\": %s, \"up\": %s}", w->n_pods, w->own ? "true" : "false",
		       w->up ? "true" : "false");
	}
	puts(n ? "\n  ]\n}" : "]\n}");
}

static int print_table(const struct ct_network_info *list, size_t n)
{
	struct table table;
	int r;

	table_init(&table, 7);
	table_add(&table, "NAME");
	table_add(&table, "ADDRESS");
	table_add(&table, "IPV6");
	table_add(&table, "PODS");
	table_add(&table, "STATE");
	table_add(&table, "MADE BY");
	table_add(&table, "PORTS");
	for (size_t i = 0; i < n; i++) {
		table_add(&table, "%s", list[i].name);
		table_add(&table, "%s", *list[i].address ? list[i].address : "-");
		table_add(&table, "%s", *list[i].address6 ? list[i].address6 : "-");
		table_add(&table, "%zu", list[i].n_pods);
		table_add(&table, "%s", list[i].up ? "up" : "down");
		table_add(&table, "%s", list[i].own ? "podckpt" : "others");
		table_add(&table, "%s", *list[i].ports ? list[i].ports : "-");
	}
	r = table_print(&table, stdout);
	table_release(&table);
	return r;
}

static int list(const struct context *context, const struct network_options *o)
{
	cleanup_free struct ct_network_info *networks = NULL;
	struct ct_error err = { 0 };
	size_t n;
	int r = 0;

	if (ct_network_list(&networks, &n, &err) < 0)
		return report(context, NULL, &err);
	if (o->format == 1)
		print_json(networks, n);
	else
		r = print_table(networks, n);
	return r < 0 ? report_text(context, PODCKPT_FAILURE, "%s", strerror(-r)) : 0;
}

static int create(const struct context *context, const struct network_options *o, const char *name)
{
	CT_OPTIONS(ct_network_options, ct_options);
	struct ct_error err = { 0 };

	ct_options.name = name;
	ct_options.subnet = o->subnet;
	ct_options.uplink = o->uplink;
	ct_options.vxlan = o->vxlan;
	ct_options.dev = o->dev;
	if (o->id > UINT32_MAX || (o->id && !o->vxlan))
		return report_text(context, PODCKPT_USAGE, o->vxlan ? "--id: the number is too large"
								    : "--id is the number of a VXLAN: --vxlan");
	ct_options.id = (uint32_t)o->id;
	return ct_network_create(&ct_options, &err) < 0 ? report(context, name, &err) : 0;
}

static int network_run(struct context *context, void *options, int argc, char **argv)
{
	const struct network_options *o = options;
	bool making = o->subnet || o->uplink || o->vxlan || o->dev || o->id;
	int code = 0, failed;

	if (!strcmp(argv[0], "ls") && argc == 1 && !making)
		return list(context, o);
	if (!strcmp(argv[0], "create") && argc == 2 && !o->format)
		return create(context, o, argv[1]);
	if (strcmp(argv[0], "rm") || argc < 2 || making || o->format)
		return report_text(context, PODCKPT_USAGE, "not ls, create NAME or rm NAME..., or an option of "
							   "another of them; see podckpt network --help");
	for (int i = 1; i < argc; i++) {
		struct ct_error err = { 0 };

		failed = ct_network_remove(argv[i], &err) < 0 ? report(context, argv[i], &err) : 0;
		code = code ? code : failed;
	}
	return code;
}

const struct command command_network = {
	.name = "network",
	.arguments = "ls|create NAME|rm NAME...",
	.help = "show, make and remove bridges for pods",
	.description =
		"Pods hang on a bridge: podckpt0, which is made by itself, or the one that podckpt run --net\n"
		"bridge:NAME names. A bridge with a network card or a VXLAN in it spans hosts: pods on it reach\n"
		"those of the other hosts, and one that moves to another host keeps its address and its\n"
		"connections.\n"
		"\n"
		"ls shows every bridge of this host, also those that others made, which do as well.\n"
		"\n"
		"create makes one. --uplink puts a network card into it, which must have no address (packets\n"
		"for one would go to the bridge from then on); pods are then neighbours on that card's network,\n"
		"and the bridge has an address only with --subnet. --vxlan makes an Ethernet between all hosts\n"
		"that give the same group and --id, over the link --dev; a host's own address instead of a group\n"
		"joins just two. Each host takes the first address of the subnet that is free, or the one given,\n"
		"as in --subnet 10.9.0.2/16. What leaves the subnet goes out by NAT, except with --uplink. An\n"
		"IPv6 subnet follows from that subnet, the same on each host.\n"
		"Bridges do not outlive the host's restart.\n"
		"\n"
		"rm removes what create made, and podckpt0, when no pods hang on it; a network card is let go.\n"
		"\n"
		"With --format json the output is one object with \"version\" 1 and \"networks\", each with name,\n"
		"subnet, address and address6 (null without one), ports (those that are no pods'), pods (how many), own\n"
		"(made by podckpt) and up.",
	.examples = "podckpt network create lan --uplink eth1\tPods on the network of a card\n"
		    "podckpt network create far --vxlan 239.1.1.1 --dev eth0 --subnet 10.9.0.0/16\tThe same on each host\n"
		    "podckpt run -d --net bridge:far -- ./server\tA pod on it",
	.options = network_specs,
	.options_size = sizeof(struct network_options),
	.min_arguments = 1,
	.max_arguments = -1u,
	.run = network_run,
};
