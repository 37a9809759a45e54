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

void sender_phase(struct sender *s, const char *name)
{
	struct ct_remote_stats *stats = &s->stats;
	uint64_t bytes = s->t.wire.sent + s->t.wire.received, now = monotonic_us();

	if (s->phase_began) {
		struct ct_remote_phase *p = &stats->phases[stats->n_phases - 1];

		p->time = now - s->phase_began;
		p->bytes = bytes - s->phase_bytes;
	}
	s->phase_began = 0;
	stats->sent_bytes = s->t.wire.sent;
	if (!name || stats->n_phases == sizeof(stats->phases) / sizeof(stats->phases[0]))
		return;
	stats->phases[stats->n_phases++].name = name;
	s->phase_began = now;
	s->phase_bytes = bytes;
	if (s->remote->progress)
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
	node_put_str(root, "id", s->id);
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
		const char *id, struct ct_error *err)
{
	int r = 0;

	*s = (struct sender){ .remote = remote, .image_fd = -1,
			      .t = { .pidfd = -1, .words_fd = -1, .stop_fd = -1, .wire = { .in = -1, .out = -1 } } };
	if (id)
		snprintf(s->id, sizeof(s->id), "%s", id);
	else
		r = make_id(s->id, err);
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
	for (size_t i = 0; i < s->n_files; i++)
		free(s->files[i].member);
	free(take_ptr(s->files));
	s->n_files = 0;
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

int sender_offer(struct sender *s, const struct doc *offer, char **ret_name, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *answer = NULL;
	int r = message_send(&s->t.wire, WIRE_OFFER, offer, err);

	if (r == 0)
		r = message_recv(&s->t.wire, ANSWER_TIMEOUT_MS, WIRE_ACCEPT, WIRE_REFUSE, &answer, err);
	if (r < 0)
		return transport_explain(&s->t, r, err);
	if (r == WIRE_REFUSE)
		return message_get_error(doc_root(answer), s->remote->host, err);
	if (ret_name) {
		*ret_name = strdup(node_str(doc_root(answer), "name"));
		if (!*ret_name)
			return error_errno(err, -ENOMEM, "migration");
	}
	return doc_check(answer, err);
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
	r = sender_ask(s->remote, s->id, RUNNING_TIMEOUT_MS, &arrival, err);
	if (r < 0)
		return r;
	if (arrival == ARRIVAL_RUNNING || arrival == ARRIVAL_ENDED)
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
	int r = sender_open(&s, remote, "status", id, err);

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
	if (wire_send(&s->t.wire, WIRE_DONE, NULL, 0, NULL) < 0 || !transport_finish(&s->t))
		sender_settle(s->remote, s->id);
}
