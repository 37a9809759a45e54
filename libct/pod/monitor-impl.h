/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the monitor's server: one thread, one loop over poll(2), nothing that blocks on a client.
 *
 *	MADE --RELEASE--> RELEASING --executed--> RUNNING --PID 1 ended--> ENDED --clients left--> GONE
 *	  \____________________\__ starter hung up, not executable: everything removed ____________^
 *
 * A restored pod is RELEASING from PREPARE on; when the word was given (struct pod_word) a starter's end releases it.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "libct/pod/make.h"
#include "libct/pod/monitor.h"
#include "libct/pod/pod.h"

#define CLIENTS_MAX 256
#define CLIENT_QUEUE (1u << 20) /* bytes; above it the pod's output waits, as in a pipe that nobody reads */

enum phase { PHASE_MADE, PHASE_RELEASING, PHASE_RUNNING, PHASE_ENDED, PHASE_GONE };

/* One packet, shared by the queues it stands in. */
struct packet {
	unsigned int refs;
	int fd; /* goes along, -1: none */
	size_t len;
	struct monitor_msg msg;
	char data[];
};

struct packet_queue {
	struct packet_link *first, **last; /* last: NULL when nothing was ever put in */
	size_t bytes;
};

struct client {
	struct client *next;
	int sock;
	bool starter, attached, waiting, guard;
	bool hung_up;
	struct packet_queue out;
	size_t input; /* bytes of it in the input queue */
};

struct monitor {
	struct pod *pod;
	const struct pod_start *start;
	struct pod_child child;
	enum phase phase;
	bool reaped;	   /* PID 1 has ended, `code` holds */
	bool checkpointed; /* the pod went into an image */
	bool waits;	   /* restored, frozen: its starter is about to set it going */
	bool killed;	   /* by a signal */
	int code;
	int main_vpid;
	struct keeper_shared *shared; /* with the other process of the monitor */
	int netns_fd;		      /* the pod's network namespace, where it has a link; else -1 */
	int keeper_fd;		      /* leads to it; -1: it was killed */
	int signal_fd;		      /* SIGCHLD, in the keeper */
	int announcer_fd;	      /* of a restored pod's announcement; -1: closed */
	int listen_fd;
	struct client *clients;
	size_t n_clients;
	struct client *starter;	    /* NULL when it has hung up */
	struct client *guard;	    /* who has the guard */
	int *orphans;		    /* TCP connections that nobody is to have when it is released */
	size_t n_orphans;
	int repaired_fd;	    /* a TCP socket that it may have left in repair mode; -1: none */
	int repaired_reuse, repaired_in_line; /* its SO_REUSEADDR and SO_OOBINLINE */
	uint64_t deferred_signals;  /* bit n-1: signal n came while the guard was on */

	/* streams */
	int log_fd, log_read_fd;
	uint64_t log_start; /* its size when the pod was made */
	uint64_t log_size, log_lost;
	int log_error;
	int master_epoll;  /* tells of output on the terminal once */
	bool master_ready; /* it told, and not all is read */
	struct input *input, **input_last;
	bool input_paused;
};

/* ---- monitor-queue.c ---- */
struct packet *packet_new(enum monitor_type type, int value, uint64_t number, size_t room);
void packet_put(struct packet *p);
int queue_push(struct packet_queue *q, struct packet *p); /* takes a reference of its own */
struct packet *queue_first(const struct packet_queue *q);
void queue_pop(struct packet_queue *q);
void queue_clear(struct packet_queue *q);

/* ---- monitor-client.c ---- */
/* Takes `sock` over, also on failure. */
struct client *client_new(struct monitor *m, int sock);
void client_free(struct monitor *m, struct client *c);
void client_accept(struct monitor *m);
/* Queues a packet and sends what goes without waiting; a client that cannot have it is hung up. */
void client_push(struct client *c, struct packet *p);
void client_send(struct client *c, enum monitor_type type, int value, uint64_t number);
void client_fail(struct client *c, const struct ct_error *err);
void client_flush(struct client *c);
/* Reads what the client asks and does it. */
void client_serve(struct monitor *m, struct client *c);
/* Tells every client that waits for it that the pod has ended. */
void clients_tell_end(struct monitor *m);

