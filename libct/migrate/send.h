/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of the side that a pod leaves, for its conductors (migrate.c, remote.c, resolve.c). */
#pragma once
#include "libct/migrate/journal.h"
#include "libct/migrate/message.h"
#include "libct/migrate/transport.h"

struct sent_file {
	char *member; /* of the image */
	uint64_t size;
	bool have; /* the other host has it */
};

struct sender {
	const struct ct_remote_options *remote;
	struct transport t;
	char (*ids)[MIGRATION_ID_SIZE]; /* of each pod's migration; the first is the conversation's */
	size_t n_ids;
	struct ct_remote_stats stats;
	struct ct_remote_phase *phase; /* of them, the one that it is in */
	uint64_t phase_began, phase_bytes;

	/* The thread that sends the image has the wire until sender_image_end(). */
	int image_fd;
	pthread_t thread;
	bool began;
	struct ct_error error; /* of the thread */
	char digest[33];
	uint64_t total; /* bytes to be sent, 0: not known */
	struct sent_file *files;
	size_t n_files;
};

#define SENDER_NONE                                                                                \
	{ .image_fd = -1, .t = { .pidfd = -1, .words_fd = -1, .stop_fd = -1, .wire = { .in = -1, .out = -1 } } }

/* Connects and greets. `purpose`: "migrate", "restore" or "status"; `id` NULL: new migrations of `n` pods. */
int sender_open(struct sender *s, const struct ct_remote_options *remote, const char *purpose,
		const char *id, size_t n, struct ct_error *err);
/* Before, whoever writes the image has closed his end. */
void sender_close(struct sender *s);
/* In front of each part: the one before has ended; NULL: that was the last. Parts of one name count together. */
void sender_phase(struct sender *s, const char *name);

/* An OFFER with the options, for the caller to complete. */
struct doc *sender_new_offer(const struct ct_restore_options *options, struct ct_error *err);
/*
 * Sends those of all pods, of which the first gets the others: 0 accepted (ret_names may be NULL; each is freed by the
 * caller); all findings otherwise.
 */
int sender_offer(struct sender *s, struct doc *const *offers, char **ret_names, struct ct_error *err);

/* Sends the next image, which is read from `fd`, closed at its end or when sending fails. */
int sender_image_begin(struct sender *s, int fd, struct ct_error *err);
void sender_forget_files(struct sender *s);
/* Waits for the end of that. */
int sender_image_end(struct sender *s, struct ct_error *err);
/* Waits until its pod stands there; -EPROTO: it is not of that digest. */
int sender_await_ready(struct sender *s, const char *digest, struct ct_error *err);

/*
 * After GO was sent: have all arrived? 0 they have; -EINPROGRESS: nobody knows; else with words: none
 * will ever run there.
 */
int sender_await_running(struct sender *s, struct ct_error *err);
/* Asks again for one of them, by new connections, for a while. -EINPROGRESS: no answer. ARRIVAL_BUILDING: not within that time. */
int sender_ask(const struct ct_remote_options *remote, const char *id, unsigned int patience_ms,
	       enum arrival *ret, struct ct_error *err);
/* Here nothing is left of the pod, so the other side may forget how it came. What fails leaves its note there. */
void sender_done(struct sender *s);
/* The same, by a new connection. */
void sender_settle(const struct ct_remote_options *remote, const char *id);
