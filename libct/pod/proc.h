/* SPDX-License-Identifier: Apache-2.0 */
/* Processes by number, made safe against recycled numbers. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Field 22 of /proc/PID/stat (man 5 proc): clock ticks from boot to the start; 0 where there is no such process. */
uint64_t proc_started(pid_t pid);

/*
 * A pidfd of the process that has this number and started then; -1 where it has ended (a zombie
 * with no thread left has).
 */
int proc_pidfd(pid_t pid, uint64_t started);
bool proc_alive(pid_t pid, uint64_t started);

/* Waits until the process behind a pidfd ends: 1 it has, 0 timeout. Milliseconds, -1: forever. */
int proc_wait(int pidfd, int timeout_ms);
