// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "cmd/output.h"
#include "cmd/pod-options.h"
#include "cmd/remote.h"

struct restore_options {
	const char *name, *ip, *ip6, *mac, *rootfs, *seccomp;
	struct string_list volumes, cap_add, publish;
	bool detach, verify, leave_stopped, stats, remove, tcp_close, alone;
	struct net_choice net;
	struct remote remote;
};

#define OPTION(field) offsetof(struct restore_options, field)
static const struct option_spec restore_specs[] = {
	{ "name", 0, "NAME", "name of the pod (default: the image's)", set_string, OPTION(name) },
	{ "ip", 0, "ADDRESS", "IPv4 address (default: the image's)", set_string, OPTION(ip) },
	{ "ip6", 0, "ADDRESS", "IPv6 address, auto or none (default: the image's, or made anew with --ip)", set_string,
	  OPTION(ip6), COMPLETE_WORDS, "auto none" },
	{ "mac", 0, "ADDRESS", "Ethernet address (default: the image's, or made from --ip)", set_string,
	  OPTION(mac) },
	{ "detach", 'd', NULL, "leave the pod in the background and print its name", set_flag,
	  OPTION(detach) },
	{ "verify", 0, NULL, "compare the pod with the image before its first instruction", set_flag,
	  OPTION(verify) },
	{ "leave-stopped", 0, NULL, "leave the processes stopped (podckpt kill -s CONT goes on)",
	  set_flag, OPTION(leave_stopped) },
	{ "stats", 0, NULL, "print times and sizes as JSON", set_flag, OPTION(stats) },
	{ "rm", 0, NULL, "remove the pod when it ends", set_flag, OPTION(remove) },
	{ "tcp-close", 0, NULL, "reset the TCP connections that lead out of the pod", set_flag,
	  OPTION(tcp_close) },
	{ "volume", 'v', "SRC:DST[:ro]", "what stands behind the pod's volume DST on this host",
	  set_list, OPTION(volumes), COMPLETE_FILE },
	{ "rootfs", 0, "DIR", "file tree below the pod's own files (default: the image's)", set_string,
	  OPTION(rootfs), COMPLETE_DIRECTORY },
	{ "cap-add", 0, "CAPABILITY", "let the pod have a capability that it had (or all)", set_list,
	  OPTION(cap_add) },
	{ "seccomp", 0, "PROFILE", "let it have its system call filter: unconfined or a file", set_string,
	  OPTION(seccomp), COMPLETE_FILE },
	{ "publish", 'p', "[IP:]HOST:POD[/udp]", "port of this host for one that the pod had published", set_list,
	  OPTION(publish) },
	{ "net", 0, "MODE", "network: image (default), or let it have the host's (host) or that bridge (bridge:NAME)",
	  set_net, OPTION(net), COMPLETE_WORDS, "image host" },
	{ "alone", 0, NULL, "restore pods of a set although others of it are missing", set_flag, OPTION(alone) },
	REMOTE_OPTIONS(struct restore_options, remote),
	{ 0 },
};
#undef OPTION

/*
 * The image came in on standard input, so nothing is left there for the pod: a pipe that stays open and
 * silent takes its place, because an end of file would be passed on to the pod.
 */
static int silence_stdin(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0 || dup2(fds[0], STDIN_FILENO) < 0)
		return -errno;
	close(fds[0]);
	return 0; /* the writing end stays open as long as this process */
}

static int attach(struct context *context, const struct restore_options *o, const char *name,
		  bool from_stdin)
{
	struct ct_error err = { 0 };
	bool detached = false;
	int r;

	if (from_stdin) {
		r = silence_stdin();
		if (r < 0)
			return report_text(context, PODCKPT_FAILURE, "standard input: %s",
					   strerror(-r));
	}
	r = ct_attach(context->ct, name, false, &detached, &err);
	if (r < 0)
		return report(context, name, &err);
	return detached ? 0 : r;
}

static void fill_options(const struct restore_options *o, const struct volumes *volumes,
			 struct ct_restore_options *ret)
{
	ret->name = o->name;
	ret->ip = o->ip;
	ret->ip6 = o->ip6;
	ret->mac = o->mac;
	ret->verify = o->verify;
	ret->leave_stopped = o->leave_stopped;
	ret->remove = o->remove;
	ret->tcp_close = o->tcp_close;
	ret->volumes = volumes->v;
	ret->n_volumes = volumes->n;
	ret->rootfs = o->rootfs;
	ret->cap_add = o->cap_add.v;
	ret->seccomp = o->seccomp;
	ret->host_net = o->net.mode == 1; /* of "image host" */
	ret->publish = o->publish.v;
	ret->bridge = o->net.bridge;
	ret->alone = o->alone;
}

