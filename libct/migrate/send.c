/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/migrate/send.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "config.h"
#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/pod/inside.h"

/* How long a host may think about it, build a pod, and say that it runs. */
#define ANSWER_TIMEOUT_MS 120000
#define RUNNING_TIMEOUT_MS 20000
#define ASK_TIMEOUT_MS 10000

DEFINE_CLEANUP(struct doc *, doc_free)

static struct ct_remote_phase *find_phase(struct ct_remote_stats *stats, const char *name)
{
	const size_t max = sizeof(stats->phases) / sizeof(stats->phases[0]);
	size_t i = 0;

	while (i < stats->n_phases && strcmp(stats->phases[i].name, name))
		i++;
	if (i == max)
		return NULL;
	stats->n_phases = i < stats->n_phases ? stats->n_phases : i + 1;
	stats->phases[i].name = name;
	return &stats->phases[i];
}

void sender_phase(struct sender *s, const char *name)
{
	struct ct_remote_stats *stats = &s->stats;
	uint64_t bytes = s->t.wire.sent + s->t.wire.received, now = monotonic_us();

	if (s->phase) {
		s->phase->time += now - s->phase_began;
		s->phase->bytes += bytes - s->phase_bytes;
	}
	stats->sent_bytes = s->t.wire.sent;
	s->phase = name ? find_phase(stats, name) : NULL;
	s->phase_began = now;
	s->phase_bytes = bytes;
	if (name && s->remote->progress)
		s->remote->progress(s->remote->context, &(struct ct_progress){ .phase = name });
}

static int make_id(char id[MIGRATION_ID_SIZE], struct ct_error *err)
{
	uint64_t bits[2];

	if (getrandom(bits, sizeof(bits), 0) != sizeof(bits))
		return error_errno(err, -errno, "random numbers");
	snprintf(id, MIGRATION_ID_SIZE, "%016" PRIx64 "%016" PRIx64, bits[0], bits[1]);
	return 0;
}

static int greet(struct sender *s, const char *purpose, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *hello = doc_new(), *welcome = NULL;
	struct node *root = hello ? doc_root(hello) : NULL;
	int r;

	if (!hello)
		return error_errno(err, -ENOMEM, "migration");
	node_put_u64(node_put_array(root, "protocol"), NULL, WIRE_VERSION);
	node_put_str(root, "tool", PACKAGE_STRING);
	node_put_str(root, "id", s->ids[0]);
	node_put_str(root, "purpose", purpose);
	r = message_send(&s->t.wire, WIRE_HELLO, hello, err);
	if (r == 0)
		r = message_recv(&s->t.wire, strcmp(purpose, "status") ? ANSWER_TIMEOUT_MS : ASK_TIMEOUT_MS,
				 WIRE_WELCOME, 0, &welcome, err);
	if (r == -EPROTO)
		return error_set(err, r, "what answers there does not speak podckpt's protocol; does a login "
					 "there print something?");
	if (r < 0)
		return transport_explain(&s->t, r, err);
	if (node_u64(doc_root(welcome), "protocol", UINT32_MAX) != WIRE_VERSION)
		return error_set(err, -EPROTONOSUPPORT, "podckpt there speaks another protocol; use the same podckpt on both hosts");
	return doc_check(welcome, err);
}

int sender_open(struct sender *s, const struct ct_remote_options *remote, const char *purpose,
		const char *id, size_t n, struct ct_error *err)
{
	int r = 0;

	*s = (struct sender)SENDER_NONE;
	s->remote = remote;
	s->ids = calloc(n, sizeof(*s->ids));
	if (!s->ids)
		return error_errno(err, -ENOMEM, "migration");
	for (s->n_ids = 0; r == 0 && s->n_ids < n; s->n_ids++) {
		if (id)
			snprintf(s->ids[0], sizeof(s->ids[0]), "%s", id);
		else
			r = make_id(s->ids[s->n_ids], err);
	}
	sender_phase(s, "connect");
	if (r == 0)
		r = transport_open(remote, &s->t, err);
	if (r == 0) {
		s->t.wire.peer = remote->host;
		r = greet(s, purpose, err);
	}
	return r < 0 ? error_prefix(err, r, "connect to '%s'", remote->host) : 0;
}

