/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people, JSON for programs. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libct/libct.h"

/* Rows of cells, printed in aligned columns; the last column is not padded. */
struct table {
	size_t columns;
	char **cells;
	size_t n_cells;
	bool failed; /* no memory: table_print() says so */
};

void table_init(struct table *table, size_t columns);
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* 0, or -ENOMEM. */
int table_print(const struct table *table, FILE *f);
void table_release(struct table *table);

/* A JSON string with its quotes; NULL is null. What is not UTF-8 is replaced. */
void json_string(FILE *f, const char *s);

/*
 * One object, with its version field, and a newline. With `names` of n pods an array of them, each with "pod".
 */
void stats_print(FILE *f, const struct ct_stats *stats, const char *const *names, size_t n);

/* "3 s", "12 min", "5 h", "2 d" */
const char *duration_text(uint64_t seconds, char buf[32]);
/* "512 B", "1.5 MB" */
const char *bytes_text(uint64_t bytes, char buf[32]);
