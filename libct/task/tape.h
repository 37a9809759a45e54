/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tape: a batch of system calls that a stopped task executes for us.
 *
 *	stub:	+--------------+------------------+
 *		| code         | block: registers |
 *		+--------------+------------------+
 *	area:	+------------------------+-----------------------+
 *		| entries                | data                  |
 *		+------------------------+-----------------------+
 *	         rbx -> next, r12 = end
 *
 * The stub (tape-stub.S) runs the entries one after the other: load six arguments, syscall, store the
 * result, next. It then sends itself a signal that only a tracer notices (SIGURG, or another one that is
 * ignored by default, where that is pending already), and goes back to the
 * registers and the signal mask in its block. A living podckpt never lets it come to that: it stops
 * the task at the signal and writes the true registers back. If podckpt was killed meanwhile, ptrace
 * lets the task go where it is: it finishes the tape, goes back to where it was, and never knows.
 *
 * In a dump nothing is mapped in the task for this. The stub lies in the unused end of the last page
 * of the vdso (a private copy of that page, zeroed again afterwards), the area in pages at the low
 * end of [stack] that hold nothing but zeros: below the stack pointer, so nobody's; they are given back
 * afterwards. A stack that has too few of them grows first.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libct/task/tracee.h"

struct tape_entry {
	uint64_t nr;
	uint64_t arg[6];
	int64_t result; /* negative errno, or TAPE_NOT_RUN */
	uint64_t out[2]; /* addresses in the task where the result is also stored; 0: nowhere */
	uint64_t must;	/* non-zero: a failure ends the tape here */
};

#define TAPE_NOT_RUN ((int64_t)-4095)
#define TAPE_AREA_MIN (8 * 4096) /* bytes that a dump's tapes need */

/* Where the tapes of one address space run. Addresses in the task. */
struct tape_site {
	uint64_t stub;
	uint64_t area;
	size_t area_size;
	int mem; /* /proc/PID/mem, for writing; not owned */
	bool leftover; /* of a podckpt that was killed */
};

struct tape {
	struct tape_site site;
	uint64_t entries_at, data_at; /* addresses in the task */
	struct tape_entry *entries;
	const char **what; /* for each entry: what it is for, in words; NULL: not a must */
	size_t n, max;
	uint8_t *data;
	size_t data_len, data_max;
	int error; /* -ENOSPC where something did not fit; sticky */
	/* Given by the owner: runs and empties the tape when it is full (tape_need()). NULL: it must fit. */
	int (*flush)(struct tape *tape, void *context, struct ct_error *err);
	void *flush_context;
};

/* `max` entries; the rest of the area is data. */
int tape_init(struct tape *tape, const struct tape_site *site, size_t max, struct ct_error *err);
void tape_release(struct tape *tape);
void tape_clear(struct tape *tape);

/* Makes sure that `entries` and `bytes` fit, flushing if need be. Addresses from before are void then. */
int tape_need(struct tape *tape, size_t entries, size_t bytes, struct ct_error *err);

/* Adds a call that may fail; returns its index. */
size_t tape_call(struct tape *tape, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
		 uint64_t a4, uint64_t a5);
/* Adds a call that must succeed: `what` (a literal) says what for, in the error. */
size_t tape_must(struct tape *tape, const char *what, long nr, uint64_t a0, uint64_t a1,
		 uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);
/* The result of entry `from` becomes argument `arg` of entry `to`; at most twice for one `from`. */
void tape_chain(struct tape *tape, size_t from, size_t to, unsigned int arg);
/* The result of entry `from` is stored (64 bits) at an address of the tape's data. */
void tape_chain_data(struct tape *tape, size_t from, uint64_t address);

/* Copies bytes into the tape's data (16-aligned); their address in the task. */
uint64_t tape_data(struct tape *tape, const void *data, size_t len);
/* Room for bytes that a call will write; their address in the task. */
uint64_t tape_room(struct tape *tape, size_t len);
/* After a run: our copy of what is at an address that tape_data() or tape_room() gave. */
const void *tape_at(const struct tape *tape, uint64_t address);

/* Where a kind's part of a tape begins. */
struct tape_mark {
	size_t entry;
	uint64_t data; /* address in the task */
};
struct tape_mark tape_mark(const struct tape *tape);

/*
 * Called for each PTRACE_EVENT_FORK/CLONE/VFORK stop on the way, with the new task's host tid; the
 * new task is already traced and about to stop.
 */
typedef int (*tape_event_fn)(void *context, pid_t child, struct ct_error *err);

/*
 * Runs the tape in a stopped tracee, which is left stopped and dirty. Returns 0 after the whole
 * tape ran; where a must failed, its errno, the text naming it. tape->entries[].result and the data
 * are read back either way. -ESRCH: the task died.
 */
int tape_run(struct tape *tape, struct tracee *t, tape_event_fn event, void *context,
	     struct ct_error *err);

/* The same for a tape whose end nobody waits for, such as one that ends the task. */
int tape_start(struct tape *tape, struct tracee *t, struct ct_error *err);

/*
 * Finds a place for tapes in the address space of a live task and puts the stub there. `mem` is
 * /proc/PID/mem opened for writing, which must stay open. tape_site_remove() leaves no trace of it; `t` is a
 * stopped thread of the process.
 * -EOPNOTSUPP: no vdso or no stack to be found.
 */
struct vma_list;
int tape_site_find(const struct vma_list *areas, int mem, int pagemap, struct tape_site *ret,
		   struct ct_error *err);
int tape_site_remove(const struct tape_site *site, struct tracee *t, int pagemap);

/* The stub's bytes, position independent. */
extern const uint8_t tape_stub[], tape_stub_once[], tape_stub_over[], tape_stub_block[], tape_stub_end[];