void sender_close(struct sender *s)
{
	/* The thread may wait for the connection; the other end of its pipe is the conductor's. */
	if (s->began) {
		sys_pidfd_send_signal(s->t.pidfd, SIGTERM);
		sender_image_end(s, NULL);
	}
	transport_close(&s->t);
	sender_forget_files(s);
	free(take_ptr(s->ids));
	s->n_ids = 0;
}

/* A profile is a file of this host: the other gets its text. */
struct doc *sender_new_offer(const struct ct_restore_options *options, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();
	const char *seccomp = options->seccomp;
	cleanup_free char *profile = NULL;
	ssize_t n;

	if (!doc) {
		error_errno(err, -ENOMEM, "migration");
		return NULL;
	}
	if (seccomp && strcmp(seccomp, "default") && strcmp(seccomp, "unconfined")) {
		n = io_read_file(AT_FDCWD, seccomp, SECCOMP_PROFILE_MAX, &profile);
		if (n < 0) {
			error_errno(err, (int)n, "seccomp profile '%s'", seccomp);
			return NULL;
		}
	}
		message_put_options(node_put_object(doc_root(doc), "options"), options, profile);
	return take_ptr(doc);
}

/* The offer of the first carries those of the others. */
static int put_others(struct sender *s, struct doc *const *offers, struct ct_error *err)
{
	struct node *others = s->n_ids > 1 ? node_put_array(doc_root(offers[0]), "others") : NULL;
	int r = 0;

	for (size_t i = 1; r == 0 && i < s->n_ids; i++) {
		node_put_str(doc_root(offers[i]), "id", s->ids[i]);
		r = doc_check(offers[i], err);
		node_copy(others, NULL, doc_root(offers[i]));
	}
	return r;
}

static int take_names(struct sender *s, struct doc *answer, char **ret, struct ct_error *err)
{
	const struct node *root = doc_root(answer);
	const struct node *others = s->n_ids > 1 && node_has(root, "others") ? node_array(root, "others") : NULL;

	if (s->n_ids > 1 && (!others || node_count(others) != s->n_ids - 1))
		return error_set(err, -EPROTONOSUPPORT, "podckpt there takes one pod at a time; use the same podckpt "
							"on both hosts");
	for (size_t i = 0; ret && i < s->n_ids; i++) {
		ret[i] = strdup(i ? node_at_str(others, i - 1) : node_str(root, "name"));
		if (!ret[i])
			return error_errno(err, -ENOMEM, "migration");
	}
	return doc_check(answer, err);
}

int sender_offer(struct sender *s, struct doc *const *offers, char **ret_names, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *answer = NULL;
	int r = put_others(s, offers, err);

	if (r == 0)
		r = message_send(&s->t.wire, WIRE_OFFER, offers[0], err);
	if (r == 0)
		r = message_recv(&s->t.wire, ANSWER_TIMEOUT_MS, WIRE_ACCEPT, WIRE_REFUSE, &answer, err);
	if (r < 0)
		return transport_explain(&s->t, r, err);
	if (r == WIRE_REFUSE)
		return message_get_error(doc_root(answer), s->remote->host, err);
	return take_names(s, answer, ret_names, err);
}

int sender_await_ready(struct sender *s, const char *digest, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *ready = NULL;
	int r = message_recv(&s->t.wire, -1, WIRE_READY, 0, &ready, err);

	if (r < 0)
		return transport_explain(&s->t, r, err);
	if (strcmp(node_str(doc_root(ready), "digest"), digest))
		return error_set(err, -EPROTO, "what was built there is not what was sent");
	return doc_check(ready, err);
}

