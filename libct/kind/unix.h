/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets: what the files of this kind share. */
#pragma once
#include <sys/socket.h>
#include <sys/un.h>

#include "libct/kind/sock.h"
#include "netns/sockdiag.h"

/* The bytes of sun_path: a path without its NUL, or an abstract name with the NUL it begins with. len 0: none. */
struct unix_name {
	size_t len;
	char bytes[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
};

void unix_name_from(const struct sockaddr_un *address, socklen_t len, struct unix_name *ret);
socklen_t unix_name_to(const struct unix_name *name, struct sockaddr_un *ret);
bool unix_name_equal(const struct unix_name *a, const struct unix_name *b);
/* As an object {"path": ...} or {"abstract": ...}; nothing where there is no name. */
void unix_name_put(struct node *n, const char *key, const struct unix_name *name);
void unix_name_get(const struct node *n, const char *key, struct unix_name *ret);

/* Who did it, as the pod sees it: SO_PEERCRED, SO_PEERGROUPS and SCM_CREDENTIALS of man 7 unix. */
struct unix_who {
	bool known;
	pid_t vpid; /* 0: a process outside the pod */
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* owned */
	size_t n_groups;
};

void unix_who_release(struct unix_who *who);
bool unix_who_equal(const struct unix_who *a, const struct unix_who *b);
void unix_who_put(struct node *n, const char *key, const struct unix_who *who);
int unix_who_get(const struct node *n, const char *key, struct unix_who *ret, struct ct_error *err);

/* SIOCUNIXFILE: an O_PATH descriptor of the file that it is bound to, also when that was removed. Negative errno. */
int unix_open_file(int fd);

/* ---- dump ---- */

/* A socket of the pod's network, and what the dump knows of it. */
struct unix_entry {
	struct sockdiag_unix diag;
	uint32_t id;	 /* UINT32_MAX: not met yet */
	pid_t holder;	 /* a host PID that has it */
	uint32_t pending_on; /* inode of the listening socket that it waits at; 0 */
	bool held;	     /* something waits at it that only the kernel's memory tells of */
};

struct unix_registry {
	struct sockdiag_unix *diag;
	struct unix_entry *entries; /* by inode, ascending */
	size_t n;
	bool in_flight; /* some queue has descriptors in it, where the pre-flight does not look */
};

/* The registry, asked of the kernel at the first call. */
int unix_registry(struct dump *d, struct unix_registry **ret, struct ct_error *err);
struct unix_entry *unix_find(struct unix_registry *u, uint32_t ino);
void unix_registry_free(struct unix_registry *u);
/*
 * Socket `other` is the peer of socket `ino`, or waits to be accepted there, and one of them, `unmet`, no process was seen to have. Is that
 * over by now, or has a process of the pod got it since? Never while the pod is stopped. If not it is of a process outside.
 */
bool unix_passing(struct dump *d, uint32_t ino, uint32_t other, uint32_t unmet);

/* SO_PEERCRED of our descriptor `fd`. */
int unix_who_read(struct dump *d, const struct fd_view *v, struct unix_who *ret, struct ct_error *err);

/*
 * Runs `work(context)` in a child of ours inside the pod's PID namespace, which shares our descriptors but has a copy of
 * our memory. There credentials read as in the pod, also those of processes that are gone. It
 * goes on if we are killed. The child takes a PID that the pod would not give out next, and no
 * process of the pod can see it, since all are stopped.
 */
int unix_inside(struct dump *d, void (*work)(void *), void *context, struct ct_error *err);

/* Puts what is in the receive queue as "queue". Nothing is changed, but see the comment there. */
int unix_queue_dump(struct dump *d, const struct fd_view *v, const struct sockdiag_unix *diag,
		    struct node *n, struct ct_error *err);

/* What goes into a queue of the manifest: bytes of a stream by one sender make one piece. */
struct unix_stretch {
	char *data; /* to be freed */
	size_t len;
	bool open;
	struct unix_who who;
};
int unix_stretch_add(struct unix_stretch *s, const void *data, size_t len, const struct unix_who *who,
		     struct node *queue, struct ct_error *err);
/* What comes is another piece, or there is none. */
void unix_stretch_end(struct unix_stretch *s, struct node *queue);

/* A message, or some bytes of a stream. */
struct unix_said {
	uint8_t *data; /* owned */
	size_t len;
	struct unix_who who;
};

/* A connection that waits to be accepted, as the kernel has it in its memory. */
struct unix_held {
	uint32_t client;	/* the inode of who connected; 0: it is closed */
	struct unix_name name; /* of one that is closed */
	struct unix_who connector;
	struct unix_said *said; /* the oldest first */
	size_t n_said;
	bool rights, urgent; /* there are descriptors, an out-of-band byte in it */
	bool passes_other;   /* it was made when the listening socket had other options of the SO_PASSCRED sort */
};

/*
 * Those of the listening socket behind our descriptor `fd`, in its order. -EAGAIN with words: something came or went
 * meanwhile; -EOPNOTSUPP with words: this kernel cannot be read. unix_held_free() frees.
 */
int unix_held_read(struct dump *d, int fd, struct unix_held **ret, size_t *ret_n, struct ct_error *err);
void unix_held_free(struct unix_held *list, size_t n);

/* Puts what waits at the listening socket `e`, which `v` is, into its node and into those of the clients. */
int unix_waiting_link(struct dump *d, const struct fd_view *v, struct unix_registry *u, const struct unix_entry *e,
		      struct node *n, struct ct_error *err);
/* Who will be said to have made a connection that waits, as far as is known without that. */
void unix_connector_put(struct dump *d, const struct unix_entry *e, struct node *n);

/* ---- restore ---- */

/* The kind's fd_restore: makes all of them at the first call. */
int unix_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
		 struct ct_error *err);

