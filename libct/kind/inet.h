/* SPDX-License-Identifier: Apache-2.0 */
/* What TCP, UDP and raw sockets share: addresses, options of IP and IPv6, groups. */
#pragma once
#include <netinet/in.h>

#include "libct/kind/sock.h"

#define INET_TEXT 80

/* AF_INET or AF_INET6. */
bool inet_is(const struct fd_view *v);

/* "10.88.0.2:6379", "[::1]:80". */
const char *inet_text(const struct sockaddr_storage *a, char text[INET_TEXT]);
/* In network order: the port; the IPv4 address, also a mapped one, 0: none. */
uint16_t inet_port(const struct sockaddr_storage *a);
in_addr_t inet_ipv4(const struct sockaddr_storage *a);
/* Makes it that IPv4 address, in a socket of IPv6 a mapped one; the port stays. */
void inet_set_ipv4(struct sockaddr_storage *a, int family, in_addr_t ip);
/* The same of an address of either: as a socket of this family tells it. */
void inet_to_family(int family, struct sockaddr_storage *a);
/* Neither an address nor a port. */
bool inet_any(const struct sockaddr_storage *a);

/* Negative errno: no such name. */
int inet_local(int fd, struct sockaddr_storage *ret);
int inet_remote(int fd, struct sockaddr_storage *ret);

/*
 * An object {"ip", "port", "link"}. Where the pod's own address stands it is "own" instead ("own6" for its IPv6 address), so that
 * it is the new one in a pod that was restored with another.
 */
void inet_address_put(const struct dump *d, int fd, struct node *n, const char *key,
		      const struct sockaddr_storage *a);
int inet_address_get(const struct restore *r, int fd, int family, const struct node *n,
		     const char *key, struct sockaddr_storage *ret, struct ct_error *err);

/* "family" and everything of sock_put() and of IP and IPv6; returns the node of the options. */
struct node *inet_put(struct dump *d, const struct fd_view *v, struct node *n);
/* The socket with all of that set (not the sizes of its buffers, unless `sized`); not bound yet. */
int inet_make(struct restore *r, const struct node *n, bool sized, int *ret_fd,
	      struct ct_error *err);
/* Binds to "local", if there is one, also where the address is not usable yet. */
int inet_bind(struct restore *r, const struct node *n, int fd, struct ct_error *err);

/* Groups that it has joined, as "groups". */
int inet_groups_put(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err);
int inet_groups_get(const struct node *n, int fd, struct ct_error *err);

/* A link by number and by name, in the socket's own network namespace. */
int inet_link_name(int fd, unsigned int index, char name[16]);
int inet_link_index(int fd, const char *name, unsigned int *ret);
