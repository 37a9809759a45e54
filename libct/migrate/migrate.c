/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conductor of a migration, on the side that the pods leave: one, or several that are stopped together.
 *
 *	here				there
 *	pre-flight, hello, offer ----->	checks, takes the names
 *	stop, describe; of each: image ->	builds everything, stopped; verifies
 *		    <-- READY
 *	freeze, hand over: from here on only the other side's word, or a user's, lets them run on
 *	GO ------------------------->	writes it down, sets the pods going
 *		    <-- RUNNING
 *	end and remove, DONE
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "libct/base/clock.h"
#include "libct/base/descriptors.h"
#include "libct/base/error.h"
#include "libct/checkpoint-steps.h"
#include "libct/host.h"
#include "libct/kind/aio.h"
#include "libct/migrate/leaving.h"
#include "libct/migrate/rights.h"
#include "libct/migrate/send.h"

struct leaver {
	struct pod *pod; /* the checkpoint's */
	struct rights rights;
	struct doc *offer;
	int image[2]; /* a pipe: the image is written to [1] */
	bool handed;
};

struct migration {
	struct sender sender;
	struct checkpoints checkpoint; /* of this one */
	struct ct_checkpoint_options carry;
	struct checkpoint_hooks hooks;
	struct leaver *pods;
	size_t n;
	bool there; /* they run on the other side */
};

/* Of several it is to be said which. */
static int which(const struct migration *m, size_t i, int r, struct ct_error *err)
{
	return m->n > 1 ? error_prefix(err, r, "%s", m->checkpoint.names[i]) : r;
}

static int check_maps(const struct migration *m, const struct ct_migrate_options *options, struct ct_error *err)
{
	for (size_t i = 0; i < options->n_volumes; i++) {
		bool known = false;

		for (size_t k = 0; k < m->n; k++) {
			const struct pod_config *c = &m->pods[k].pod->config;

			for (size_t v = 0; v < c->n_volumes; v++)
				known |= !strcmp(c->volumes[v].source, options->volumes[i].from);
		}
		if (!known)
			return error_set(err, -EINVAL, "%s a volume from '%s'",
					 m->n > 1 ? "none of the pods has" : "the pod has no",
					 options->volumes[i].from);
	}
	return 0;
}

static int make_offer(struct leaver *p, const struct dump *found, const struct ct_migrate_options *options,
		      struct ct_error *err)
{
	__cleanup(ids_release) struct ids ids = { 0 };
	struct aio_needs aio = { 0 };
	uint64_t disk = 0;
	struct node *root;
	int r = rights_take(p->pod, options, &p->rights, err);

	if (r == 0)
		r = leaving_disk(p->pod, &disk, &ids, err);
	if (r == 0)
		r = ids_of_pod(p->pod, &ids, err);
	if (r < 0)
		return r;
	p->offer = sender_new_offer(&p->rights.options, err);
	if (!p->offer)
		return err ? err->code : -ENOMEM;
	root = doc_root(p->offer);
	node_put_u64(root, "format", IMAGE_FORMAT);
	node_put_u64(root, "memory", leaving_memory(p->pod));
	node_put_u64(root, "disk", disk);
	ids_put(&ids, node_put_object(root, "ids"));
	aio_needs_add(&aio, node_array(found->root, "processes"));
	aio_needs_put(&aio, root);
	pod_config_put(&p->pod->config, node_put_object(root, "pod"));
	return host_put(root, err);
}

static int offer_all(struct migration *m, struct ct_error *err)
{
	cleanup_free struct doc **offers = calloc(m->n, sizeof(*offers));

	if (!offers)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; i < m->n; i++)
		offers[i] = m->pods[i].offer;
	sender_phase(&m->sender, "check");
	return sender_offer(&m->sender, offers, NULL, err);
}

/* ---- in the conductor of the checkpoint ---- */

static int open_image(void *context, size_t index, struct ct_error *err)
{
	struct leaver *p = &((struct migration *)context)->pods[index];

	if (pipe2(p->image, O_CLOEXEC) < 0)
		return error_errno(err, -errno, "pipe");
	(void)fcntl(p->image[1], F_SETPIPE_SZ, WIRE_PIPE);
	return p->image[1];
}

