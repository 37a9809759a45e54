/* SPDX-License-Identifier: Apache-2.0 */
/* "set" of a manifest: pods that were stopped together. docs/adr/0014-sets-are-restored-whole.md */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct ct_error;
struct doc;
struct node;

struct set_mark {
	const char *id; /* NULL: the pod was stopped alone */
	const struct node *members;
	size_t index; /* of this pod */
};

/* 32 hexadecimal digits at random. */
int set_mark_new_id(char ret[33], struct ct_error *err);
void set_mark_put(struct node *root, const char *id, const char *const *members, size_t n, size_t index);
/* The mark is the document's. Errors of the document stay in it (doc_check()). */
void set_mark_get(const struct node *root, struct set_mark *ret);
const char *set_mark_member(const struct set_mark *m, size_t index);

/*
 * What the pods of a set have to do with one another is right only among themselves: beside what became of the others,
 * or without them, a pod would find its connections ended. -EINVAL: of the images with these marks, which are restored
 * together, one is missing for number `i` (unless `alone`) or there twice.
 */
int set_mark_check(const struct set_mark *marks, size_t n, size_t i, bool alone, struct ct_error *err);
