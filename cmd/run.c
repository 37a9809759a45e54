// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <string.h>

#include "cmd/output.h"
#include "cmd/pod-options.h"

struct run_options {
	const char *name, *workdir, *user, *hostname, *rootfs, *seccomp, *ip, *ip6, *mac, *subnet;
	struct string_list env, env_file, volumes, cap_add, cap_drop, publish;
	bool detach, interactive, tty, read_only, no_init, remove;
	uint64_t memory, cpus, pids;
	struct net_choice net;
	int stop_signal;
};

#define OPTION(field) offsetof(struct run_options, field)
static const struct option_spec run_specs[] = {
	{ "name", 0, "NAME", "name of the pod (default: a short one is made up and printed with -d)",
	  set_string, OPTION(name) },
	{ "detach", 'd', NULL, "leave the pod in the background and print its name", set_flag,
	  OPTION(detach) },
	{ "interactive", 'i', NULL, "keep standard input open", set_flag, OPTION(interactive) },
	{ "tty", 't', NULL, "run the command on a terminal of its own", set_flag, OPTION(tty) },
	{ "env", 'e', "NAME[=VALUE]", "set a variable, or pass the caller's", set_list, OPTION(env) },
	{ "env-file", 0, "FILE", "read such settings from a file, one a line", set_list,
	  OPTION(env_file), COMPLETE_FILE },
	{ "workdir", 'w', "DIR", "directory in the pod to start in (default: the current one)",
	  set_string, OPTION(workdir), COMPLETE_DIRECTORY },
	{ "user", 'u', "USER[:GROUP]", "user to run as, looked up in the pod (default: root)",
	  set_string, OPTION(user) },
	{ "hostname", 0, "NAME", "host name of the pod (default: its name)", set_string,
	  OPTION(hostname) },
	{ "volume", 'v', "SRC:DST[:ro]", "mount a file or directory of the host into the pod", set_list,
	  OPTION(volumes), COMPLETE_FILE },
	{ "rootfs", 0, "DIR", "file tree to see, copy-on-write (default: the host's own)", set_string,
	  OPTION(rootfs), COMPLETE_DIRECTORY },
	{ "read-only", 0, NULL, "make the root file system read-only", set_flag, OPTION(read_only) },
	{ "memory", 0, "SIZE", "limit of memory, such as 512m", set_size, OPTION(memory) },
	{ "cpus", 0, "N", "limit of CPU time, such as 1.5", set_cpus, OPTION(cpus) },
	{ "pids", 0, "N", "limit of tasks", set_count, OPTION(pids) },
	{ "cap-add", 0, "CAPABILITY", "grant a capability (or all)", set_list, OPTION(cap_add) },
	{ "cap-drop", 0, "CAPABILITY", "take a capability away (or all)", set_list, OPTION(cap_drop) },
	{ "seccomp", 0, "PROFILE", "system call filter: default, unconfined or a file", set_string,
	  OPTION(seccomp), COMPLETE_FILE },
	{ "net", 0, "MODE", "network: bridge (default), bridge:NAME, none or host", set_net, OPTION(net),
	  COMPLETE_WORDS, "bridge none host" },
	{ "publish", 'p', "[IP:]HOST:POD[/udp]", "make a port of the host lead to one of the pod", set_list,
	  OPTION(publish) },
	{ "ip", 0, "ADDRESS", "IPv4 address (default: the next free one)", set_string, OPTION(ip) },
	{ "ip6", 0, "ADDRESS", "IPv6 address, none or auto (default: auto, one made from the IPv4 address)",
	  set_string, OPTION(ip6), COMPLETE_WORDS, "auto none" },
	{ "mac", 0, "ADDRESS", "Ethernet address (default: made from the IPv4 address)", set_string,
	  OPTION(mac) },
	{ "subnet", 0, "ADDRESS/N", "subnet of a bridge that does not exist yet or has no address", set_string,
	  OPTION(subnet) },
	{ "no-init", 0, NULL, "make the command itself PID 1", set_flag, OPTION(no_init) },
	{ "rm", 0, NULL, "remove the pod when it ends", set_flag, OPTION(remove) },
	{ "stop-signal", 0, "SIGNAL", "signal that podckpt stop sends (default: TERM)", set_signal,
	  OPTION(stop_signal), COMPLETE_SIGNAL },
	{ 0 },
};
#undef OPTION

/* The indices of "bridge none host" above are those of the enum. */
_Static_assert(CT_NET_BRIDGE == 0 && CT_NET_NONE == 1 && CT_NET_HOST == 2, "order of --net");

/* Defaults, then files, then -e: the more specific wins. */
static int make_environment(const struct context *context, const struct run_options *o,
			    struct environment *env)
{
	int code;

	if (environment_default(env, o->tty, o->user, o->rootfs) < 0)
		return report_text(context, PODCKPT_FAILURE, "out of memory");
	for (size_t i = 0; i < o->env_file.n; i++) {
		code = environment_file(context, env, o->env_file.v[i]);
		if (code)
			return code;
	}
	for (size_t i = 0; i < o->env.n; i++)
		if (environment_set(env, o->env.v[i]) < 0)
			return report_text(context, PODCKPT_FAILURE, "out of memory");
	return 0;
}