static void verbose(const struct context *context, const char *name, const struct ct_stats *stats)
{
	if (context->verbose)
		fprintf(stderr, "podckpt: restore %s: %" PRIu64 " processes in %" PRIu64 " ms\n", name,
			stats->n_processes, stats->restore_time / 1000);
}

static int failed(const struct context *context, const char *image, const struct ct_error *err)
{
	int code = report(context, image, err);

	return code == PODCKPT_NO_POD ? PODCKPT_FAILURE : code; /* it was a file that is missing */
}

/* `images` is looked at where there are several. */
static int restore_there(struct context *context, const struct restore_options *o,
			 const struct ct_restore_options *ct_options, size_t n, char *const *images)
{
	struct remote remote = o->remote;
	struct ct_remote_options there = remote_begin(&remote, context);
	struct ct_remote_stats stats = { 0 };
	cleanup_free char **names = calloc(n, sizeof(*names));
	struct ct_error err = { 0 };
	int r;

	if (!names)
		return report_text(context, PODCKPT_FAILURE, "out of memory");
	r = n > 1 ? ct_restore_remote_set((const char *const *)images, n, ct_options, &there, names, &stats, &err)
		  : ct_restore_remote(ct_options, &there, names, &stats, &err);
	remote_end(&remote);
	if (r < 0) {
		r = failed(context, n > 1 ? NULL : ct_options->path, &err);
		return err.code == -EINPROGRESS ? PODCKPT_UNDECIDED : r;
	}
	context->done = o->remote.dry_run ? NULL : "the pod runs there";
	if (o->stats)
		remote_stats_print(stdout, &stats);
	for (size_t i = 0; i < n; i++) {
		if (!o->stats && !o->remote.dry_run)
			puts(names[i]);
		free(names[i]);
	}
	return 0;
}

static int restore(struct context *context, const struct restore_options *o, const char *image,
		   const struct volumes *volumes)
{
	CT_OPTIONS(ct_restore_options, ct_options);
	bool from_stdin = !strcmp(image, "-");
	cleanup_free char *name = NULL;
	struct ct_stats stats = { 0 };
	struct ct_error err = { 0 };

	fill_options(o, volumes, &ct_options);
	ct_options.fd = STDIN_FILENO;
	ct_options.path = from_stdin ? NULL : image;
	if (o->remote.host)
		return restore_there(context, o, &ct_options, 1, NULL);
	if (ct_restore(context->ct, &ct_options, &name, &stats, &err) < 0)
		return failed(context, image, &err);
	verbose(context, name, &stats);
	/* In the foreground standard output is the pod's. */
	if (o->stats)
		stats_print(o->detach ? stdout : stderr, &stats, NULL, 1);
	if (!o->detach)
		return attach(context, o, name, from_stdin);
	context->done = "the pod runs";
	if (!o->stats)
		puts(name);
	return 0;
}

/* Whose standard streams would the caller's be? Several go into the background. */
static int restore_set(struct context *context, const struct restore_options *o, size_t n,
		       char *const *images, const struct volumes *volumes)
{
	CT_OPTIONS(ct_restore_options, ct_options);
	cleanup_free struct ct_stats *stats = calloc(n, sizeof(*stats));
	cleanup_free char **names = calloc(n, sizeof(*names));
	struct ct_error err = { 0 };

	if (!stats || !names)
		return report_text(context, PODCKPT_FAILURE, "out of memory");
	fill_options(o, volumes, &ct_options);
	if (o->remote.host)
		return restore_there(context, o, &ct_options, n, images);
	if (ct_restore_set(context->ct, (const char *const *)images, n, &ct_options, names, stats, &err) < 0)
		return failed(context, NULL, &err);
	context->done = "the pods run";
	if (o->stats)
		stats_print(stdout, stats, (const char *const *)names, n);
	for (size_t i = 0; i < n; i++) {
		verbose(context, names[i], &stats[i]);
		if (!o->stats)
			puts(names[i]);
		free(names[i]);
	}
	return 0;
}

