/* SPDX-License-Identifier: Apache-2.0 */
/* The frames of a migration: what is sent arrives, and nothing else is believed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libct/migrate/message.h"
#include "libct/migrate/transport.h"
#include "tests/unit/unit.h"

/* Two ends that hear each other: [0] is the client. */
struct pair {
	struct wire end[2];
	int there[2], back[2];
};

static void pair_make(struct pair *p)
{
	struct ct_error err = { 0 };

	REQUIRE("pipes", pipe2(p->there, O_CLOEXEC) == 0 && pipe2(p->back, O_CLOEXEC) == 0);
	REQUIRE("client", wire_init(&p->end[0], p->back[0], p->there[1], true, &err) == 0);
	REQUIRE("server", wire_init(&p->end[1], p->there[0], p->back[1], false, &err) == 0);
}

static void pair_release(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		wire_release(&p->end[i]);
		close(p->there[i]);
		close(p->back[i]);
	}
}

/* One frame from `from`, heard by the other: its type, or the error of either. */
static int pass(struct pair *p, int from, enum wire_type type, const char *text)
{
	struct ct_error err = { 0 };
	const void *payload;
	size_t len;
	int r = wire_send(&p->end[from], type, text, strlen(text), &err);

	if (r < 0)
		return r;
	r = wire_recv(&p->end[!from], 1000, &payload, &len, &err);
	if (r >= 0 && (len != strlen(text) || memcmp(payload, text, len)))
		return -EBADMSG;
	return r;
}

static void test_whole_conversation(void)
{
	static const struct {
		int from;
		enum wire_type type;
	} steps[] = {
		{ 0, WIRE_HELLO }, { 1, WIRE_WELCOME }, { 0, WIRE_OFFER },
		{ 1, WIRE_ACCEPT }, { 0, WIRE_HAVE }, { 1, WIRE_HAD }, { 0, WIRE_HAVE }, { 1, WIRE_HAD },
		{ 0, WIRE_DATA }, { 0, WIRE_FILE }, { 0, WIRE_DATA }, { 0, WIRE_END }, { 1, WIRE_READY },
		{ 0, WIRE_DATA }, { 0, WIRE_END }, { 1, WIRE_READY },
		{ 0, WIRE_GO }, { 1, WIRE_RUNNING }, { 0, WIRE_DONE },
	};
	static const enum wire_type question[] = { WIRE_HELLO, WIRE_WELCOME, WIRE_STATUS, WIRE_STATE,
						   WIRE_STATUS, WIRE_STATE, WIRE_DONE };
	bool good = true;
	struct pair p;

	pair_make(&p);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		good &= pass(&p, steps[i].from, steps[i].type, "{}") == (int)steps[i].type;
	CHECK("a whole migration", good);
	CHECK("nothing comes after it", pass(&p, 1, WIRE_FAILED, "{}") == -EPROTO);
	CHECK("both counted the same", p.end[0].sent == p.end[1].received && p.end[0].sent > 0);
	pair_release(&p);
	pair_make(&p);
	good = true;
	for (size_t i = 0; i < sizeof(question) / sizeof(question[0]); i++)
		good &= pass(&p, question[i] == WIRE_WELCOME || question[i] == WIRE_STATE, question[i], "{}") ==
			(int)question[i];
	CHECK("a question after it", good);
	pair_release(&p);
}

/* Every message in every phase: what the sender refuses to send the receiver refuses to hear. */
static void test_phases(void)
{
	int legal = 0, wrong = 0;

	for (int phase = WIRE_START; phase <= WIRE_OVER; phase++)
		for (int type = 0; type <= WIRE_STATE + 1; type++)
			for (int from = 0; from < 2; from++) {
				struct ct_error err = { 0 };
				const void *payload;
				unsigned char raw[8] = { 0 };
				struct pair p;
				size_t len;
				int sent, got;

				pair_make(&p);
				p.end[0].phase = p.end[1].phase = phase;
				sent = wire_send(&p.end[from], type, "", 0, &err);
				if (sent < 0) { /* as a peer would that keeps to no rules */
					raw[4] = (unsigned char)type;
					wrong += write(from ? p.back[1] : p.there[1], raw, 8) != 8;
				}
				got = wire_recv(&p.end[!from], 1000, &payload, &len, &err);
				wrong += sent < 0 ? got != -EPROTO : got != type;
				wrong += p.end[0].phase != p.end[1].phase;
				legal += sent == 0;
				pair_release(&p);
			}
	CHECK("both sides agree about every message in every phase", wrong == 0);
	/* 21 of the table, and FAILED in all phases but two. */
	CHECK("as many are legal as docs/protocol.md lists", legal == 21 + WIRE_OVER - 1);
}

