/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conductor of a migration, on the side that the pod leaves.
 *
 *	here				there
 *	pre-flight, hello, offer ----->	checks, takes the name
 *	stop, describe, image ------->	builds everything, stopped; verifies
 *		    <-- READY
 *	freeze, hand over: from here on only the other side's word, or a user's, lets it run on
 *	GO ------------------------->	writes it down, sets the pod going
 *		    <-- RUNNING
 *	end and remove, DONE
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <time.h>

#include "libct/base/clock.h"
#include "libct/base/descriptors.h"
#include "libct/base/error.h"
#include "libct/checkpoint-steps.h"
#include "libct/host.h"
#include "libct/migrate/leaving.h"
#include "libct/migrate/send.h"

DEFINE_CLEANUP(struct doc *, doc_free)

struct migration {
	struct sender sender;
	struct checkpoints checkpoint; /* of this one */
	struct ct_checkpoint_options carry;
	struct checkpoint_hooks hooks;
	struct pod *pod; /* its */
	int image_fd; /* where the image is written */
	struct ct_restore_options options; /* what the other side gets */
	struct ct_volume *volumes;
	const char *caps[64 + 1];
	char caps_text[64][32];
	const char **publish;
	char (*publish_text)[NET_PUBLISH_MAX];
	int seccomp_fd;
	char seccomp_path[32];
};

/* ---- what the pod may have there: exactly what it has here ---- */

static const char *mapped(const struct ct_migrate_options *options, const char *source)
{
	for (size_t i = 0; i < options->n_volumes; i++)
		if (!strcmp(options->volumes[i].from, source))
			return options->volumes[i].to;
	return source;
}

static int grant_volumes(struct migration *m, const struct ct_migrate_options *options, struct ct_error *err)
{
	const struct pod_config *c = &m->pod->config;

	for (size_t i = 0; i < options->n_volumes; i++) {
		bool known = false;

		for (size_t k = 0; k < c->n_volumes; k++)
			known |= !strcmp(c->volumes[k].source, options->volumes[i].from);
		if (!known)
			return error_set(err, -EINVAL, "the pod has no volume from '%s'", options->volumes[i].from);
	}
	m->volumes = calloc(c->n_volumes + 1, sizeof(*m->volumes));
	if (!m->volumes)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; i < c->n_volumes; i++)
		m->volumes[i] = (struct ct_volume){ mapped(options, c->volumes[i].source),
						    c->volumes[i].destination, c->volumes[i].read_only };
	m->options.volumes = m->volumes;
	m->options.n_volumes = c->n_volumes;
	return 0;
}

static int grant_all(struct migration *m, const struct ct_migrate_options *options, struct ct_error *err)
{
	const struct pod_config *c = &m->pod->config;
	struct ct_restore_options *o = &m->options;
	size_t n = 0;
	int r;

	o->size = sizeof(*o);
	o->verify = options->verify;
	o->remove = c->remove;
	o->host_net = c->net == CT_NET_HOST;
	for (int i = 0; i < 64; i++) {
		char *name = c->capabilities >> i & 1 ? cap_to_name(i) : NULL;

		if (!name)
			continue;
		snprintf(m->caps_text[n], sizeof(m->caps_text[n]), "%s", name);
		m->caps[n] = m->caps_text[n];
		n++;
		cap_free(name);
	}
	o->cap_add = m->caps;
	o->bridge = c->net == CT_NET_BRIDGE && c->address.bridge[0] ? c->address.bridge : NULL;
	m->publish = calloc(c->n_publish + 1, sizeof(*m->publish));
	m->publish_text = calloc(c->n_publish + 1, sizeof(*m->publish_text));
	if (!m->publish || !m->publish_text)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; i < c->n_publish; i++)
		m->publish[i] = net_publish_text(&c->publish[i], m->publish_text[i]);
	o->publish = m->publish;
	r = seccomp_as_file(c->seccomp, &m->seccomp_fd, m->seccomp_path, &o->seccomp, err);
	return r < 0 ? r : grant_volumes(m, options, err);
}

static int make_offer(struct migration *m, struct doc **ret, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *offer = sender_new_offer(&m->options, err);
	struct node *root = offer ? doc_root(offer) : NULL;
	int r;

	if (!offer)
		return err ? err->code : -ENOMEM;
	node_put_u64(root, "format", IMAGE_FORMAT);
	node_put_u64(root, "memory", leaving_memory(m->pod));
	node_put_u64(root, "disk", leaving_disk(m->pod));
	pod_config_put(&m->pod->config, node_put_object(root, "pod"));
	r = host_put(root, err);
	if (r == 0)
		*ret = take_ptr(offer);
	return r;
}

/* ---- in the conductor of the checkpoint ---- */

static int whole(void *context, const char digest[33], struct ct_error *err)
{
	struct migration *m = context;
	int r;

	/* Its reader waits for the end. */
	m->image_fd = fd_close(m->image_fd);
	r = sender_image_end(&m->sender, err);
	if (r < 0)
		return r;
	sender_phase(&m->sender, "build");
	return sender_await_ready(&m->sender, digest, err);
}

