/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that say of a packet of ours that it did not arrive (RFC 792, RFC 4443). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct icmp_report {
	uint8_t type, code;
	struct sockaddr_storage from; /* who says so; AF_UNSPEC: we ourselves */
};

/* Are both ends of IPv6, and not mapped ones? Then so is what is reported of their packets. */
bool icmp_is_six(const struct sockaddr_storage *local, const struct sockaddr_storage *remote);

/* A message that the kernel makes this error of; false: there is none. */
bool icmp_report_of(int error, bool six, struct icmp_report *ret);

/*
 * As if it had come for a packet from `local` to `remote`, in the caller's network namespace: `head` are the first bytes of what
 * that packet carried, an even number of them, by which the kernel knows whose it was. Negative errno.
 */
int icmp_report_send(const struct icmp_report *report, const struct sockaddr_storage *local,
		     const struct sockaddr_storage *remote, int protocol, const void *head, size_t len);
