/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets in anybody's name (man 7 raw), for sockets of the caller's network namespace: they go through its loopback link,
 * and keep the route that they had there, so that nobody doubts where they come from. Needs CAP_NET_RAW.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The IPv4 address, also a mapped one; false: it is of IPv6. */
bool raw_ipv4(const struct sockaddr_storage *a, struct in_addr *ret);

#define RAW_PARTS 3

/*
 * The checksum of what follows the head of IP, in network order: RFC 9293, 3.1; that of ICMP over IPv4 is without the addresses. All parts
 * but the last have an even length, and where the checksum will stand there is 0.
 */
uint16_t raw_checksum(const struct sockaddr_storage *from, const struct sockaddr_storage *to, int protocol,
		      const struct iovec *parts, int n);

/* At most RAW_PARTS of them. `mark`: SO_MARK of the packet. Negative errno. */
int raw_send(const struct sockaddr_storage *from, const struct sockaddr_storage *to, int protocol,
	     const struct iovec *parts, int n, uint32_t mark);