static int begin(void *context, size_t index, struct ct_error *err)
{
	struct migration *m = context;

	sender_phase(&m->sender, "send");
	return sender_image_begin(&m->sender, take_fd(&m->pods[index].image[0]), err);
}

static int whole(void *context, size_t index, const char digest[33], struct ct_error *err)
{
	struct migration *m = context;
	int r;

	/* Its reader waits for the end. */
	m->pods[index].image[1] = fd_close(m->pods[index].image[1]);
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

static int hand_over(struct migration *m, size_t i, struct guard *guard, struct ct_error *err)
{
	struct leaver *p = &m->pods[i];
	int r = leaving_write(p->pod, m->sender.remote, m->checkpoint.names, m->sender.ids, m->n, i, err);

	/* What reaches it from here on, the pod there must be able to answer. */
	if (r == 0 && p->pod->state.link[0])
		r = net_lock(p->pod->state.link, err);
	/* Once it is asked for it may be, whatever the answer. */
	p->handed = r == 0;
	if (r == 0)
		r = guard_hand_over(p->pod, guard, err);
	return r < 0 ? which(m, i, r, err) : 0;
}

/* They run on here, after all. What was not handed over does so when its guard ends. */
static int take_back(struct migration *m, struct ct_error *err)
{
	int first = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct checkpoint *c = &m->checkpoint.of[i];
		int r = m->pods[i].handed ? checkpoint_end(c, GUARD_CONTINUE, first ? NULL : err) : 0;

		m->pods[i].handed = false;
		leaving_forget(c->pod);
		if (r < 0 && !first)
			first = which(m, i, r, err);
	}
	return first;
}

/* The command by which a user says what became of them: "podckpt migrate --resolve web db". */
static const char *command_of(const struct migration *m, char buf[512])
{
	int at = snprintf(buf, 512, "podckpt migrate --resolve");

	for (size_t i = 0; i < m->n && at < 512; i++)
		at += snprintf(buf + at, (size_t)(512 - at), " %s", m->checkpoint.names[i]);
	return buf;
}

static int undecided(const struct migration *m, struct ct_error *err)
{
	char lines[sizeof(err->text)], command[512];
	const char *they = m->n == 1 ? "it" : "them";

	snprintf(lines, sizeof(lines), "%.1000s\n%s handed over and %s frozen here until you say what became of %s: %s "
				       "[keep|drop]",
		 err->text, m->n == 1 ? "it was" : "they were", m->n == 1 ? "is" : "are", they, command_of(m, command));
	return error_lines(err, -EINPROGRESS, lines);
}

/* All are handed over before the word is given that any may run there. */
static int part(struct migration *m, struct ct_error *err)
{
	struct ct_error back = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = hand_over(m, i, &m->checkpoint.of[i].guard, err);
	/* The point of no return: GO is on its way. */
	if (r == 0)
		r = wire_send(&m->sender.t.wire, WIRE_GO, NULL, 0, err);
	if (r == 0)
		r = sender_await_running(&m->sender, err);
	if (r == -EINPROGRESS)
		return undecided(m, err);
	if (r < 0 && take_back(m, &back) < 0)
		return error_lines(err, back.code, back.text);
	return r;
}

static int leave(void *context, struct ct_error *err)
{
	struct migration *m = context;
	uint64_t frozen = monotonic_us() - m->checkpoint.of->stats.frozen_time;
	struct ct_error why = { 0 };
	sigset_t old;
	int r;

	sender_phase(&m->sender, "hand over");
	hold_signals(&old);
	r = part(m, &why);
	m->sender.stats.downtime = monotonic_us() - frozen;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return error_lines(err, r, why.text);
	m->there = true;
	sender_phase(&m->sender, "remove");
	return 0;
}

