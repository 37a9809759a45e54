/* SPDX-License-Identifier: Apache-2.0 */
/* What fd-epoll.c and epoll-signals.c share. */
#pragma once
#include <linux/kcmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ct_error;
struct dump;
struct fd_view;
struct node;
struct restore;

struct epoll_target {
	int fd;
	uint32_t descriptor; /* its number in the manifest */
	uint32_t events;
	uint64_t data;
	bool reported; /* ready, edge-triggered, and the program knows */
	struct kcmp_epoll_slot slot; /* in a dump */
	/* Of a signalfd: the process whose signals wake the set, and the set's number there; 0: no signalfd. */
	pid_t process;
	int set;
};

/* Does descriptor `fd` of `pid` refer to the description that the pair means? */
bool epoll_is_target(const struct kcmp_epoll_slot *slot, pid_t pid, int fd);

/* What a set watches, by number; the list is the caller's. Refuses what no process has open. */
int epoll_read_targets(struct dump *d, const struct fd_view *v, struct epoll_target **ret,
		       size_t *ret_n, struct ct_error *err);

/*
 * Finds the processes of those that are signalfds; *ret: there are some. Refuses what cannot be made
 * again, also sets that hold such a set.
 */
int epoll_find_signals(struct dump *d, const struct fd_view *v, struct epoll_target *list, size_t n,
		       bool *ret, struct ct_error *err);

/* Reads the fields of one target, and adds all of a set: in those processes, when the rest is in it. */
void epoll_get_signals(const struct node *n, struct epoll_target *t);
int epoll_restore_signals(struct restore *r, const struct node *n, struct ct_error *err);
