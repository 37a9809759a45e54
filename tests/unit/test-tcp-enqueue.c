/* SPDX-License-Identifier: Apache-2.0 */
/* netns/tcp-enqueue.c: connections wait to be accepted again, and their peers notice nothing. */
#include <linux/filter.h>
#include <sys/utsname.h>

#include "libct/base/io.h"
#include "tests/unit/tcp-pod.h"

struct waiting {
	int client, fd;
	size_t received;
	bool fin;
	struct tcp_connection c;
};

/*
 * Like one that waits at a moment where packets are held back. The accepted one is as good. `listener`: where it is to wait, behind
 * those before it; -1: that does not matter.
 */
static void begin(struct waiting *w, int listener, enum kind kind, size_t received, bool fin)
{
	int before = listener < 0 ? 0 : waiting(listener);

	*w = (struct waiting){ .client = client_at(world, kind, PORT), .received = received, .fin = fin };
	if (listener >= 0)
		REQUIRE("it waits", comes_to_wait(listener, before + 1));
	REQUIRE("the peer has spoken", write_pattern(w->client, received, (unsigned int)received));
	if (fin)
		shutdown(w->client, SHUT_WR);
}

static void settle(struct waiting *w, int listener)
{
	w->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	/* How much comes in small pieces depends on how they are joined on the way. */
	setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &(int){ 1 << 20 }, sizeof(int));
	REQUIRE("all has arrived",
		becomes(w->fd, w->fin ? TCP_STATE_CLOSE_WAIT : TCP_STATE_ESTABLISHED, (int)w->received) &&
			is_acknowledged(w->client));
}

static void cut(struct waiting *w)
{
	read_connection(w->fd, &w->c, true);
	w->c.peer_timestamp = stamp(w->client);
}

static bool enqueue(int listener, const struct tcp_connection *c)
{
	err.text[0] = '\0';
	if (tcp_enqueue(proc, listener, c, &err) == 0)
		return true;
	printf("# %s\n", err.text);
	return false;
}

static bool alike(const struct tcp_connection *a, const struct tcp_connection *b)
{
	bool same = a->state == b->state && a->snd_una == b->snd_una && a->rcv_nxt == b->rcv_nxt &&
		    a->received_len == b->received_len && a->sack == b->sack &&
		    a->scaling == b->scaling && a->snd_scale == b->snd_scale &&
		    a->rcv_scale == b->rcv_scale && a->max_segment == b->max_segment;

	if (!same)
		printf("# %s %u %u %zu %d %d %d %d %u, %s %u %u %zu %d %d %d %d %u\n",
		       tcp_state_name(a->state), a->snd_una, a->rcv_nxt, a->received_len, a->sack, a->scaling,
		       a->snd_scale, a->rcv_scale, a->max_segment, tcp_state_name(b->state), b->snd_una,
		       b->rcv_nxt, b->received_len, b->sack, b->scaling, b->snd_scale, b->rcv_scale,
		       b->max_segment);
	return same;
}

/* Both ends go on. */
static void go_on(struct waiting *w, int listener, bool timestamps)
{
	cleanup_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct tcp_connection now;

	REQUIRE("it is accepted with all that has arrived",
		fd >= 0 && becomes(fd, (int)w->c.state, (int)w->received));
	read_connection(fd, &now, false);
	CHECK("it is the same", alike(&now, &w->c));
	CHECK("with timestamps that go on, or none", now.timestamps == timestamps &&
	      (!timestamps || (int32_t)(now.timestamp - w->c.timestamp) >= 0));
	CHECK("what was received is read", read_pattern(fd, w->received, (unsigned int)w->received));
	CHECK("what is sent to the peer arrives", flows(fd, w->client));
	if (w->fin) {
		CHECK("... and the peer's end is seen", at_end(fd));
	} else {
		CHECK("... and what it answers", flows(w->client, fd));
		shutdown(w->client, SHUT_WR);
		CHECK("... and that it ends", at_end(fd));
	}
	fd_close(take_fd(&fd));
	CHECK("our end is seen too", at_end(w->client));
	tcp_connection_release(&w->c);
	tcp_connection_release(&now);
	close(w->client);
}

