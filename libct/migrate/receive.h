/* SPDX-License-Identifier: Apache-2.0 */
/* Within the receiving side: the conversation (receive.c) and the image that comes in (intake.c). */
#pragma once
#include <pthread.h>

#include "libct/migrate/message.h"
#include "libct/pod/pod.h"

struct intake_file {
	char *path; /* below its tree */
	uint64_t size;
	size_t tree;
	bool have; /* the very same is here */
};

/* A pod that is to come, mostly the only one. */
struct guest {
	struct session *session;
	char id[MIGRATION_ID_SIZE]; /* of its migration */
	const struct node *offer;
	struct message_options options;
	struct pod *pod;	  /* reserved, not made yet; NULL: none, or the restore has it */
	bool entered;		  /* in the journal, for nothing as long as it does not run */
	struct pod_config config; /* only its trees: where files of the host are looked for */
};

struct session {
	struct ct *ct;
	struct wire wire;
	char id[MIGRATION_ID_SIZE];
	bool runs; /* the pod, there: it is to be moved */
	bool arrived; /* they run here: whatever fails now, the other side must not hear that they do not */
	struct doc *offer;
	struct guest *guests;
	size_t n_guests;
	size_t current; /* of them: whose image comes */

	/* The thread that takes the image in has the wire until intake_end(). */
	int image_fd; /* the image, to be read */
	int feed_fd;  /* and where it is written */
	pthread_t thread;
	bool began;
	struct ct_error error; /* of the thread; code 0: it came in whole */
	struct intake_file *known; /* files that were asked for */
	size_t n_known;
};

/* Starts to take the image of the current guest in: it is read from s->image_fd. */
int intake_begin(struct session *s, struct ct_error *err);
/*
 * Waits for its end: 0 it came in whole; else s->error (-ECANCELED: it was not read to its end). Closes
 * s->image_fd, so that nobody waits for a reader. May be called again.
 */
int intake_end(struct session *s);
