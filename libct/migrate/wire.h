/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of a migration and the order in which they may come: docs/protocol.md. Neither side
 * believes the other: lengths are bounded before they are believed, and a frame that is not one of
 * its phase ends the conversation, also one of our own.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ct_error;

#define WIRE_VERSION 1
#define WIRE_PAYLOAD_MAX (1u << 20)
/* Of pipes that an image goes through: with the 64 KB that they have by themselves those at both ends mostly wait. */
#define WIRE_PIPE (1 << 20)

/* The numbers are the protocol's and stay. A: the client, where the pod comes from; B: the server. */
enum wire_type {
	WIRE_HELLO = 1,	   /* A */
	WIRE_WELCOME = 2,  /* B */
	WIRE_OFFER = 3,	   /* A */
	WIRE_ACCEPT = 4,   /* B */
	WIRE_REFUSE = 5,   /* B */
	WIRE_HAVE = 6,	   /* A */
	WIRE_HAD = 7,	   /* B */
	WIRE_DATA = 8,	   /* A: bytes of the image */
	WIRE_FILE = 9,	   /* A: u32, the number of a file that B has */
	WIRE_END = 10,	   /* A */
	WIRE_READY = 11,   /* B */
	WIRE_GO = 12,	   /* A */
	WIRE_RUNNING = 13, /* B */
	WIRE_DONE = 14,	   /* A */
	WIRE_FAILED = 15,  /* B */
	WIRE_STATUS = 16,  /* A */
	WIRE_STATE = 17,   /* B */
};

enum wire_phase {
	WIRE_START,
	WIRE_GREETING, /* HELLO was sent */
	WIRE_GREETED,
	WIRE_OFFERED,
	WIRE_ACCEPTED,
	WIRE_ASKED, /* which files B has */
	WIRE_IMAGE,
	WIRE_SENT,
	WIRE_BUILT,
	WIRE_GONE, /* GO was sent */
	WIRE_RUNS,
	WIRE_ASKED_STATE,
	WIRE_TOLD, /* the state */
	WIRE_OVER,
};

struct wire {
	int in, out;
	bool client;
	const char *peer; /* what words of the other side begin with; NULL: nothing */
	enum wire_phase phase;
	uint64_t sent, received; /* bytes, with the heads */
	unsigned char *buf;	 /* WIRE_PAYLOAD_MAX; of the frame that came last */
};

/* The descriptors stay the caller's, who ignores SIGPIPE. -ENOMEM. */
int wire_init(struct wire *w, int in, int out, bool client, struct ct_error *err);
void wire_release(struct wire *w);

/* Sends a frame. -EPIPE: the other side hung up. -EPROTO: not now, or longer than WIRE_PAYLOAD_MAX. */
int wire_send(struct wire *w, enum wire_type type, const void *payload, size_t len,
	      struct ct_error *err);

/*
 * Waits for a frame: its type. The payload is valid until the next call. -EPIPE: the other side hung
 * up; -ETIMEDOUT: nothing came in time (timeout_ms -1: waits); -EPROTO: not a frame of this phase.
 */
int wire_recv(struct wire *w, int timeout_ms, const void **ret_payload, size_t *ret_len,
	      struct ct_error *err);

/* Is there something to receive (or the end)? */
bool wire_pending(const struct wire *w);

const char *wire_type_name(enum wire_type type);