static void test_waiting(enum kind kind, size_t received, bool fin)
{
	static const char *const names[] = { "IPv4", "IPv6", "IPv4 on a socket of IPv6" };
	cleanup_fd int listener = listener_at(kind, PORT, 5, false);
	struct waiting w;

	printf("# %s, %zu bytes, %s\n", names[kind], received, fin ? "ended" : "open");
	begin(&w, listener, kind, received, fin);
	settle(&w, listener);
	hold_packets(true);
	cut(&w);
	CHECK("it waits again", enqueue(listener, &w.c) && waiting(listener) == 1);
	hold_packets(false);
	go_on(&w, listener, true);
}

/* By what a checkpoint reads, and as it would be read again: without a descriptor at any time. */
static void test_held(enum kind kind)
{
	enum { N = 4 };
	static const struct sock_filter syn_alone[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), /* the flags */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { 4, (struct sock_filter *)syn_alone };
	int listener = listener_at(kind, PORT, N, false);
	const struct tcp_connection any = { 0 };
	int64_t until = monotonic_ms() + WAIT_MS;
	struct tcp_held *before, *after;
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	struct waiting w[N];
	size_t n, m;

	for (size_t i = 0; i < N; i++) {
		if (i == N - 1)
			setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
		begin(&w[i], i == N - 1 ? -1 : listener, kind, i == N - 1 ? 0 : i * 10000, i == 1);
	}
	for (size_t got = 0; got < 10000 + 1 + 20000 && monotonic_ms() < until;) {
		got = 0;
		look_at(&any, &before, &n);
		for (size_t k = 0; k < n; k++)
			got += before[k].c.received_len + (before[k].c.state == TCP_STATE_CLOSE_WAIT);
		tcp_held_free(before, n);
	}
	hold_packets(true);
	getsockopt(listener, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	look_at(&any, &before, &n);
	close(listener);
	for (size_t i = 0; i < n; i++)
		if (before[i].listener && !before[i].place)
			REQUIRE("what was asked is forgotten", comes_to(-1, &before[i].c, false, 0));
	listener = listener_at(kind, PORT, N, false);
	getsockopt(listener, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	for (uint32_t place = 1; place <= N; place++)
		for (size_t i = 0; i < n; i++)
			if (before[i].listener && before[i].place == place % N)
				CHECK("one is there again", enqueue(listener, &before[i].c));
	CHECK("all wait but one", waiting(listener) == N - 1);
	for (size_t i = 0; i < n; i++) {
		struct tcp_held *h = before[i].listener ? look_at(&before[i].c, &after, &m) : NULL;

		if (!before[i].listener)
			continue;
		CHECK("it is read as before", h && alike(&h->c, &before[i].c) && h->place == before[i].place &&
		      h->c.timestamps == before[i].c.timestamps && h->c.window.snd_wnd == before[i].c.window.snd_wnd &&
		      h->c.peer_timestamp == before[i].c.peer_timestamp &&
		      (int32_t)(h->c.timestamp - before[i].c.timestamp) >= 0);
		tcp_held_free(after, m);
	}
	hold_packets(false);
	for (size_t i = 0; i < N; i++) {
		cleanup_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		CHECK("what was received is read", read_pattern(fd, w[i].received, (unsigned int)w[i].received));
		CHECK("... and answered", flows(fd, w[i].client));
		close(w[i].client);
	}
	close(listener);
	tcp_held_free(before, n);
}

/* Those before are as long in the queue, and there is no place left behind the last. */
static void test_order(void)
{
	enum { N = 5 };
	cleanup_fd int listener = listener_at(FOUR, PORT, N - 1, false);
	struct waiting w[N];
	bool ok = true;

	for (size_t i = 0; i < N; i++)
		begin(&w[i], listener, FOUR, i * 1000, i & 1);
	for (size_t i = 0; i < N; i++)
		settle(&w[i], listener);
	hold_packets(true);
	for (size_t i = 0; i < N; i++)
		cut(&w[i]);
	for (size_t i = 0; i < N; i++)
		ok = ok && enqueue(listener, &w[i].c);
	CHECK("all wait again", ok && waiting(listener) == N);
	hold_packets(false);
	for (size_t i = 0; i < N; i++)
		go_on(&w[i], listener, true);
}

/* The peer thinks itself connected, its last word was lost; then it speaks. */
static void test_opening(void)
{
	cleanup_fd int listener = listener_at(SIX, PORT, 1, false);
	struct pollfd p = { .fd = listener, .events = POLLIN };
	struct waiting other, w;

	begin(&other, listener, SIX, 3, false);
	begin(&w, listener, SIX, 0, false);
	settle(&other, listener);
	settle(&w, listener);
	hold_packets(true);
	cut(&other);
	cut(&w);
	w.c.state = TCP_STATE_SYN_RECEIVED;
	listen(listener, 0);
	CHECK("one waits, as many as may", enqueue(listener, &other.c) && waiting(listener) == 1);
	CHECK("another is nearly there", enqueue(listener, &w.c) && waiting(listener) == 1);
	w.c.state = TCP_STATE_ESTABLISHED;
	hold_packets(false);
	go_on(&other, listener, true);
	w.c.received_len = w.received = 7;
	w.c.rcv_nxt += 7;
	write_pattern(w.client, 7, 7);
	REQUIRE("it is there", poll(&p, 1, WAIT_MS) == 1);
	go_on(&w, listener, true);
}

/* Whoever shares the port gets none of it. */
static void test_shared(void)
{
	enum { N = 4, EACH = 3 };
	int listeners[N];
	struct waiting w[N * EACH];
	bool ok = true;

	for (size_t i = 0; i < N; i++)
		listeners[i] = listener_at(MAPPED, PORT, 20, true);
	for (size_t i = 0; i < N * EACH; i++)
		begin(&w[i], -1, i & 1 ? SIX : FOUR, 0, false);
	for (size_t i = 0; i < N * EACH; i++) {
		struct pollfd p[N];
		size_t k = 0;

		for (size_t j = 0; j < N; j++)
			p[j] = (struct pollfd){ listeners[j], POLLIN, 0 };
		poll(p, N, WAIT_MS);
		while (k < N - 1 && !p[k].revents)
			k++;
		settle(&w[i], listeners[k]);
	}
	hold_packets(true);
	for (size_t i = 0; i < N * EACH; i++)
		cut(&w[i]);
	/* Another than the kernel would choose, mostly. */
	for (size_t i = 0; i < N * EACH; i++)
		ok = ok && enqueue(listeners[i % N], &w[i].c);
	for (size_t i = 0; i < N; i++)
		ok = ok && waiting(listeners[i]) == EACH;
	CHECK("each waits where it is to", ok);
	hold_packets(false);
	for (size_t i = 0; i < N * EACH; i++)
		close(w[i].client), tcp_connection_release(&w[i].c);
	for (size_t i = 0; i < N; i++)
		close(listeners[i]);
}

static void test_options(void)
{
	static const struct sock_filter all[] = { { 6 /* return */, 0, 0, UINT32_MAX } };
	const struct sock_fprog program = { 1, (struct sock_filter *)all };
	cleanup_fd int listener = listener_at(FOUR, PORT, 5, false);
	int defer = 0, is = 0, lock = 0, was = 0;
	socklen_t len = sizeof(int);
	struct waiting w;

	begin(&w, listener, FOUR, 100000, false);
	settle(&w, listener);
	hold_packets(true);
	cut(&w);
	REQUIRE("options", !setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){ 7 }, len) &&
				   !getsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, &len) &&
				   !getsockopt(listener, SOL_SOCKET, SO_RCVBUF, &was, &len) &&
				   !setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
	CHECK("it waits again", enqueue(listener, &w.c) && waiting(listener) == 1);
	CHECK("they stay", !getsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &is, &len) && is == defer &&
				   !getsockopt(listener, SOL_SOCKET, SO_RCVBUF, &is, &len) && is == was &&
				   !getsockopt(listener, SOL_SOCKET, SO_BUF_LOCK, &lock, &len) && !lock);
	hold_packets(false);
	go_on(&w, listener, true);
}

