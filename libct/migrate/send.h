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
	char id[MIGRATION_ID_SIZE];
	struct ct_remote_stats stats;
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

/* Connects and greets. `purpose`: "migrate", "restore" or "status"; `id` NULL: a new migration. */
int sender_open(struct sender *s, const struct ct_remote_options *remote, const char *purpose,
		const char *id, struct ct_error *err);
/* Before, whoever writes the image has closed his end. */
void sender_close(struct sender *s);
/* In front of each part: the one before has ended; NULL: that was the last. */
void sender_phase(struct sender *s, const char *name);

/* An OFFER with the options, for the caller to complete. */
struct doc *sender_new_offer(const struct ct_restore_options *options, struct ct_error *err);
/* Sends it: 0 accepted (*ret_name may be NULL; freed by the caller); all findings otherwise. */
int sender_offer(struct sender *s, const struct doc *offer, char **ret_name, struct ct_error *err);

/* Sends the image that is read from `fd`, which is closed at its end or when sending fails. */
int sender_image_begin(struct sender *s, int fd, struct ct_error *err);
/* Waits for the end of that. */
int sender_image_end(struct sender *s, struct ct_error *err);
/* Waits until the pod stands there; -EPROTO: it is not of that digest. */
int sender_await_ready(struct sender *s, const char *digest, struct ct_error *err);

/*
 * After GO was sent: has the pod arrived? 0 it has; -EINPROGRESS: nobody knows; else with words: it
 * will never run there.
 */
int sender_await_running(struct sender *s, struct ct_error *err);
/* Asks again, by new connections, for a while. -EINPROGRESS: no answer. ARRIVAL_BUILDING: not within that time. */
int sender_ask(const struct ct_remote_options *remote, const char *id, unsigned int patience_ms,
	       enum arrival *ret, struct ct_error *err);
/* Here nothing is left of the pod, so the other side may forget how it came. What fails leaves its note there. */
void sender_done(struct sender *s);
/* The same, by a new connection. */
void sender_settle(const struct ct_remote_options *remote, const char *id);
