/* SPDX-License-Identifier: Apache-2.0 */
/* What pipes hold, read without consuming it. */
#pragma once
#include "libct/kind.h"

/* F_GETFL of what open(2) opened shows it on x86-64; pipe2(2) does not set it. glibc's O_LARGEFILE is 0. */
#define KERNEL_O_LARGEFILE 0100000

/* A stretch of plain bytes, or one packet (man 2 pipe, O_DIRECT). */
struct pipe_run {
	bool packet;
	size_t len;
};

struct pipe_data {
	uint8_t *bytes;
	size_t len;
	struct pipe_run *runs;
	size_t n_runs;
};

/*
 * Copies what is in the pipe behind our descriptor `fd` (either end), which stays in it. Nobody may
 * read or write meanwhile. Neighbouring runs of plain bytes are one.
 */
int pipe_peek(int proc, int fd, struct pipe_data *ret, struct ct_error *err);
void pipe_data_release(struct pipe_data *data);

/* Writes it into a new pipe that has room for it; `fd` is our write end, O_NONBLOCK. */
int pipe_fill(int fd, const struct pipe_data *data, struct ct_error *err);

/* As "data" of the manifest, and back. */
void pipe_data_put(const struct pipe_data *data, struct node *n);
int pipe_data_get(struct restore *r, const struct node *n, struct pipe_data *ret, struct ct_error *err);

/* "uid", "gid", "mode" and "capacity" of a pipe that has no name, and back. */
void pipe_put(const struct fd_view *v, struct node *n);
int pipe_get(struct restore *r, const struct node *n, int fd, struct ct_error *err);
/* The capacity alone, for FIFOs. */
int pipe_get_capacity(struct restore *r, const struct node *n, int fd, struct ct_error *err);
