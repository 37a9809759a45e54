/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conductor on the host that a pod comes to: `podckpt receive`, at the end of a remote shell. It
 * believes nothing that it hears, and leaves nothing behind unless the pod runs.
 */
#include <fcntl.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/host.h"
#include "libct/migrate/check.h"
#include "libct/migrate/journal.h"
#include "libct/migrate/receive.h"
#include "libct/restore-steps.h"

/* How long the other side may say nothing: while it stops a big pod; when all is ready; when it is told so. */
#define IMAGE_TIMEOUT_MS 600000
#define GO_TIMEOUT_MS 60000
#define DONE_TIMEOUT_MS 30000
#define GUESTS_MAX 255

DEFINE_CLEANUP(struct doc *, doc_free)

/* Everything but the wire. */
static void clean_up(struct session *s)
{
	intake_end(s);
	for (size_t i = 0; i < s->n_guests; i++) {
		struct guest *g = &s->guests[i];

		if (g->pod) {
			pod_destroy(g->pod, NULL);
			pod_free(take_ptr(g->pod));
		}
		if (g->entered)
			journal_remove(s->ct, g->id, NULL);
		pod_config_release(&g->config);
		message_options_release(&g->options);
	}
	free(take_ptr(s->guests));
	s->n_guests = 0;
	doc_free(take_ptr(s->offer));
}

static int greet(struct session *s, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *hello = NULL, *welcome = doc_new();
	const struct node *versions;
	bool common = false;
	int r = message_recv(&s->wire, IMAGE_TIMEOUT_MS, WIRE_HELLO, 0, &hello, err);

	if (r < 0)
		return r;
	versions = node_array(doc_root(hello), "protocol");
	for (size_t i = 0; i < node_count(versions); i++)
		common |= node_at_u64(versions, i, UINT32_MAX) == WIRE_VERSION;
	snprintf(s->id, sizeof(s->id), "%s", node_str(doc_root(hello), "id"));
	s->runs = !strcmp(node_str(doc_root(hello), "purpose"), "migrate");
	r = doc_check(hello, err);
	if (r < 0)
		return r;
	if (!migration_id_valid(s->id))
		return error_set(err, -EPROTO, "not the name of a migration");
	if (!common)
		return error_set(err, -EPROTONOSUPPORT, "podckpt here speaks version %d of the protocol only; use "
							"the same podckpt on both hosts",
				 WIRE_VERSION);
	if (!welcome)
		return error_errno(err, -ENOMEM, "migration");
	node_put_u64(doc_root(welcome), "protocol", WIRE_VERSION);
	r = host_put(doc_root(welcome), err);
	return r < 0 ? r : message_send(&s->wire, WIRE_WELCOME, welcome, err);
}

/* The other side knows that it ran here. */
static int forget(struct session *s, struct ct_error *err)
{
	enum arrival arrival;
	int r = journal_ask(s->ct, s->id, &arrival, err);

	return r == 0 && (arrival == ARRIVAL_RUNNING || arrival == ARRIVAL_ENDED) ? journal_remove(s->ct, s->id, err) : r;
}

/* Answers as often as it is asked; 0 when the other side has hung up. */
static int tell_state(struct session *s, struct ct_error *err)
{
	const void *payload;
	size_t len;
	int r = 0;

	while (r >= 0) {
		__cleanup(doc_free_cleanup) struct doc *doc = doc_new();
		enum arrival arrival;

		r = journal_ask(s->ct, s->id, &arrival, err);
		if (r < 0)
			return r;
		if (doc)
			node_put_str(doc_root(doc), "state", arrival_name(arrival));
		r = message_send(&s->wire, WIRE_STATE, doc, err);
		if (r == 0)
			r = wire_recv(&s->wire, IMAGE_TIMEOUT_MS, &payload, &len, err);
		if (r == WIRE_DONE)
			return forget(s, err);
	}
	return r == -EPIPE ? 0 : r;
}