/* The terminal's signals go to the remote shell as well; a user who is impatient here gains nothing. */
static void hold_signals(sigset_t *old)
{
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGHUP);
	sigaddset(&held, SIGQUIT);
	pthread_sigmask(SIG_BLOCK, &held, old);
}

static int hand_over(struct migration *m, struct guard *guard, struct ct_error *err)
{
	int r = leaving_write(m->pod, m->sender.remote, m->sender.id, err);

	/* What reaches it from here on, the pod there must be able to answer. */
	if (r == 0 && m->pod->state.link[0])
		r = net_lock(m->pod->state.link, err);
	if (r == 0)
		r = guard_hand_over(m->pod, guard, err);
	if (r < 0)
		return r;
	/* The point of no return: GO is on its way. */
	r = wire_send(&m->sender.t.wire, WIRE_GO, NULL, 0, err);
	if (r == 0)
		r = sender_await_running(&m->sender, err);
	if (r == -EINPROGRESS) {
		char lines[sizeof(err->text)];

		snprintf(lines, sizeof(lines), "%.1000s\nit was handed over and is frozen here until you say what became of it: "
					       "podckpt migrate --resolve %s [keep|drop]",
			 err->text, m->pod->name);
		return error_lines(err, r, lines);
	}
	if (r < 0) {
		struct ct_error ended = { 0 };

		if (guard_end(m->pod, guard, GUARD_CONTINUE, &ended) < 0)
			return error_lines(err, ended.code, ended.text);
	}
	return r;
}

static int leave(void *context, struct pod *pod, struct guard *guard, struct ct_error *err)
{
	struct migration *m = context;
	uint64_t frozen = monotonic_us() - m->checkpoint.of->stats.frozen_time;
	struct ct_error why = { 0 };
	sigset_t old;
	int r;

	sender_phase(&m->sender, "hand over");
	hold_signals(&old);
	r = hand_over(m, guard, &why);
	m->sender.stats.downtime = monotonic_us() - frozen;
	if (r < 0 && r != -EINPROGRESS)
		leaving_forget(pod);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return error_lines(err, r, why.text);
	sender_phase(&m->sender, "remove");
	return 0;
}

static int transfer(struct migration *m, const struct ct_migrate_options *options, struct ct_error *err)
{
	struct ct_error why = { 0 };
	int fds[2], r;

	sender_phase(&m->sender, "send");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(err, -errno, "pipe");
	m->image_fd = fds[1];
	m->sender.total = leaving_memory(m->pod);
	r = sender_image_begin(&m->sender, fds[0], err);
	if (r < 0)
		return r;
	m->carry.fd = fds[1];
	m->carry.compress = options->compress;
	m->carry.compress_level = options->compress_level;
	m->hooks = (struct checkpoint_hooks){ m, whole, leave };
	m->checkpoint.of->hooks = &m->hooks;
	r = checkpoints_take(&m->checkpoint, &why);
	/* Where it stays it goes on now, whatever there is to wait for. */
	checkpoints_release(&m->checkpoint);
	m->pod = NULL;
	m->image_fd = fd_close(m->image_fd);
	if (r == 0) {
		sender_done(&m->sender);
		return 0;
	}
	/* Where the image could not be written, the sending knows why; where it was not, it only misses its end. */
	if (sender_image_end(&m->sender, err) < 0 && m->sender.error.code != -EBADMSG)
		return m->sender.error.code;
	return error_lines(err, r, why.text);
}

static void migration_release(struct migration *m)
{
	m->image_fd = fd_close(m->image_fd);
	sender_close(&m->sender);
	free(m->volumes);
	free(m->publish);
	free(m->publish_text);
	fd_close(m->seccomp_fd);
	checkpoints_release(&m->checkpoint);
}

int ct_migrate(struct ct *ct, const char *name, const struct ct_migrate_options *options,
	       const struct ct_remote_options *remote, struct ct_remote_stats *stats, struct ct_error *err)
{
	cleanup_descriptor_room struct descriptor_room room = descriptor_room_make();
	__cleanup(doc_free_cleanup) struct doc *offer = NULL;
	struct migration m = { .image_fd = -1, .seccomp_fd = -1,
			       .sender = { .image_fd = -1, .t = { .pidfd = -1, .words_fd = -1, .stop_fd = -1,
								  .wire = { .in = -1, .out = -1 } } } };
	const char *no_file = NULL;
	int r = checkpoints_open(&m.checkpoint, ct, &name, &no_file, 1, &m.carry, err);

	if (r == 0) {
		m.pod = m.checkpoint.of->pod;
		r = grant_all(&m, options, err);
	}
	if (r == 0)
		r = make_offer(&m, &offer, err);
	if (r == 0)
		r = sender_open(&m.sender, remote, "migrate", NULL, err);
	if (r == 0) {
		sender_phase(&m.sender, "check");
		r = sender_offer(&m.sender, offer, NULL, err);
	}
	if (r == 0 && !remote->dry_run)
		r = transfer(&m, options, err);
	if (m.sender.remote)
		sender_phase(&m.sender, NULL);
	if (stats)
		*stats = m.sender.stats;
	migration_release(&m);
	return r;
}