static int check_images(struct context *context, const struct restore_options *o, int n, char *const *images)
{
	const char *one = o->name ? "--name" : o->ip ? "--ip" : o->ip6 && strchr(o->ip6, ':') ? "--ip6" :
			  o->mac ? "--mac" : NULL;

	if (n == 1 && !strcmp(images[0], "-") && isatty(STDIN_FILENO))
		return report_text(context, PODCKPT_USAGE, "an image is not read from a terminal");
	if (n > 1 && one)
		return report_text(context, PODCKPT_USAGE, "%s is for one pod, not for several", one);
	for (int i = 0; i < n && n > 1; i++)
		if (!strcmp(images[i], "-"))
			return report_text(context, PODCKPT_USAGE, "standard input has room for one image; name files");
	if (!o->remote.host && o->remote.dry_run)
		return report_text(context, PODCKPT_USAGE, "--dry-run asks another host: --host is missing");
	return 0;
}

static int restore_run(struct context *context, void *options, int argc, char **argv)
{
	const struct restore_options *o = options;
	struct volumes volumes = { 0 };
	int code = check_images(context, o, argc, argv);

	if (code)
		return code;
	code = context_open(context);
	if (!code)
		code = volumes_parse(context, &o->volumes, &volumes);
	if (!code && argc > 1)
		code = restore_set(context, o, (size_t)argc, argv, &volumes);
	else if (!code)
		code = restore(context, o, argv[0], &volumes);
	volumes_release(&volumes);
	return code;
}

const struct command command_restore = {
	.name = "restore",
	.arguments = "TAR...|-",
	.help = "bring pods back from image files",
	.description =
		"Makes the pod of the image again: the same PIDs, address, host name, memory, open files\n"
		"and files, with clocks that go on where they stopped. - reads the image from standard\n"
		"input. Without -d the caller's standard streams are the pod's, as with podckpt run, and\n"
		"the exit code is the program's.\n"
		"\n"
		"Several images are restored together: each pod is built completely, then all are released at\n"
		"once, into the background, and their names are printed. If one fails, there is none of\n"
		"them. Pods that were stopped together (podckpt checkpoint with several) are restored together: the image\n"
		"of one without the others is refused, because its connections with them would not go on,\n"
		"nor what they have in files that they share; --alone restores it all the same.\n"
		"\n"
		"A second pod from the same image, while the first runs, needs another --name and, where it\n"
		"has an address, another --ip. What was made from that, Ethernet and IPv6 address, is made anew;\n"
		"one that was chosen is another with --ip6. TCP connections that lead out of the pod go on at its\n"
		"own addresses only: with others --tcp-close gives them up. The pod then finds them reset by the\n"
		"peer, and so does the peer.\n"
		"\n"
		"Everything that can be refused is refused before anything is made; a restore that fails\n"
		"leaves nothing behind. With --verify everything is read back from the restored pod and\n"
		"compared with the image before the pod goes on; if something differs, it says what, the\n"
		"copy is removed and the exit code is 7.\n"
		"\n"
		"With --host it is restored on another host, in the background, and stays here as a file. What\n"
		"that host refuses it refuses before the image is sent. Files in the image which it has itself\n"
		"are not sent. Of several images there are all pods in the end, or none, as here.\n"
		"\n"
		"An image gets no more than podckpt run would give it. What run gives only by an option has\n"
		"to be given again: each volume with -v, capabilities with --cap-add, another system call\n"
		"filter than the usual one with --seccomp, the host's network with --net host, another bridge\n"
		"than podckpt0 with --net bridge:NAME, published ports with -p. If something is missing, a line\n"
		"for each says what to add, nothing is made, and the exit code is 12.",
	.examples = "podckpt restore -d pod1.tar\tBring it back into the background\n"
		    "podckpt restore -d --name pod2 --ip 10.88.0.20 pod1.tar\tA second one beside it\n"
		    "podckpt restore web.tar db.tar\tBring back two pods that were stopped together\n"
		    "podckpt restore --verify pod1.tar\tCompare first, then go on in the foreground\n"
		    "podckpt restore --host b pod1.tar\tBring it back on host b\n"
		    "podckpt restore --host b web.tar db.tar\tBoth of them there",
	.options = restore_specs,
	.options_size = sizeof(struct restore_options),
	.min_arguments = 1,
	.max_arguments = -1u,
	.complete = COMPLETE_FILE,
	.run = restore_run,
};