static int meet(struct session *s, size_t i, const struct node *offer, const char *id, struct ct_error *err)
{
	struct guest *g = &s->guests[i];

	*g = (struct guest){ .session = s, .offer = offer, .options.seccomp_fd = -1 };
	snprintf(g->id, sizeof(g->id), "%s", id);
	s->n_guests++;
	for (size_t k = 0; k < i; k++)
		if (!strcmp(s->guests[k].id, id))
			return error_set(err, -EPROTO, "two migrations of one name");
	if (!migration_id_valid(id))
		return error_set(err, -EPROTO, "not the name of a migration");
	return message_get_options(node_object(offer, "options"), &g->options, err);
}

/* The first is the offer itself, the others of a set are in it. */
static int meet_all(struct session *s, struct ct_error *err)
{
	const struct node *root = doc_root(s->offer);
	const struct node *others = node_has(root, "others") ? node_array(root, "others") : NULL;
	size_t n = others ? node_count(others) : 0;
	int r;

	if (n > GUESTS_MAX)
		return error_set(err, -EPROTO, "too many pods");
	s->guests = calloc(n + 1, sizeof(*s->guests));
	if (!s->guests)
		return error_errno(err, -ENOMEM, "migration");
	r = meet(s, 0, root, s->id, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct node *offer = node_at(others, i);

		r = meet(s, i + 1, offer, node_str(offer, "id"), err);
	}
	return r < 0 ? r : doc_check(s->offer, err);
}

/* Everything that speaks against any of them. */
static int check_all(struct session *s, struct verdict *verdict, struct ct_error *err)
{
	struct needs needs = { 0 };
	int r = 0;

	check_features(verdict);
	for (size_t i = 0; r == 0 && i < s->n_guests; i++) {
		struct guest *g = &s->guests[i];

		r = check_offer(s->ct,
				&(struct offer){ .doc = s->offer, .node = g->offer, .options = &g->options.options,
						 .runs = s->runs, .several = s->n_guests > 1 },
				&needs, verdict, &g->pod, err);
	}
	check_room(s->ct, &needs, verdict);
	return r < 0 ? r : doc_check(s->offer, err);
}

static int accept_all(struct session *s, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *answer = doc_new();
	struct node *names;
	int r = 0;

	if (!answer)
		return error_errno(err, -ENOMEM, "migration");
	node_put_str(doc_root(answer), "name", s->guests[0].pod->name);
	names = s->n_guests > 1 ? node_put_array(doc_root(answer), "others") : NULL;
	for (size_t i = 0; r == 0 && i < s->n_guests; i++) {
		struct guest *g = &s->guests[i];

		/* Where it fails there may be one all the same. */
		g->entered = true;
		r = journal_write(s->ct, g->id, g->pod, JOURNAL_BUILDING, err);
		if (i)
			node_put_str(names, NULL, g->pod->name);
	}
	return r < 0 ? r : message_send(&s->wire, WIRE_ACCEPT, answer, err);
}

/* 1: accepted. */
static int answer_offer(struct session *s, struct ct_error *err)
{
	__cleanup(verdict_release) struct verdict verdict = { 0 };
	__cleanup(doc_free_cleanup) struct doc *answer = NULL;
	struct ct_error all = { 0 };
	int r = meet_all(s, err);

	if (r == 0)
		r = check_all(s, &verdict, err);
	if (r < 0)
		return r;
	if (!verdict.code) {
		r = accept_all(s, err);
		return r < 0 ? r : 1;
	}
	answer = doc_new();
	if (!answer)
		return error_errno(err, -ENOMEM, "migration");
	error_lines(&all, verdict.code, verdict.lines ? verdict.lines : "refused");
	message_put_error(doc_root(answer), &all);
	return message_send(&s->wire, WIRE_REFUSE, answer, err);
}

/* ---- in the conductor of the restore ---- */

static int begin(void *context, struct ct_error *err)
{
	struct guest *g = context;
	struct session *s = g->session;
	int r = restore_config(node_object(g->offer, "pod"), &g->options.options, s->n_guests > 1, &g->config, err);

	s->current = (size_t)(g - s->guests);
	if (r == 0)
		r = intake_begin(s, err);
	return r < 0 ? r : s->image_fd;
}

