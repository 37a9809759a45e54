/* SPDX-License-Identifier: Apache-2.0 */
/* What frames carry: JSON documents, errors, a user's options. */
#pragma once
#include "images/node.h"
#include "libct/libct.h"
#include "libct/migrate/wire.h"

/* Sends a document as a frame. What went wrong in the document is returned. */
int message_send(struct wire *w, enum wire_type type, const struct doc *doc, struct ct_error *err);

/*
 * Waits for a message of that type: *ret (may be NULL for those without content) is freed by the
 * caller. FAILED becomes the error it carries. `other` (0: none) is accepted as well; returns the type.
 */
int message_recv(struct wire *w, int timeout_ms, enum wire_type type, enum wire_type other,
		 struct doc **ret, struct ct_error *err);

/* Errors travel as a word, and words for people, one finding a line. */
void message_put_error(struct node *to, const struct ct_error *error);
/* `peer` (or NULL) stands before every line. */
int message_get_error(const struct node *from, const char *peer, struct ct_error *err);
/* FAILED; `error` may have come from the wire itself. */
void message_fail(struct wire *w, const struct ct_error *error);

#define MIGRATION_ID_SIZE 33 /* 32 hexadecimal digits */
bool migration_id_valid(const char *id);

/* ---- what the user wants of the restored pod ---- */

/* `seccomp`: the text of the profile, where options->seccomp is the path of one; else NULL. */
void message_put_options(struct node *to, const struct ct_restore_options *options,
			 const char *seccomp);

struct message_options {
	struct ct_restore_options options; /* strings are the document's */
	struct ct_volume *volumes;
	const char **cap_add, **publish;
	int seccomp_fd; /* the profile, which options.seccomp names; -1: none */
	char seccomp_path[32];
};
int message_get_options(const struct node *from, struct message_options *ret, struct ct_error *err);
void message_options_release(struct message_options *o);

/*
 * What options.seccomp wants for a pod's filter: itself, or the name of a file of this process with its text. The
 * caller closes *ret_fd (-1: none).
 */
int seccomp_as_file(const char *seccomp, int *ret_fd, char path[32], const char **ret, struct ct_error *err);