static char *setting(const char *name)
{
	char *text = NULL;

	return io_read_file(proc, name, 100, &text) < 0 ? NULL : text;
}

/* As if the image came from a host whose clock is ahead, and whose buffers are others. */
static void test_elsewhere(void)
{
	cleanup_fd int listener = listener_at(FOUR, PORT, 5, false);
	cleanup_free char *stamps = setting("sys/net/ipv4/tcp_timestamps"), *memory = setting("sys/net/ipv4/tcp_rmem"),
		      *now = NULL;
	uint32_t clock = (uint32_t)monotonic_ms();
	struct waiting w;

	begin(&w, listener, FOUR, 20, false);
	settle(&w, listener);
	hold_packets(true);
	cut(&w);
	/* Neither the offset of this boot nor none. */
	w.c.timestamp += 100000;
	if ((int32_t)(clock - w.c.timestamp) >= 0)
		w.c.timestamp = clock + 100000;
	CHECK("its clock is behind", enqueue(listener, &w.c));
	w.c.timestamps = false;
	hold_packets(false);
	go_on(&w, listener, false);

	begin(&w, listener, FOUR, 20, false);
	settle(&w, listener);
	hold_packets(true);
	cut(&w);
	w.c.rcv_scale++;
	CHECK("its windows are wider", enqueue(listener, &w.c));
	hold_packets(false);
	close(w.client);
	tcp_connection_release(&w.c);
	now = setting("sys/net/ipv4/tcp_timestamps");
	CHECK_STR("the settings are as before", now, stamps);
	free(now);
	now = setting("sys/net/ipv4/tcp_rmem");
	CHECK_STR("... all", now, memory);
}