static int hear(const void *raw, size_t len, bool then_close)
{
	struct ct_error err = { 0 };
	const void *payload;
	size_t got;
	struct pair p;
	int r;

	pair_make(&p);
	if (write(p.there[1], raw, len) != (ssize_t)len)
		return 1;
	if (then_close) {
		close(p.there[1]);
		p.there[1] = -1;
	}
	r = wire_recv(&p.end[1], 50, &payload, &got, &err);
	pair_release(&p);
	return r;
}

static void test_damage(void)
{
	static const unsigned char hello[] = { 2, 0, 0, 0, 1, 0, 0, 0, '{', '}' };
	unsigned char raw[10];

	CHECK("a good one", hear(hello, sizeof(hello), false) == WIRE_HELLO);
	CHECK("cut off in its head", hear(hello, 5, true) == -EPIPE);
	CHECK("cut off in its payload", hear(hello, 9, true) == -EPIPE);
	CHECK("a head that never ends", hear(hello, 5, false) == -ETIMEDOUT);
	memcpy(raw, hello, sizeof(raw));
	raw[6] = 1;
	CHECK("the reserved field", hear(raw, sizeof(raw), false) == -EPROTO);
	memcpy(raw, hello, sizeof(raw));
	raw[3] = 1;
	CHECK("16 MB", hear(raw, sizeof(raw), false) == -EPROTO);
	CHECK("what a shell may print", hear("Welcome to Debian\n", 18, false) == -EPROTO);
	CHECK("nothing at all", hear("", 0, true) == -EPIPE);
}

static void test_limits(void)
{
	static char big[WIRE_PAYLOAD_MAX + 1];
	struct ct_error err = { 0 };
	const void *payload;
	struct pair p;
	pid_t child;
	size_t len;
	int status;

	pair_make(&p);
	CHECK("too long a message is not sent",
	      wire_send(&p.end[0], WIRE_HELLO, big, sizeof(big), &err) == -EPROTO);
	/* Longer than a pipe. */
	child = fork();
	if (child == 0)
		_exit(wire_send(&p.end[0], WIRE_HELLO, big, WIRE_PAYLOAD_MAX, &err) < 0);
	CHECK("the longest one arrives", wire_recv(&p.end[1], 1000, &payload, &len, &err) == WIRE_HELLO &&
				     len == WIRE_PAYLOAD_MAX);
	CHECK("and was sent", waitpid(child, &status, 0) == child && status == 0);
	close(p.back[0]);
	p.back[0] = -1;
	CHECK("nobody listens", wire_send(&p.end[1], WIRE_WELCOME, "{}", 2, &err) == -EPIPE);
	pair_release(&p);
}

static void test_errors(void)
{
	struct ct_error said = { -EEXIST, "the name is taken\nno \x1b[31mroom" }, heard = { 0 };
	struct pair p;
	int r;

	pair_make(&p);
	p.end[0].phase = p.end[1].phase = WIRE_IMAGE;
	p.end[0].peer = "b";
	message_fail(&p.end[1], &said);
	r = message_recv(&p.end[0], 1000, WIRE_READY, 0, NULL, &heard);
	CHECK("an error keeps its meaning", r == -EEXIST && heard.code == -EEXIST);
	CHECK_STR("its lines say where, and hold nothing for a terminal", heard.text,
		  "b: the name is taken\nb: no ?[31mroom");
	pair_release(&p);
}

static void test_words(void)
{
	struct ct_error err = { 0 };
	char **w = NULL;

	REQUIRE("a command", words_split(" ssh -o 'Proxy Command=a b' \"x y\"z  ", &w, &err) == 0);
	CHECK_STR("a plain word", w[0], "ssh");
	CHECK_STR("quotes hold blanks", w[2], "Proxy Command=a b");
	CHECK_STR("and may end in a word", w[3], "x yz");
	CHECK("its end", !w[4]);
	words_free(w);
	CHECK("an empty command", words_split("  ", &w, &err) == -EINVAL);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_whole_conversation();
	test_phases();
	test_damage();
	test_limits();
	test_errors();
	test_words();
	return UNIT_DONE();
}
