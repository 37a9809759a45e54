/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conversation with a pod's monitor: packets on a SOCK_SEQPACKET socket, the pod's control
 * socket (root only) or, for the process that makes the pod, a socketpair.
 *
 *	starter				monitor
 *		<- MADE + pidfd of PID 1, or FAILED
 *	RELEASE	->
 *		<- OK, or FAILED
 *	(hangs up before RELEASE: the monitor removes everything)
 *
 *	starter of a restored pod, in between
 *	PREPARE	->
 *		<- OK, or FAILED
 *	(gives the word, struct pod_word: from then on the monitor needs no starter)
 *
 *	attached client
 *	ATTACH ->
 *		<- ATTACHED + log		all before `number` in the log is to be read there
 *		<- OUTPUT ...			from then on
 *	INPUT ->				at most MONITOR_CREDIT bytes that CREDIT has not returned
 *		<- CREDIT
 *		<- EXITED or CHECKPOINTED	nothing comes after it
 *
 * Every packet begins with a struct monitor_msg. The client may be of a later version of podckpt
 * than the monitor, which runs as long as the pod: so the numbers stay, and a change raises
 * MONITOR_VERSION.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ct_error;
struct pod;

#define MONITOR_VERSION 1
#define MONITOR_DATA_MAX 32768 /* bytes behind a struct monitor_msg */
#define MONITOR_CREDIT 65536   /* bytes of input a client may have under way */

enum monitor_type {
	/* requests */
	MSG_RELEASE = 1,     /* value: init_go.main_vpid; number: init_go.code; from the starter */
	MSG_GIVE_UP = 2,     /* from the starter: as if it hung up, but answered by hanging up when all is gone */
	MSG_ATTACH = 3,
	MSG_INPUT = 4,	     /* data for the pod's standard input */
	MSG_INPUT_END = 5,   /* the client's standard input has ended */
	MSG_RESIZE = 6,	     /* number: rows << 16 | columns */
	MSG_SIGNAL = 7,	     /* value: the signal; from an attached client, not answered */
	MSG_KILL = 8,	     /* value: the signal; answered by OK or FAILED */
	MSG_WAIT = 9,	     /* answered by EXITED or CHECKPOINTED when the pod has ended */
	MSG_GUARD_BEGIN = 10, /* answered by OK + terminal master, or FAILED */
	MSG_GUARD_DRAIN = 11, /* answered by INPUT ..., OK */
	MSG_GUARD_END = 12,  /* value: enum guard_outcome; answered by OK or FAILED */
	MSG_GUARD_SOCKET = 13, /* with a TCP socket; value: its SO_REUSEADDR, and SO_OOBINLINE twice; not answered */
	MSG_GUARD_HAND_OVER = 14, /* the pod stays frozen whatever becomes of the client; OK or FAILED */
	MSG_GUARD_TAKE_UP = 15,	  /* the guard of a pod that was handed over; OK or FAILED */

	MSG_SET_GOING = 16,	  /* from the starter of a restored pod, after RELEASE; OK or FAILED */
	MSG_ORPHAN = 17, /* from the starter of a restored pod, before PREPARE; with a TCP socket; not answered */
	MSG_PREPARE = 18, /* as RELEASE; from the starter of a restored pod, before that; OK or FAILED */

	/* answers */
	MSG_OK = 64,
	MSG_FAILED = 65,   /* value: negative errno; data: the text */
	MSG_MADE = 66,	   /* data: struct monitor_made (both ends are one binary) */
	/*
	 * value: MONITOR_TTY | MONITOR_INTERACTIVE; number: length of the log by now; data: uint64_t,
	 * length of the log when the pod was made (restored)
	 */
	MSG_ATTACHED = 67,
	MSG_OUTPUT = 68,   /* value: 1 stdout, 2 stderr */
	MSG_CREDIT = 69,   /* number: bytes of input that went to the pod */
	MSG_EXITED = 70,   /* value: exit code */
	MSG_CHECKPOINTED = 71,
};

#define MONITOR_TTY 1
#define MONITOR_INTERACTIVE 2

struct monitor_msg {
	uint16_t version;
	uint16_t type;
	int32_t value;
	uint64_t number;
};

/*
 * Sends one packet; `fd` -1: no descriptor goes along. Waits for room unless the socket is
 * non-blocking. -EPIPE: the other side hung up.
 */
int monitor_send_fd(int sock, const struct monitor_msg *msg, const void *data, size_t len, int fd);
int monitor_send(int sock, enum monitor_type type, int value, uint64_t number);

/*
 * Receives one packet: the number of bytes of data (below `size`: behind them stands a NUL).
 * -EPIPE: the other side hung up; -EAGAIN on a non-blocking socket; -EPROTO: not a packet of this
 * version. *ret_fd (may be NULL) becomes the descriptor that came along, or -1.
 */
ssize_t monitor_recv(int sock, struct monitor_msg *ret, void *data, size_t size, int *ret_fd);

/*
 * Receives the answer to a request. FAILED becomes the error it carries, a hang-up -EPIPE with
 * words. Returns the type.
 */
int monitor_answer(int sock, struct monitor_msg *ret, int *ret_fd, struct ct_error *err);

/* Connects to the pod's monitor: the socket, or -ECONNREFUSED where there is none (any more). */
int monitor_connect(const struct pod *pod, struct ct_error *err);
