/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of IP, UDP and TCP: RFC 1071. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/*
 * Adds `len` bytes to a sum that began with 0 or with a number of the pseudo-header, in host byte order. All
 * pieces but the last have an even length. What goes into a packet is htons() of its complement.
 */
static inline uint32_t checksum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}
