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
		r = check_offer(s->ct, s->offer, &s->options.options, &verdict, &s->pod, err);
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
	return r < 0 ? r : message_recv(&s->wire, GO_TIMEOUT_MS, WIRE_GO, 0, NULL, err);
}

static int release(void *context, struct ct_error *err)
{
	struct session *s = context;
	int r = journal_write(s->ct, s->id, s->built, JOURNAL_RELEASED, err);

	s->released = r == 0;
	return r;
}

static int build(struct session *s, char **ret_name, struct ct_error *err)
{
	struct restore_hooks hooks = { s->pod, s, built, release };
	struct ct_error why = { 0 };
	int r = restore_config(node_object(doc_root(s->offer), "pod"), &s->options.options, false,
			       &s->config, err);

	if (r == 0)
		r = intake_begin(s, err);
	if (r < 0)
		return r;
	s->options.options.fd = s->image_fd;
	s->built = s->pod;
	r = restore_image(s->ct, &s->options.options, &hooks, ret_name, NULL, &why);
	s->pod = hooks.pod;
	if (r == 0)
		return 0;
	/* Where no more came, this is why. */
	if (!s->released && intake_end(s) < 0 && s->error.code != -ECANCELED)
		return error_lines(err, s->error.code, s->error.text);
	/* Its link may have been open already: what came in is not there any more if the other host goes on. */
	if (s->released)
		r = -EINPROGRESS;
	return error_lines(err, r, why.text);
}

static int take_in(struct session *s, struct ct_error *err)
{
	cleanup_free char *name = NULL;
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	struct ct_error ignored = { 0 };
	int r = build(s, &name, err);

	if (r == -EINPROGRESS)
		s->entered = false;
	if (r < 0)
		return r;
	/* From here on it runs, and whatever fails is to be asked for in the journal. */
	s->entered = false;
	r = pod_open(s->ct, name, &pod, err);
	if (r == 0)
		r = journal_write(s->ct, s->id, pod, JOURNAL_RUNNING, err);
	if (r == 0)
		r = wire_send(&s->wire, WIRE_RUNNING, NULL, 0, err);
	if (r == 0 && message_recv(&s->wire, DONE_TIMEOUT_MS, WIRE_DONE, 0, NULL, &ignored) >= 0)
		journal_remove(s->ct, s->id, NULL);
	return 0;
}

static int converse(struct session *s, struct ct_error *err)
{
	int r = greet(s, err);

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
