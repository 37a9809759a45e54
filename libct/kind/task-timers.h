/* SPDX-License-Identifier: Apache-2.0 */
/* The timers of a process as a dump reads them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct dump;
struct dump_process;
struct ct_error;

#define N_ITIMERS 3 /* ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF */

struct posix_timer {
	int id, clock, notify, signal;
	int vtid; /* with SIGEV_THREAD_ID */
	uint64_t value;
	int64_t interval, remaining; /* ns */
	int64_t wall; /* set to a time of day: this, ns; 0: to a span */
};

struct task_timers {
	int64_t at; /* our monotonic clock when they were read */
	struct {
		int64_t interval, remaining; /* ns */
	} itimers[N_ITIMERS];
	struct posix_timer *posix;
	size_t n_posix;
};

/* Asks a stopped process into p->timers. */
int task_timers_read(struct dump *d, struct dump_process *p, struct ct_error *err);
void task_timers_release(struct task_timers *t);
