/* SPDX-License-Identifier: Apache-2.0 */
/* Segments that we give to a socket in the name of its peer, and the filter that lets only these through. */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <stddef.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "netns/raw.h"
#include "netns/tcp-impl.h"

/* SO_MARK of what we send: nothing else in a network that is closed has it. */
#define MARK 0x70636b74

static struct sock_filter only_ours[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

#define N_ONLY_OURS (sizeof(only_ours) / sizeof(only_ours[0]))

int tcp_deafen(int fd, struct ct_error *err)
{
	struct sock_fprog program = { N_ONLY_OURS, only_ours };
	socklen_t n = 0;

	/* EACCES: an eBPF program. */
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0)
		return errno == EACCES ? 0 : error_errno(err, -errno, "SO_GET_FILTER");
	if (n)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return error_errno(err, -errno, "SO_ATTACH_FILTER");
	return 0;
}

/* 1: our filter, 0: another or none. */
static int has_ours(int fd)
{
	struct sock_filter got[N_ONLY_OURS];
	socklen_t n = N_ONLY_OURS; /* instructions, not bytes */

	/* EINVAL: a longer one. */
	if (sock_get(fd, SOL_SOCKET, SO_GET_FILTER, got, &n) < 0)
		return errno == EACCES || errno == EINVAL ? 0 : -errno;
	return n == N_ONLY_OURS && !memcmp(got, only_ours, sizeof(got));
}

int tcp_hear(int fd, struct ct_error *err)
{
	int r = has_ours(fd);

	if (r <= 0)
		return r < 0 ? error_errno(err, r, "SO_GET_FILTER") : 0;
	if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int)) < 0)
		return error_errno(err, -errno, "SO_DETACH_FILTER");
	return 0;
}

bool tcp_is_deaf(int fd)
{
	return has_ours(fd) > 0;
}

/* What is sent of it, but for the data. */
struct wire {
	uint16_t source, dest;
	uint32_t seq, ack;
	uint8_t offset, flags;
	uint16_t window, check, urgent;
	uint8_t options[40];
};

/* `len`: with the two bytes of its head. */
static size_t put_option(uint8_t *to, uint8_t kind, uint8_t len, uint64_t value)
{
	to[0] = kind;
	to[1] = len;
	for (uint8_t i = 2; i < len; i++)
		to[i] = (uint8_t)(value >> 8 * (len - 1 - i));
	return len;
}

/* RFC 9293, 7323 and 2018; filled up with options that say nothing. Returns their length. */
static size_t put_options(uint8_t *to, const struct tcp_segment *segment)
{
	const struct tcp_connection *offer = segment->offer;
	size_t n = 0;

	if (offer)
		n += put_option(to + n, TCP_OPTION_MSS, 4, offer->max_segment);
	if (offer && offer->scaling)
		n += put_option(to + n, TCP_OPTION_SCALE, 3, offer->snd_scale);
	if (offer && offer->sack)
		n += put_option(to + n, TCP_OPTION_SACK, 2, 0);
	while (n % 4 != (segment->timestamps ? 2 : 0))
		to[n++] = 1;
	if (segment->timestamps)
		n += put_option(to + n, TCP_OPTION_TIMESTAMPS, 10, (uint64_t)segment->time << 32 | segment->echo);
	return n;
}

static int put(const struct sockaddr_storage *from, const struct sockaddr_storage *to,
	       const struct tcp_segment *segment, uint32_t mark)
{
	/* The port stands at the same place in both. */
	struct wire head = { .source = ((const struct sockaddr_in *)from)->sin_port,
			     .dest = ((const struct sockaddr_in *)to)->sin_port,
			     .seq = htonl(segment->seq), .ack = htonl(segment->ack),
			     .flags = segment->flags, .window = htons(segment->window) };
	size_t len = offsetof(struct wire, options) + put_options(head.options, segment);
	const struct iovec parts[] = { { &head, len }, { (void *)segment->data, segment->len } };

	head.offset = (uint8_t)(len / 4 << 4);
	head.check = raw_checksum(from, to, IPPROTO_TCP, parts, 2);
	return raw_send(from, to, IPPROTO_TCP, parts, 2, mark);
}

int tcp_inject(const struct sockaddr_storage *from, const struct sockaddr_storage *to,
	       const struct tcp_segment *segment)
{
	return put(from, to, segment, MARK);
}

int tcp_emit(const struct sockaddr_storage *from, const struct sockaddr_storage *to,
	     const struct tcp_segment *segment)
{
	return put(from, to, segment, 0);
}