/* ---- both ends in the pod ---- */

static void test_inside(enum kind kind)
{
	cleanup_fd int listener = listener_at(kind, PORT, 5, false), again = -1;
	struct waiting w = { .client = client_at(-1, kind, PORT), .received = 100 };
	struct tcp_connection c;

	REQUIRE("the peer has spoken", write_pattern(w.client, 100, 100));
	settle(&w, listener);
	cut(&w);
	read_connection(w.client, &c, true);
	again = socket(c.local.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE("the peer is made again", !tcp_restore(again, &c, &err));
	CHECK("it waits again", enqueue(listener, &w.c) && waiting(listener) == 1);
	REQUIRE("the peer goes on", !tcp_release(again, &c, 0, &err));
	w.client = take_fd(&again);
	go_on(&w, listener, true);
	tcp_connection_release(&c);
}

/* The peer has closed, and there is only what is left of it, or nothing at all. */
static void test_inside_alone(bool left)
{
	cleanup_fd int listener = listener_at(FOUR, PORT, 5, false), fd = -1;
	struct waiting w = { .client = client_at(-1, FOUR, PORT), .received = 100, .fin = true };
	struct tcp_connection c;

	REQUIRE("the peer has spoken", write_pattern(w.client, 100, 100));
	shutdown(w.client, SHUT_WR);
	REQUIRE("... and has ended", becomes(w.client, TCP_STATE_FIN_WAIT_2, 0));
	settle(&w, listener);
	cut(&w);
	if (left)
		close(w.client);
	else
		read_connection(w.client, &c, true);
	CHECK("it waits again", enqueue(listener, &w.c) && waiting(listener) == 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK("what was received is read", read_pattern(fd, 100, 100));
	if (left) {
		CHECK("... and the end", at_end(fd));
		CHECK("what is left of the peer waits", state_of(-1, &w.c, true) == TCP_STATE_FIN_WAIT_2);
		fd_close(take_fd(&fd));
		CHECK("... for our end", comes_to(-1, &w.c, true, TCP_STATE_TIME_WAIT));
	}
	tcp_connection_release(&w.c);
}

/* Where it cannot be done the others need not be tried. */
static void test_able(void)
{
	struct utsname this;
	int major = 0, minor = 0, r = tcp_can_enqueue(&err);

	uname(&this);
	sscanf(this.release, "%d.%d", &major, &minor);
	if (r == -EOPNOTSUPP && (major < 6 || (major == 6 && minor < 10))) {
		printf("ok 1 - waiting connections are made again # SKIP %s\n1..1\n", err.text);
		exit(0);
	}
	if (!CHECK("this kernel goes on from the numbers of TIME_WAIT", r == 0))
		printf("# %s\n", err.text);
}

int main(void)
{
	enter_pod();
	test_able();
	test_waiting(FOUR, 0, false);
	test_waiting(FOUR, 5, true);
	test_waiting(FOUR, 100000, false);
	test_waiting(SIX, 0, true);
	test_waiting(SIX, 100000, true);
	test_waiting(MAPPED, 40000, true);
	test_held(FOUR);
	test_held(MAPPED);
	test_order();
	test_opening();
	test_shared();
	test_options();
	test_elsewhere();
	test_inside(FOUR);
	test_inside(SIX);
	test_inside(MAPPED);
	test_inside_alone(true);
	test_inside_alone(false);
	kernel_close(kernel);
	return UNIT_DONE();
}