/* Asked again, the other side says that it runs there, and what is left here goes. */
static int not_removed(const struct migration *m, const char *why, struct ct_error *err)
{
	char lines[sizeof(err->text)], command[512];

	snprintf(lines, sizeof(lines), "%.1000s\n%s on '%s'; what is left here, frozen, goes with %s", why,
		 m->n == 1 ? "it runs" : "they run", m->sender.remote->host, command_of(m, command));
	return error_lines(err, -EINPROGRESS, lines);
}

static int transfer(struct migration *m, const struct ct_migrate_options *options, struct ct_error *err)
{
	struct ct_error why = { 0 };
	int r;

	m->carry.compress = options->compress;
	m->carry.compress_level = options->compress_level;
	m->hooks = (struct checkpoint_hooks){ m, open_image, begin, whole, leave };
	m->checkpoint.hooks = &m->hooks;
	for (size_t i = 0; i < m->n; i++)
		m->sender.total += leaving_memory(m->pods[i].pod);
	r = checkpoints_take(&m->checkpoint, &why);
	/* Where they stay they go on now, whatever there is to wait for. */
	checkpoints_release(&m->checkpoint);
	for (size_t i = 0; i < m->n; i++)
		m->pods[i].image[1] = fd_close(m->pods[i].image[1]);
	if (r == 0) {
		sender_done(&m->sender);
		return 0;
	}
	if (m->there)
		return not_removed(m, why.text, err);
	/* Where the image could not be written, the sending knows why; where it was not, it only misses its end. */
	if (sender_image_end(&m->sender, err) < 0 && m->sender.error.code != -EBADMSG)
		return m->sender.error.code;
	return error_lines(err, r, why.text);
}

static void migration_release(struct migration *m)
{
	for (size_t i = 0; m->pods && i < m->n; i++) {
		fd_close(m->pods[i].image[0]);
		fd_close(m->pods[i].image[1]);
		doc_free(m->pods[i].offer);
		rights_release(&m->pods[i].rights);
	}
	sender_close(&m->sender);
	free(m->pods);
	checkpoints_release(&m->checkpoint);
}

static int begin_with(struct migration *m, struct ct *ct, const char *const *names,
		      const struct ct_migrate_options *options, struct ct_error *err)
{
	cleanup_free const char **no_files = calloc(m->n + 1, sizeof(*no_files));
	int r;

	m->pods = calloc(m->n + 1, sizeof(*m->pods));
	if (!m->pods || !no_files)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; i < m->n; i++)
		m->pods[i] = (struct leaver){ .image = { -1, -1 }, .rights.seccomp_fd = -1 };
	r = checkpoints_open(&m->checkpoint, ct, names, no_files, m->n, &m->carry, err);
	for (size_t i = 0; r == 0 && i < m->n; i++)
		m->pods[i].pod = m->checkpoint.of[i].pod;
	if (r == 0)
		r = check_maps(m, options, err);
	for (size_t i = 0; r == 0 && i < m->n; i++) {
		r = make_offer(&m->pods[i], m->checkpoint.of[i].found, options, err);
		if (r < 0)
			return which(m, i, r, err);
	}
	return r;
}

int ct_migrate_set(struct ct *ct, const char *const *names, size_t n, const struct ct_migrate_options *options,
		   const struct ct_remote_options *remote, struct ct_remote_stats *stats, struct ct_error *err)
{
	cleanup_descriptor_room struct descriptor_room room = descriptor_room_make();
	__cleanup(migration_release) struct migration m = { .n = n, .sender = SENDER_NONE };
	int r = begin_with(&m, ct, names, options, err);

	if (r == 0)
		r = sender_open(&m.sender, remote, "migrate", NULL, n, err);
	if (r == 0)
		r = offer_all(&m, err);
	if (r == 0 && !remote->dry_run)
		r = transfer(&m, options, err);
	if (m.sender.remote)
		sender_phase(&m.sender, NULL);
	if (stats)
		*stats = m.sender.stats;
	return r;
}

int ct_migrate(struct ct *ct, const char *name, const struct ct_migrate_options *options,
	       const struct ct_remote_options *remote, struct ct_remote_stats *stats, struct ct_error *err)
{
	return ct_migrate_set(ct, &name, 1, options, remote, stats, err);
}