static void fill(struct ct_run_options *to, const struct run_options *o, char **argv,
		 const struct environment *env, const struct volumes *volumes)
{
	to->name = o->name;
	to->command = (const char *const *)argv;
	to->env = (const char *const *)env->v;
	to->workdir = o->workdir;
	to->user = o->user;
	to->hostname = o->hostname;
	to->rootfs = o->rootfs;
	to->volumes = volumes->v;
	to->n_volumes = volumes->n;
	to->read_only = o->read_only;
	to->tty = o->tty;
	to->interactive = o->interactive;
	to->no_init = o->no_init;
	to->remove = o->remove;
	to->memory = o->memory;
	to->cpu_micros = o->cpus;
	to->pids = o->pids;
	to->cap_add = o->cap_add.v;
	to->cap_drop = o->cap_drop.v;
	to->seccomp = o->seccomp;
	to->net = o->net.mode;
	to->bridge = o->net.bridge;
	to->publish = o->publish.v;
	to->ip = o->ip;
	to->ip6 = o->ip6;
	to->mac = o->mac;
	to->subnet = o->subnet;
	to->stop_signal = o->stop_signal;
	if (o->tty)
		terminal_size(&to->rows, &to->columns);
}

static int run_pod(struct context *context, const struct run_options *o,
		   const struct ct_run_options *ct_options)
{
	cleanup_free char *name = NULL;
	struct ct_error err = { 0 };
	bool detached = false;
	int r;

	r = ct_run(context->ct, ct_options, &name, &err);
	if (r < 0)
		return program_failed(context, o->name, o->detach, &err);
	if (!o->detach) {
		r = ct_attach(context->ct, name, true, &detached, &err);
		if (r < 0)
			return program_failed(context, name, false, &err);
		if (!detached)
			return r;
	}
	context->done = "the pod runs";
	puts(name);
	return 0;
}

static int run_run(struct context *context, void *options, int argc, char **argv)
{
	const struct run_options *o = options;
	CT_OPTIONS(ct_run_options, ct_options);
	struct environment env = { 0 };
	struct volumes volumes = { 0 };
	int code;

	code = context_open(context);
	if (!code)
		code = make_environment(context, o, &env);
	if (!code)
		code = volumes_parse(context, &o->volumes, &volumes);
	if (code && !o->detach)
		code = PODCKPT_SELF;
	if (!code) {
		fill(&ct_options, o, argv, &env, &volumes);
		code = run_pod(context, o, &ct_options);
	}
	volumes_release(&volumes);
	environment_release(&env);
	return code;
}

const struct command command_run = {
	.name = "run",
	.arguments = "[--] COMMAND [ARGUMENT]...",
	.help = "run a command in a new pod",
	.description =
		"Makes a pod with its own PIDs, mounts, network, IPC, host name, clocks and cgroup, and\n"
		"runs COMMAND in it. Without -d the caller's standard streams are the pod's and the exit\n"
		"code is the command's; ctrl-p ctrl-q leaves a terminal without ending the pod.\n"
		"\n"
		"The pod sees the host's files as its user does in the shell, copy-on-write: what it\n"
		"writes goes to the pod's own layer and never reaches the host. -v is the way to write\n"
		"outside. /proc, /sys, /dev and /run are the pod's own.\n"
		"\n"
		"The command gets PATH, HOME, USER, LOGNAME, SHELL, TZ and the language settings of the\n"
		"caller, TERM with -t, and what -e and --env-file add. With -u or --rootfs, HOME and USER\n"
		"are those of the user in the pod, and --rootfs brings the usual PATH.\n"
		"\n"
		"With --net bridge the pod has an address on the bridge podckpt0, which is made when first\n"
		"needed; the host and other pods reach it there, and it reaches outwards by NAT. With --net\n"
		"bridge:NAME it hangs on that bridge, which somebody made (podckpt network create) and which\n"
		"may span hosts: it gets an address of the bridge's subnet for which nobody answers there.\n"
		"\n"
		"It has an IPv6 address too, made from the IPv4 address, where this host has IPv6 and the bridge\n"
		"a permanent IPv6 address; podckpt0 gets one. It reaches outwards, by NAT, where this host\n"
		"forwards IPv6 (sysctl net.ipv6.conf.all.forwarding): podckpt does not switch that on, because\n"
		"a host that forwards ignores router advertisements on links with accept_ra 1.\n"
		"\n"
		"With -p a port of the host leads to the pod: for whoever comes from outside, for other pods,\n"
		"and for the host itself by any of its addresses but 127.0.0.1, ::1 and link-local ones. Over\n"
		"IPv6 it does where the pod has an IPv6 address and this host forwards IPv6. IP is one address\n"
		"of the host, IPv6 in brackets ([2001:db8::2]:8080:80); 0.0.0.0 and [::] are all of IPv4 and of\n"
		"IPv6 alone. The port leads there as long as the pod is there; one that a program or another pod\n"
		"has is refused.\n"
		"\n"
		"PID 1 of the pod is a small init that reaps, forwards signals and ends with the last\n"
		"process; the pod's exit code is the command's.",
	.examples = "podckpt run -d --name pod1 -- ./server\tA server in the background\n"
		    "podckpt run -it --rm -- bash\tA shell to look around in, gone when it ends\n"
		    "podckpt run -d -p 8080:80 -- nginx -g 'daemon off;'\tReached from outside on port 8080\n"
		    "podckpt run -d -v ./data:/data --memory 512m -- ./server /data\tWith files of the host and a limit",
	.options = run_specs,
	.options_size = sizeof(struct run_options),
	.min_arguments = 1,
	.max_arguments = -1u,
	.complete = COMPLETE_COMMAND,
	.program_at = 1,
	.own_code = true,
	.run = run_run,
};
