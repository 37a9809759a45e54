/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/migrate/wire.h"

#include <endian.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "libct/base/cleanup.h"
#include "libct/base/clock.h"
#include "libct/base/error.h"

struct wire_head {
	uint32_t length; /* of the payload; little-endian, like all numbers here */
	uint16_t type;
	uint16_t zero;
};

/* What may come when, from whom, and what comes then. */
static const struct transition {
	enum wire_phase phase;
	enum wire_type type;
	bool from_client;
	enum wire_phase next;
} transitions[] = {
	{ WIRE_START, WIRE_HELLO, true, WIRE_GREETING },
	{ WIRE_GREETING, WIRE_WELCOME, false, WIRE_GREETED },
	{ WIRE_GREETED, WIRE_OFFER, true, WIRE_OFFERED },
	{ WIRE_OFFERED, WIRE_ACCEPT, false, WIRE_ACCEPTED },
	{ WIRE_OFFERED, WIRE_REFUSE, false, WIRE_OVER },
	{ WIRE_ACCEPTED, WIRE_HAVE, true, WIRE_ASKED },
	{ WIRE_ASKED, WIRE_HAD, false, WIRE_ACCEPTED },
	{ WIRE_ACCEPTED, WIRE_DATA, true, WIRE_IMAGE },
	{ WIRE_IMAGE, WIRE_DATA, true, WIRE_IMAGE },
	{ WIRE_IMAGE, WIRE_FILE, true, WIRE_IMAGE },
	{ WIRE_IMAGE, WIRE_END, true, WIRE_SENT },
	{ WIRE_SENT, WIRE_READY, false, WIRE_BUILT },
	/* The next image of a set. */
	{ WIRE_BUILT, WIRE_HAVE, true, WIRE_ASKED },
	{ WIRE_BUILT, WIRE_DATA, true, WIRE_IMAGE },
	{ WIRE_BUILT, WIRE_GO, true, WIRE_GONE },
	{ WIRE_GONE, WIRE_RUNNING, false, WIRE_RUNS },
	{ WIRE_RUNS, WIRE_DONE, true, WIRE_OVER },
	{ WIRE_GREETED, WIRE_STATUS, true, WIRE_ASKED_STATE },
	{ WIRE_ASKED_STATE, WIRE_STATE, false, WIRE_TOLD },
	{ WIRE_TOLD, WIRE_STATUS, true, WIRE_ASKED_STATE },
	{ WIRE_TOLD, WIRE_DONE, true, WIRE_OVER },
};

const char *wire_type_name(enum wire_type type)
{
	static const char *const names[] = {
		[WIRE_HELLO] = "HELLO",	  [WIRE_WELCOME] = "WELCOME", [WIRE_OFFER] = "OFFER",
		[WIRE_ACCEPT] = "ACCEPT", [WIRE_REFUSE] = "REFUSE",   [WIRE_HAVE] = "HAVE",
		[WIRE_HAD] = "HAD",	  [WIRE_DATA] = "DATA",	      [WIRE_FILE] = "FILE",
		[WIRE_END] = "END",	  [WIRE_READY] = "READY",     [WIRE_GO] = "GO",
		[WIRE_RUNNING] = "RUNNING", [WIRE_DONE] = "DONE",     [WIRE_FAILED] = "FAILED",
		[WIRE_STATUS] = "STATUS", [WIRE_STATE] = "STATE",
	};

	return type > 0 && type < sizeof(names) / sizeof(names[0]) ? names[type] : "?";
}

int wire_init(struct wire *w, int in, int out, bool client, struct ct_error *err)
{
	*w = (struct wire){ .in = in, .out = out, .client = client };
	w->buf = malloc(WIRE_PAYLOAD_MAX);
	return w->buf ? 0 : error_errno(err, -ENOMEM, "migration");
}

void wire_release(struct wire *w)
{
	free(take_ptr(w->buf));
}

static int step(struct wire *w, unsigned int type, bool from_client, struct ct_error *err)
{
	/* B may give up whenever it was spoken to. */
	if (type == WIRE_FAILED && !from_client && w->phase != WIRE_START && w->phase != WIRE_OVER) {
		w->phase = WIRE_OVER;
		return 0;
	}
	for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
		const struct transition *t = &transitions[i];

		if (t->phase == w->phase && t->type == type && t->from_client == from_client) {
			w->phase = t->next;
			return 0;
		}
	}
	return error_set(err, -EPROTO, "the message %s (%u) does not belong here (phase %u)",
			 wire_type_name(type), type, w->phase);
}

static int write_all(int fd, struct iovec *iov, int n)
{
	while (n) {
		ssize_t len = writev(fd, iov, n);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		for (; n && (size_t)len >= iov->iov_len; iov++, n--)
			len -= (ssize_t)iov->iov_len;
		if (n) {
			iov->iov_base = (char *)iov->iov_base + len;
			iov->iov_len -= (size_t)len;
		}
	}
	return 0;
}

static int hung_up(struct ct_error *err)
{
	return error_set(err, -EPIPE, "the connection has ended");
}

int wire_send(struct wire *w, enum wire_type type, const void *payload, size_t len,
	      struct ct_error *err)
{
	struct wire_head head = { htole32((uint32_t)len), htole16((uint16_t)type), 0 };
	struct iovec iov[] = { { &head, sizeof(head) }, { (void *)payload, len } };
	int r;

	if (len > WIRE_PAYLOAD_MAX)
		return error_set(err, -EPROTO, "a message %s of %zu bytes is too long",
				 wire_type_name(type), len);
	r = step(w, type, w->client, err);
	if (r < 0)
		return r;
	r = write_all(w->out, iov, len ? 2 : 1);
	if (r < 0)
		return r == -EPIPE ? hung_up(err) : error_errno(err, r, "send");
	w->sent += sizeof(head) + len;
	return 0;
}

/* `until` -1: waits. */
static int read_all(struct wire *w, void *data, size_t len, int64_t until, struct ct_error *err)
{
	char *at = data;

	while (len) {
		struct pollfd p = { w->in, POLLIN, 0 };
		int64_t left = until < 0 ? -1 : until - monotonic_ms();
		ssize_t n;
		int r;

		if (until >= 0 && left < 0)
			left = 0;
		r = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);
		if (r < 0 && errno == EINTR)
			continue;
		if (r == 0 && left == 0)
			return error_set(err, -ETIMEDOUT, "the other side says nothing");
		if (r == 0)
			continue;
		n = read(w->in, at, len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return hung_up(err);
		if (n < 0)
			return error_errno(err, -errno, "receive");
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int wire_recv(struct wire *w, int timeout_ms, const void **ret_payload, size_t *ret_len,
	      struct ct_error *err)
{
	int64_t until = timeout_ms < 0 ? -1 : monotonic_ms() + timeout_ms;
	struct wire_head head;
	uint32_t len;
	int r = read_all(w, &head, sizeof(head), until, err);

	if (r < 0)
		return r;
	len = le32toh(head.length);
	if (head.zero || len > WIRE_PAYLOAD_MAX)
		return error_set(err, -EPROTO, "the other side does not speak podckpt's protocol");
	r = step(w, le16toh(head.type), !w->client, err);
	if (r == 0)
		r = read_all(w, w->buf, len, until, err);
	if (r < 0)
		return r;
	w->received += sizeof(head) + len;
	*ret_payload = w->buf;
	*ret_len = len;
	return le16toh(head.type);
}

bool wire_pending(const struct wire *w)
{
	struct pollfd p = { w->in, POLLIN, 0 };

	return poll(&p, 1, 0) > 0;
}