enum unix_state { UNIX_CLOSED, UNIX_LISTENING, UNIX_CONNECTED };

/* A socket of the manifest. */
struct unix_socket {
	uint32_t id;
	const struct node *n;
	int type, protocol;
	struct unix_name name, peer_name; /* peer_name: of one that is gone */
	const char *file;		  /* where the path is, canonical; NULL: removed, or no path */
	enum unix_state state;
	int backlog;
	struct unix_socket *peer; /* NULL: none, or gone */
	bool peer_gone;
	struct unix_socket *pending_on;
	struct unix_who who, connector;
	unsigned int shutdown;
	bool error;
	int fd;	     /* -1: not made yet */
	int partner; /* our temporary end in place of a peer that is gone, -1 */
	bool connected, queued; /* done so far */
};

struct unix_world {
	struct restore *r;
	struct unix_socket *s;
	size_t n;
	int mount;    /* an empty tmpfs of our own for names of removed files, -1: none yet */
	/* The pod's root; the host's /proc, where all of this works; and where we were. */
	int root, cwd, home;
	mode_t umask;
};

/* Binds; `file` is where a path is (canonical), NULL where it was removed. */
int unix_bind(struct unix_world *w, int fd, const struct unix_name *name, const char *file,
	      struct ct_error *err);
/* Owner and mode of the file as they were; after everybody has connected. */
int unix_file_own(struct unix_world *w, const struct unix_socket *s, struct ct_error *err);
/* The address by which we reach a socket from the working directory of the world; *ret_file is to be closed after use. */
int unix_reach(int fd, struct sockaddr_un *ret, socklen_t *ret_len, int *ret_file, struct ct_error *err);

/*
 * The calls that note who made them (`who` not known: nobody's), made by that process of the pod,
 * by a stand-in where it is gone, or by us where it was outside.
 */
int unix_pair(struct restore *r, const struct unix_who *who, int type, int protocol, int ret[2],
	      struct ct_error *err);
int unix_listen(struct restore *r, const struct unix_who *who, int fd, int backlog,
		struct ct_error *err);
int unix_connect(struct restore *r, const struct unix_who *who, int fd, int to, struct ct_error *err);
/* The host PID of a process of the pod, for SCM_CREDENTIALS. */
int unix_host_pid(struct restore *r, pid_t vpid, pid_t *ret, struct ct_error *err);

/* Fills the receive queue, once. */
int unix_queue_restore(struct unix_world *w, struct unix_socket *s, struct ct_error *err);
/* Sends the messages of a queue from a connected end, whose send buffer is wide from then on. */
int unix_send_all(struct unix_world *w, int from, const struct node *queue, bool stream, struct ct_error *err);
/* Makes the connections that wait at `l`, which listens. */
int unix_waiting_restore(struct unix_world *w, const struct unix_socket *l, struct ct_error *err);
/* Do all messages come from the peer? Then it can be filled when it is connected. */
bool unix_queue_of_peer(const struct unix_socket *s);