/* All of them, by asking: where one runs, all do or will. */
static int ask_all(struct sender *s, enum arrival *ret, struct ct_error *err)
{
	int r = 0;

	*ret = ARRIVAL_RUNNING;
	for (size_t i = 0; r == 0 && i < s->n_ids; i++) {
		enum arrival arrival = ARRIVAL_UNKNOWN;

		r = sender_ask(s->remote, s->ids[i], RUNNING_TIMEOUT_MS, &arrival, err);
		if (arrival == ARRIVAL_ENDED)
			arrival = ARRIVAL_RUNNING;
		if (i && arrival != *ret)
			arrival = ARRIVAL_UNKNOWN;
		*ret = arrival;
	}
	return r;
}

int sender_await_running(struct sender *s, struct ct_error *err)
{
	struct ct_error why = { 0 };
	enum arrival arrival;
	int r = message_recv(&s->t.wire, RUNNING_TIMEOUT_MS, WIRE_RUNNING, 0, NULL, &why);

	if (r >= 0)
		return 0;
	/* The other side's own word that it failed. */
	if (s->t.wire.phase == WIRE_OVER && r != -EINPROGRESS)
		return error_lines(err, r, why.text);
	r = ask_all(s, &arrival, err);
	if (r < 0)
		return r;
	if (arrival == ARRIVAL_RUNNING)
		return 0;
	if (arrival == ARRIVAL_GONE)
		return error_set(err, -EREMOTEIO, "it did not come to run on '%s': %s", s->remote->host, why.text);
	return error_set(err, -EINPROGRESS, arrival == ARRIVAL_BUILDING ? "it is still being built on '%s'"
									: "'%s' does not know whether the pod ran there",
			 s->remote->host);
}

/* One connection's worth of asking; with `settle` it is told that all is done here. */
static int ask_once(const struct ct_remote_options *remote, const char *id, int64_t until, bool settle,
		    enum arrival *ret, struct ct_error *err)
{
	__cleanup(sender_close) struct sender s;
	int r = sender_open(&s, remote, "status", id, 1, err);

	while (r == 0) {
		__cleanup(doc_free_cleanup) struct doc *state = NULL;

		r = wire_send(&s.t.wire, WIRE_STATUS, "{}", 2, err);
		if (r == 0)
			r = message_recv(&s.t.wire, ASK_TIMEOUT_MS, WIRE_STATE, 0, &state, err);
		if (r < 0)
			break;
		*ret = arrival_of(node_str(doc_root(state), "state"));
		r = 0;
		if (*ret == ARRIVAL_BUILDING && monotonic_us() < until) {
			poll(NULL, 0, 100);
			continue;
		}
		if (settle && wire_send(&s.t.wire, WIRE_DONE, NULL, 0, NULL) == 0)
			transport_finish(&s.t);
		break;
	}
	return r;
}

int sender_ask(const struct ct_remote_options *remote, const char *id, unsigned int patience_ms,
	       enum arrival *ret, struct ct_error *err)
{
	const struct ct_remote_options quiet = { sizeof(quiet), remote->host, remote->rsh,
						 remote->remote_podckpt, .words = remote->words,
						 .context = remote->context };
	int64_t until = monotonic_us() + (int64_t)patience_ms * 1000;
	struct ct_error why = { 0 };

	for (;;) {
		int r = ask_once(&quiet, id, until, false, ret, &why);

		if (r == 0 && (*ret != ARRIVAL_BUILDING || monotonic_us() >= until))
			return 0;
		if (monotonic_us() >= until)
			return error_set(err, -EINPROGRESS, "it is not known whether the pod runs on '%s': %s",
					 remote->host, why.text);
		poll(NULL, 0, 500);
	}
}

void sender_settle(const struct ct_remote_options *remote, const char *id)
{
	const struct ct_remote_options silent = { sizeof(silent), remote->host, remote->rsh,
						  remote->remote_podckpt };
	enum arrival arrival;

	ask_once(&silent, id, 0, true, &arrival, NULL);
}

void sender_done(struct sender *s)
{
	if (wire_send(&s->t.wire, WIRE_DONE, NULL, 0, NULL) == 0 && transport_finish(&s->t))
		return;
	for (size_t i = 0; i < s->n_ids; i++)
		sender_settle(s->remote, s->ids[i]);
}
