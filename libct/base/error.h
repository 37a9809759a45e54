/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: one record, owned by the caller, that never allocates.
 *
 * Every function that can fail returns 0 (or a count) on success and a negative errno on failure,
 * and takes a `struct ct_error *` last where the cause deserves words. The words are made once,
 * where the cause is known; each caller that adds an object (a pid, a descriptor, a pod) puts
 * its name in front with error_prefix(). The result reads
 *
 *	checkpoint pod1: pid 12 fd 7 (eventfd): open 'fdinfo/7': Permission denied
 *
 * `err` may be NULL everywhere: the code is still returned.
 */
#pragma once
#include "libct/libct.h"

/* Records `code` (a negative errno) and the text, which is one line; returns `code`. */
int error_set(struct ct_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Records several findings, one on each line; each went through error_plain() before. Where there is no room for all the last
 * line is "and N more", here and where a prefix makes them longer.
 */
int error_lines(struct ct_error *err, int code, const char *lines);

/* Makes control characters (newlines too) question marks. */
void error_plain(char *text);

/* Like error_set() with ": strerror(-code)" behind the text. */
int error_errno(struct ct_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "text: " in front of what is recorded, which from now on has that code; returns it, for use in `return`. */
int error_prefix(struct ct_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds the lines of another record below those of this one, which may be empty; returns the code of `more`. */
int error_add(struct ct_error *err, const struct ct_error *more);
