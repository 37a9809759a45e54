/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pseudo-terminals: what is queued in them, and who is controlled by them.
 *
 *	master  --write-->  line discipline (edits, echoes)  --read-->  slave	"input"
 *	master  <--read---  a plain queue                 <--write---  slave	"output"
 */
#pragma once
#include <asm/termbits.h> /* struct termios2: <termios.h> has no place for every speed */

#include "libct/kind.h"

extern const struct kind kind_tty;

#define TTY_QUEUE 4096 /* N_TTY_BUF_SIZE of the kernel */

/* How a stretch of input ends: by its last character (newline, VEOL), by an end of file, or not yet. */
enum tty_end { TTY_LINE, TTY_EOF, TTY_OPEN };

struct tty_line {
	uint16_t len;
	uint8_t end; /* enum tty_end */
};

/* In cooked mode (ICANON) input is lines, the last one perhaps still open; else it is one open one. */
struct tty_queues {
	int error; /* negative errno of `what` */
	char what[32];
	size_t n_lines, n_input, n_output;
	struct tty_line lines[TTY_QUEUE];
	uint8_t input[2 * TTY_QUEUE], output[2 * TTY_QUEUE];
};

/*
 * Reads both queues and puts them back, in a process of its own that outlives ours, whatever
 * happens to it. Our descriptors: `slave` (O_NONBLOCK, -1: no input is read), `master` (-1: no output is read).
 * Nobody else may use the terminal meanwhile. *ret is freed with tty_queues_free().
 */
int tty_queues_peek(int slave, int master, struct tty_queues **ret, struct ct_error *err);
void tty_queues_free(struct tty_queues *q);

/* Puts input and output into a terminal that has none; leaves its modes alone. */
int tty_put_input(int slave, const struct tty_queues *q);
int tty_put_output(int master, const struct tty_queues *q);
/* Characters as if they were typed: they are edited and echoed. */
int tty_type(int slave, const void *data, size_t len);

/*
 * Opens /dev/tty, with each of `flags`, for a terminal that is nobody's: by a process that takes it as
 * its controlling terminal and ends. The descriptors are ours.
 */
int tty_open_current(int slave, const int *flags, int *ret_fds, size_t n, struct ct_error *err);

/* The number of the first description of terminal `index` in the manifest; -ENOENT. */
int tty_find(struct dump *d, uint32_t index, uint32_t *ret_id);

/* To be called for a process that has become the leader of its session, before it has children there: takes its terminal. */
int terminal_take(struct restore_process *p, struct ct_error *err);
