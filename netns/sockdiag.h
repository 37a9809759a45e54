/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells about sockets without touching them: man 7 sock_diag. Every function asks
 * inside the namespace `netns_fd` (-1: the caller's) and sees the sockets of all processes there,
 * by the inode number that /proc/PID/fd and fstat(2) show.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ct_error;
struct sockaddr_storage;

#define SOCKDIAG_NAME_MAX 110

struct sockdiag_unix {
	uint32_t ino;
	int type;      /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
	int state;     /* TCP_ESTABLISHED, TCP_LISTEN, TCP_CLOSE (neither; also every unconnected
			  datagram socket) */
	uint32_t peer; /* inode of the other end; 0: none, or one that nobody has a descriptor of */
	bool connected; /* has another end at all */

	/*
	 * The bytes of sun_path: a path without its NUL; or, where the first is NUL, an abstract
	 * name in its whole length, which may have more of them. name_len 0: not bound.
	 */
	char name[SOCKDIAG_NAME_MAX];
	size_t name_len;

	/*
	 * The file that a path is bound to, which may have been removed since; the inode is the
	 * lower half of it.
	 */
	bool has_file;
	dev_t file_dev;
	uint32_t file_ino;

	uint32_t rqlen; /* bytes to be read; of a listening socket connections to be accepted */
	uint32_t wqlen; /* bytes not read by the other end; of a listening socket the backlog */
	unsigned int shutdown; /* 1 reading, 2 writing */
	uid_t uid;

	/*
	 * Of a listening socket: the inodes of those who wait to be accepted, oldest first; 0: gone
	 * again.
	 */
	const uint32_t *icons;
	size_t n_icons;
};

/* All of them; the caller frees *ret, which holds the icons too. */
int sockdiag_unix_all(int netns_fd, struct sockdiag_unix **ret, size_t *ret_n,
		      struct ct_error *err);

/* One of them; the caller frees *ret. -ENOENT. */
int sockdiag_unix_one(int netns_fd, uint32_t ino, struct sockdiag_unix **ret, struct ct_error *err);

struct sockdiag_inet {
	int family;   /* AF_INET, AF_INET6 */
	int protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	int state;    /* TCP_*; UDP: TCP_ESTABLISHED when connected, else TCP_CLOSE */
	uint32_t ino; /* 0: no process has a descriptor (closing, or not accepted yet) */
	uid_t uid;
	uint8_t local[16], remote[16];	  /* 4 or 16 bytes, network order; zero: any, none */
	uint16_t local_port, remote_port; /* host order */
	int ifindex;			  /* bound to that link, or 0 */
	uint32_t rqlen; /* bytes received and not read; of a listening socket connections to be
			   accepted */
	uint32_t wqlen; /* bytes not acknowledged; of a listening socket the backlog */
	unsigned int shutdown; /* 1 reading, 2 writing */
	bool v6only;
	bool signs; /* has keys to sign segments with (TCP_MD5SIG) */
	uint32_t mark;
	uint64_t cookie; /* this socket, as long as it lives */
	uint8_t snd_scale, rcv_scale; /* of a TCP connection: how the windows of both ends are scaled */
};

/*
 * IPv4 and IPv6 of IPPROTO_TCP or IPPROTO_UDP, in any state; 0 for both. The caller frees *ret.
 * Unbound sockets are not listed.
 */
int sockdiag_inet_all(int netns_fd, int protocol, struct sockdiag_inet **ret, size_t *ret_n,
		      struct ct_error *err);

/*
 * What a TCP segment from `remote` to `local` (of one family; `ifindex`: 0, or the link that it comes by) would meet: a
 * connection, one that is being opened (TCP_SYN_RECV, `ino` 0), what is left of one (TCP_TIME_WAIT), or a listening
 * socket. -ENOENT.
 */
int sockdiag_tcp_one(int netns_fd, const struct sockaddr_storage *local,
		     const struct sockaddr_storage *remote, int ifindex, struct sockdiag_inet *ret,
		     struct ct_error *err);

/*
 * Ends the TCP connections of a namespace whose processes have ended. Those that still wait for an acknowledgement live on for
 * up to two minutes, and over IPv6 they hold the link: whoever removes it waits for them in the kernel. Peers get a
 * reset if packets pass. -EOPNOTSUPP: this kernel cannot (CONFIG_INET_DIAG_DESTROY).
 */
int sockdiag_end_tcp(int netns_fd, struct ct_error *err);
