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

DEFINE_CLEANUP(struct doc *, doc_free)

/* Everything but the wire. */
static void clean_up(struct session *s)
{
	intake_end(s);
	if (s->pod) {
		pod_destroy(s->pod, NULL);
		pod_free(take_ptr(s->pod));
	}
	if (s->entered)
		journal_remove(s->ct, s->id, NULL);
	s->entered = false;
	pod_config_release(&s->config);
	message_options_release(&s->options);
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

static int answer_offer(struct session *s, struct ct_error *err)
{
	__cleanup(verdict_release) struct verdict verdict = { 0 };
	__cleanup(doc_free_cleanup) struct doc *answer = doc_new();
	const struct node *offer = doc_root(s->offer);
	struct ct_error all = { 0 };
	int r = message_get_options(node_object(offer, "options"), &s->options, err);

	if (r == 0)
		r = doc_check(s->offer, err);
	if (r == 0)
		r = check_offer(s->ct, s->offer, &s->options.options, s->runs, &verdict, &s->pod, err);
	if (r == 0)
		r = doc_check(s->offer, err);
	if (r < 0)
		return r;
	if (!answer)
		return error_errno(err, -ENOMEM, "migration");
	if (verdict.code) {
		error_lines(&all, verdict.code, verdict.lines ? verdict.lines : "refused");
		message_put_error(doc_root(answer), &all);
		return message_send(&s->wire, WIRE_REFUSE, answer, err);
	}
	r = journal_write(s->ct, s->id, s->pod, JOURNAL_BUILDING, err);
	if (r < 0)
		return r;
	s->entered = true;
	node_put_str(doc_root(answer), "name", s->pod->name);
	return message_send(&s->wire, WIRE_ACCEPT, answer, err);
}

/* Everything is there: from here on it is for the other side to say. */
static int built(void *context, const char digest[33], struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();
	struct session *s = context;
	int r = intake_end(s);

	if (r < 0)
		return error_lines(err, r, s->error.text);
	if (!doc)
		return error_errno(err, -ENOMEM, "migration");
	node_put_str(doc_root(doc), "digest", digest);
	r = message_send(&s->wire, WIRE_READY, doc, err);
	if (r == 0)
		r = message_recv(&s->wire, GO_TIMEOUT_MS, WIRE_GO, 0, NULL, err);
	return r < 0 ? r : 0;
}

/* Killed from here on we leave a pod that runs, and whoever asks for it is told so. */
static void taken(void *context, const struct pod *pod)
{
	const struct session *s = context;

	journal_write(s->ct, s->id, pod, JOURNAL_RUNNING, NULL);
}

static int build(struct session *s, struct ct_error *err)
{
	struct restore_hooks hooks = { s->pod, s, built, taken };
	cleanup_free char *name = NULL;
	struct ct_error why = { 0 };
	int r = restore_config(node_object(doc_root(s->offer), "pod"), &s->options.options, false,
			       &s->config, err);

	if (r == 0)
		r = intake_begin(s, err);
	if (r < 0)
		return r;
	s->options.options.fd = s->image_fd;
	r = restore_image(s->ct, &s->options.options, &hooks, &name, NULL, &why);
	s->pod = hooks.pod;
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
	/* From here on it runs, and whatever fails is to be asked for in the journal. */
	s->entered = false;
	r = wire_send(&s->wire, WIRE_RUNNING, NULL, 0, err);
	if (r == 0)
		r = message_recv(&s->wire, DONE_TIMEOUT_MS, WIRE_DONE, 0, NULL, err);
	return r < 0 ? r : journal_remove(s->ct, s->id, err);
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
	return r < 0 || !s->pod ? r : take_in(s, err);
}

int ct_receive(struct ct *ct, int in, int out, struct ct_error *err)
{
	struct session s = { .ct = ct, .image_fd = -1, .feed_fd = -1, .options.seccomp_fd = -1 };
	bool only_asked;
	int r = wire_init(&s.wire, in, out, false, err);

	if (r < 0)
		return r;
	r = converse(&s, err);
	/* A user who only wanted to know hangs up when he was answered. */
	only_asked = r == -EPIPE && s.wire.phase == WIRE_ACCEPTED;
	clean_up(&s);
	/* After the removal: the other side may count on it. */
	if (r < 0 && r != -EPIPE)
		message_fail(&s.wire, err);
	wire_release(&s.wire);
	return only_asked ? 0 : r;
}