/* ---- monitor-stream.c ---- */
int streams_open(struct monitor *m, struct ct_error *err);
/* In a new server: finds the end of the log, asks the terminal what it has. */
void streams_resume(struct monitor *m);
/* False while an attached client is too far behind. */
bool streams_wanted(const struct monitor *m);
/* Reads some output of stream 1 or 2 (or the terminal: 1). Returns true where there may be more. */
bool stream_pump(struct monitor *m, int tag);
/* Reads all there is, however far behind the clients are. */
void streams_drain(struct monitor *m);
void streams_close(struct monitor *m);
/* Descriptor to poll for room while there is input to write, or -1. */
int input_fd(const struct monitor *m);
int input_push(struct monitor *m, struct client *c, const void *data, size_t len);
void input_end(struct monitor *m);
void input_pump(struct monitor *m);
void input_forget(struct monitor *m, const struct client *c);
void input_clear(struct monitor *m);
/* What is in the queue, to `c` as INPUT packets. */
void input_report(struct monitor *m, struct client *c);
void stream_resize(struct monitor *m, unsigned short rows, unsigned short columns);

/* ---- monitor-life.c: what happens to the pod ---- */
/* When PID 1 is there: its connections may outlive it. */
int monitor_open_netns(struct monitor *m, struct ct_error *err);
void monitor_release(struct monitor *m, const struct init_go *go);
/* A restored pod, in two steps: all that may well fail; then, when the word was given, the release. */
void monitor_prepare(struct monitor *m, const struct init_go *go);
void monitor_release_restored(struct monitor *m);
/* Was it? */
bool monitor_has_word(const struct monitor *m);
/* Takes a restored pod over; what fails is left out. */
void monitor_take_over(struct monitor *m);
int monitor_set_going(struct monitor *m, struct ct_error *err);
/* When it goes and its starter knows: what takes time and nobody waits for. */
void monitor_settle(struct monitor *m);
/* Its starter was killed in between, or a server. */
void monitor_go_alone(struct monitor *m);
/* exec_error_fd is readable. */
void monitor_executed(struct monitor *m);
/* PID 1 may have ended. */
void monitor_reap(struct monitor *m);
/* Removes everything: the pod is never released. `err` (or NULL) is what the starter hears. */
void monitor_abort(struct monitor *m, const struct ct_error *err);
int monitor_guard_begin(struct monitor *m, struct client *c, struct ct_error *err);
/* The guard's holder ended it, or hung up (then err is NULL). */
int monitor_guard_continue(struct monitor *m, bool undo, struct ct_error *err);
/* Takes `fd`. */
void monitor_guard_socket(struct monitor *m, int fd, int options);
/* It becomes CT_MIGRATING and stays frozen when the guard's holder hangs up. */
int monitor_guard_hand_over(struct monitor *m, struct ct_error *err);
int monitor_guard_take_up(struct monitor *m, struct client *c, struct ct_error *err);
/*
 * Ends the pod, which is in an image. On return its name, its addresses and its ports are free; the rest takes the kernel
 * longer than anybody should wait, and is left to monitor_remove_rest().
 */
int monitor_guard_checkpointed(struct monitor *m, struct ct_error *err);
void monitor_remove_rest(struct monitor *m);
/* Both again, in place of a server that was killed. */
void monitor_end_again(struct monitor *m);
int monitor_signal(struct monitor *m, int sig, struct ct_error *err);

/* ---- connections.c ---- */
/* Those of a frozen pod that its restore has held back hear and speak again. */
void connections_release(struct monitor *m);
/* No process will have this one: it is closed when the pod goes. Takes `fd`. */
void connections_keep(struct monitor *m, int fd);
void connections_let_go(struct monitor *m);

/* ---- monitor-keeper.c ---- */
/* In the keeper, when the pod is made: runs servers until the pod is gone. */
void keeper_run(struct monitor *m);
/* In the server. */
void keeper_phase(struct monitor *m); /* m->phase or m->waits has changed */
void keeper_migrating(struct monitor *m, bool migrating); /* what a new server must not undo */
bool keeper_is_migrating(const struct monitor *m);
void keeper_ending(struct monitor *m); /* what a new server has to bring to its end */
bool keeper_is_ending(const struct monitor *m);
void keeper_input_ended(struct monitor *m);
bool keeper_heard(struct monitor *m); /* keeper_fd is readable; false: the keeper is gone */
bool keeper_reaped(struct monitor *m); /* has PID 1 ended? Then m->code and m->killed hold. */

/* ---- monitor.c ---- */
/* The monitor's life; `sock` leads to the starter. */
__attribute__((noreturn)) void monitor_main(struct pod *pod, const struct pod_start *start, int sock);
/* The server's life. Not the `first`: the one before was killed. */
void monitor_serve(struct monitor *m, bool first);

/* MSG_MADE */
struct monitor_made {
	struct pod_state state;
	struct net_config address;
};
