/* SPDX-License-Identifier: Apache-2.0 */
/* What the two sides of pod_spawn() share: the monitor's (spawn.c) and PID 1's (spawn-inside.c). */
#pragma once
#include <fcntl.h>

#include "libct/pod/inside.h"

/*
 * On the sync socket (SOCK_SEQPACKET, one message a packet):
 *
 *	monitor			PID 1, the command it forked
 *	  struct net_config ----->	the network is there, with this address: go on
 *	  <------ struct report ---	the terminal's master, with tty
 *	  <------ struct report ---	the command is ready, or what failed
 *	  <------------------- 'r'	podckpt-init is in front of its work
 *	  struct init_go -------->	released
 */
enum report_kind { REPORT_MASTER, REPORT_READY, REPORT_FAILED };

struct report {
	enum report_kind kind;
	struct ct_error error; /* REPORT_FAILED */
};

/*
 * Descriptors that PID 1 inherits; all are above those it has a fixed place for, -1 where there
 * is none.
 */
struct spawn {
	struct pod *pod;
	const struct pod_start *start;
	bool born;	   /* in its cgroup of v2 */
	int sync;	   /* PID 1's end */
	int exec_error;	   /* write end */
	int stream[3];	   /* the pod's ends; -1: /dev/null or the terminal */
	int restorer;	   /* the restorer's pidfd */
	int init;	   /* podckpt-init's memfd */
};

#define SPAWN_FIRST_FD 16 /* above every place that PID 1 puts a descriptor to */

/* Moves a descriptor out of the way of those places. */
static inline int spawn_lift(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, SPAWN_FIRST_FD);

	if (high < 0)
		return -errno;
	close(*fd);
	*fd = high;
	return 0;
}

/* PID 1 of the pod, from its first instruction. Never returns. */
void __attribute__((noreturn)) spawn_inside(const struct spawn *s);
