/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket, and its network, as they have to be while a connection is put into its queue: tcp_enqueue(). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct ct_error;
struct tcp_connection;

/* Settings below /proc/sys of the caller's network namespace that are others for a moment. */
struct tcp_settings {
	int proc; /* -1: all stay as they are */
	size_t n;
	struct tcp_setting {
		const char *name;
		char *was;
	} changed[8];
};

int tcp_setting(struct tcp_settings *s, const char *name, const char *value, struct ct_error *err);
/* With those the kernel agrees to what the connection has agreed on. */
int tcp_settings_for(struct tcp_settings *s, const struct tcp_connection *c, struct ct_error *err);
void tcp_settings_undo(struct tcp_settings *s);

struct tcp_listener {
	int fd;	     /* -1: nothing to be undone */
	int defer;   /* TCP_DEFER_ACCEPT; 0: was not set */
	int backlog; /* -1: not changed */
	int buffer, buffer_lock; /* SO_RCVBUF, SO_BUF_LOCK; -1: not changed */
	int chosen; /* the map with the only one that is to be found; -1: not needed */
	bool deaf;
};

/*
 * Whoever knocks now comes to this socket of all that share its port; it has room for one, and hears nothing but
 * tcp_inject(). tcp_listener_let_in(): it hears, and lets in on an acknowledgement alone who then has room for `received`
 * bytes.
 */
int tcp_listener_prepare(struct tcp_listener *l, int fd, struct ct_error *err);
int tcp_listener_let_in(struct tcp_listener *l, size_t received, struct ct_error *err);
void tcp_listener_undo(struct tcp_listener *l);

/* How many wait to be accepted; negative errno. */
int tcp_waiting(int listener);
