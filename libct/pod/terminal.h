/* SPDX-License-Identifier: Apache-2.0 */
/* Within libct/pod: the caller's terminal and signals while it stands in for a process of the pod. */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <termios.h>

#include "libct/base/cleanup.h"

struct ct_error;

/* A terminal in raw mode; goes back to what it was when the variable goes. */
struct terminal {
	int fd; /* not owned; -1: not changed */
	struct termios saved;
};

#define TERMINAL_INIT { .fd = -1 }
#define cleanup_terminal __cleanup(terminal_restore)

int terminal_raw(struct terminal *t, int fd, struct ct_error *err);
void terminal_restore(struct terminal *t);

/* The size of the terminal on standard input, or on standard output; false: neither is one. */
bool terminal_size(unsigned short *ret_rows, unsigned short *ret_columns);

/*
 * The calling thread's signals that are meant for the pod (those that end a program, where the caller
 * does not ignore them), SIGWINCH and SIGCHLD, read from a signalfd. SIGPIPE shows as an error of write(2).
 */
struct signals {
	int fd; /* -1: not taken */
	sigset_t before;
};

#define SIGNALS_INIT { .fd = -1 }
#define cleanup_signals __cleanup(signals_restore)

int signals_take(struct signals *s, struct ct_error *err);
/* The next signal, 0: none. */
int signals_next(struct signals *s);
void signals_restore(struct signals *s);
