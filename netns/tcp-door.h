/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening TCP socket takes no new connections for a moment, so that a server whose clients come and go without
 * pause comes to rest: those that are on their way are accepted and go on. Whoever knocks does so again a second later.
 */
#pragma once
#include <stdbool.h>

/* False: it has a filter of its own (man 7 socket, SO_ATTACH_FILTER), and stays open. */
bool tcp_door_shut(int fd);
/* Nothing happens where it is not shut. */
void tcp_door_open(int fd);
