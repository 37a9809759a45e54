/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of items between one producer and one consumer, with worker threads in the middle:
 *
 *	producer: acquire -> fill -> submit     workers: work()     consumer: take -> use -> release
 *
 * Workers finish in any order; the consumer gets the items in the order of submission.
 */
#pragma once
#include <pthread.h>
#include <stddef.h>

struct pipeline;

/*
 * `items` (`n` pointers) stays the caller's. `work` is called with `ctx`, an item and the number of
 * the worker. 0 or a negative errno.
 */
int pipeline_new(void **items, size_t n, unsigned int workers,
		 void (*work)(void *ctx, void *item, unsigned int worker), void *ctx,
		 struct pipeline **ret);
/* Stops, joins the workers. Producer and consumer must have left. */
void pipeline_free(struct pipeline *p);

void *pipeline_acquire(struct pipeline *p); /* waits for a free item; NULL: stopped */
void pipeline_submit(struct pipeline *p);   /* the item acquired last */
void pipeline_close(struct pipeline *p);    /* nothing more will be submitted */

/* Waits for the next item; NULL: closed and empty, or stopped. */
void *pipeline_take(struct pipeline *p);
void pipeline_release(struct pipeline *p); /* the item taken last */

void pipeline_stop(struct pipeline *p); /* wakes everybody; what is inside is dropped */

/*
 * Starts a thread that takes no signals (they belong to the caller's program) and shares no file
 * system attributes with it (else the caller could not setns(2) into a mount namespace meanwhile).
 * 0 or a negative errno.
 */
int helper_thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg);
