// SPDX-License-Identifier: Apache-2.0
#include "images/pipeline.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_WORKING, SLOT_DONE };

struct slot {
	enum slot_state state;
	void *item;
};

/*
 *	tail           next            head
 *	 | DONE, WORKING | QUEUED ...    | FREE ...
 *
 * The three only ever go forward; slot i is slots[i % n].
 */
struct pipeline {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void (*work)(void *ctx, void *item, unsigned int worker);
	void *ctx;
	size_t tail, next, head, n;
	bool closed, stopped;
	unsigned int n_workers, started;
	pthread_t *workers;
	struct slot slots[];
};

/* ---- threads ---- */

struct thread_start {
	void *(*run)(void *arg);
	void *arg;
	sem_t ready;
};

static void *thread_main(void *arg)
{
	struct thread_start *start = arg;
	void *(*run)(void *) = start->run;
	void *run_arg = start->arg;

	(void)unshare(CLONE_FS);
	sem_post(&start->ready); /* `start` may be gone from here on */
	return run(run_arg);
}

int helper_thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg)
{
	struct thread_start start = { .run = run, .arg = arg };
	sigset_t all, old;
	int r;

	sem_init(&start.ready, 0, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(ret, NULL, thread_main, &start);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	while (!r && sem_wait(&start.ready) < 0)
		; /* EINTR only */
	sem_destroy(&start.ready);
	return -r;
}

static void *worker_main(void *arg)
{
	struct pipeline *p = arg;
	unsigned int number;

	pthread_mutex_lock(&p->lock);
	number = p->started++;
	for (;;) {
		struct slot *s;

		while (!p->stopped && p->next == p->head && !p->closed)
			pthread_cond_wait(&p->changed, &p->lock);
		if (p->stopped || p->next == p->head)
			break;
		s = &p->slots[p->next++ % p->n];
		s->state = SLOT_WORKING;
		pthread_mutex_unlock(&p->lock);
		p->work(p->ctx, s->item, number);
		pthread_mutex_lock(&p->lock);
		s->state = SLOT_DONE;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- life ---- */

int pipeline_new(void **items, size_t n, unsigned int workers,
		 void (*work)(void *ctx, void *item, unsigned int worker), void *ctx,
		 struct pipeline **ret)
{
	struct pipeline *p = calloc(1, sizeof(*p) + n * sizeof(p->slots[0]));
	int r = 0;

	if (!p)
		return -ENOMEM;
	p->workers = calloc(workers, sizeof(*p->workers));
	if (!p->workers) {
		free(p);
		return -ENOMEM;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->work = work;
	p->ctx = ctx;
	p->n = n;
	for (size_t i = 0; i < n; i++)
		p->slots[i].item = items[i];
	while (p->n_workers < workers) {
		r = helper_thread_start(&p->workers[p->n_workers], worker_main, p);
		if (r < 0)
			break;
		p->n_workers++;
	}
	/* Fewer workers than wanted are slower, not wrong. */
	if (!p->n_workers) {
		pipeline_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	pipeline_stop(p);
	for (unsigned int i = 0; i < p->n_workers; i++)
		pthread_join(p->workers[i], NULL);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p->workers);
	free(p);
}

/* ---- the ring ---- */

void *pipeline_acquire(struct pipeline *p)
{
	void *item = NULL;

	pthread_mutex_lock(&p->lock);
	while (!p->stopped && p->head - p->tail == p->n)
		pthread_cond_wait(&p->changed, &p->lock);
	if (!p->stopped)
		item = p->slots[p->head % p->n].item;
	pthread_mutex_unlock(&p->lock);
	return item;
}

void pipeline_submit(struct pipeline *p)
{
	pthread_mutex_lock(&p->lock);
	p->slots[p->head++ % p->n].state = SLOT_QUEUED;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void pipeline_close(struct pipeline *p)
{
	pthread_mutex_lock(&p->lock);
	p->closed = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void *pipeline_take(struct pipeline *p)
{
	void *item = NULL;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct slot *s = &p->slots[p->tail % p->n];

		if (p->stopped)
			break;
		if (p->tail < p->head && s->state == SLOT_DONE) {
			item = s->item;
			break;
		}
		if (p->tail == p->head && p->closed)
			break;
		pthread_cond_wait(&p->changed, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return item;
}

void pipeline_release(struct pipeline *p)
{
	pthread_mutex_lock(&p->lock);
	p->slots[p->tail++ % p->n].state = SLOT_FREE;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void pipeline_stop(struct pipeline *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopped = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}