static int built(void *context, const char digest[33], struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();
	struct session *s = ((struct guest *)context)->session;
	int r = intake_end(s);

	if (r < 0)
		return error_lines(err, r, s->error.text);
	if (!doc)
		return error_errno(err, -ENOMEM, "migration");
	node_put_str(doc_root(doc), "digest", digest);
	return message_send(&s->wire, WIRE_READY, doc, err);
}

/* From here on it is for the other side to say. */
static int go(void *context, struct ct_error *err)
{
	struct session *s = ((struct guest *)context)->session;
	int r = message_recv(&s->wire, GO_TIMEOUT_MS, WIRE_GO, 0, NULL, err);

	return r < 0 ? r : 0;
}

/* Killed from here on we leave a pod that runs, and whoever asks for it is told so. */
static void taken(void *context, const struct pod *pod)
{
	const struct guest *g = context;

	journal_write(g->session->ct, g->id, pod, JOURNAL_RUNNING, NULL);
}

static int build(struct session *s, struct ct_error *err)
{
	cleanup_free struct restore_hooks *hooks = calloc(s->n_guests, sizeof(*hooks));
	struct ct_error why = { 0 };
	int r;

	if (!hooks)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; i < s->n_guests; i++) {
		struct guest *g = &s->guests[i];

		hooks[i] = (struct restore_hooks){ g->pod->name, &g->options.options, g->pod, g, begin, built, go, taken };
	}
	r = restore_incoming(s->ct, hooks, s->n_guests, &why);
	for (size_t i = 0; i < s->n_guests; i++)
		s->guests[i].pod = hooks[i].pod;
	if (r == 0)
		return 0;
	/* Where no more came, this is why. */
	if (intake_end(s) < 0 && s->error.code != -ECANCELED)
		return error_lines(err, s->error.code, s->error.text);
	return error_lines(err, r, why.text);
}

static int take_in(struct session *s, struct ct_error *err)
{
	int r = build(s, err);

	if (r < 0)
		return r;
	/* From here on they run, and whatever fails is to be asked for in the journal. */
	s->arrived = true;
	for (size_t i = 0; i < s->n_guests; i++)
		s->guests[i].entered = false;
	r = wire_send(&s->wire, WIRE_RUNNING, NULL, 0, err);
	if (r == 0)
		r = message_recv(&s->wire, DONE_TIMEOUT_MS, WIRE_DONE, 0, NULL, err);
	for (size_t i = 0; r >= 0 && i < s->n_guests; i++)
		r = journal_remove(s->ct, s->guests[i].id, err);
	return r;
}

static int converse(struct session *s, struct ct_error *err)
{
	int r = greet(s, err);

	journal_sweep(s->ct);
	if (r == 0)
		r = message_recv(&s->wire, IMAGE_TIMEOUT_MS, WIRE_OFFER, WIRE_STATUS, &s->offer, err);
	if (r == WIRE_STATUS)
		return tell_state(s, err);
	if (r >= 0)
		r = answer_offer(s, err);
	return r == 1 ? take_in(s, err) : r;
}

int ct_receive(struct ct *ct, int in, int out, struct ct_error *err)
{
	struct session s = { .ct = ct, .image_fd = -1, .feed_fd = -1 };
	bool only_asked;
	int r = wire_init(&s.wire, in, out, false, err);

	/* Where the remote shell gave us a pipe. */
	(void)fcntl(in, F_SETPIPE_SZ, WIRE_PIPE);
	if (r < 0)
		return r;
	r = converse(&s, err);
	/* A user who only wanted to know hangs up when he was answered. */
	only_asked = r == -EPIPE && s.wire.phase == WIRE_ACCEPTED;
	clean_up(&s);
	/* After the removal: the other side may count on it. Of pods that run it hears by asking anew. */
	if (r < 0 && r != -EPIPE && !s.arrived)
		message_fail(&s.wire, err);
	wire_release(&s.wire);
	return only_asked ? 0 : r;
}
