/* SPDX-License-Identifier: Apache-2.0 */
/* netns/tcp-time-wait.c, and orphans: connections of closed sockets are there again, for their peers. */
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/syscall.h>

#include "tests/unit/tcp-pod.h"

static int error_of(int fd)
{
	int e = -1;
	socklen_t len = sizeof(e);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0 ? -1 : e;
}

/* What is left is there, and is read from the kernel's memory as it was given. */
static bool leave(const struct tcp_connection *c)
{
	struct tcp_held *list = NULL, *h = NULL;
	size_t n = 0;
	bool same;

	if (tcp_restore_time_wait(c, &err) == 0)
		h = look_at(c, &list, &n);
	else
		printf("# %s\n", err.text);
	same = h && h->c.state == c->state && h->c.snd_una == c->snd_una && h->c.rcv_nxt == c->rcv_nxt &&
	       h->c.timestamps == c->timestamps && h->c.peer_timestamp == c->peer_timestamp &&
	       (int32_t)(h->c.timestamp - c->timestamp) >= 0 && h->c.rcv_scale == c->rcv_scale &&
	       h->c.window.rcv_wnd == c->window.rcv_wnd;
	if (h && !same)
		printf("# %s %u %u %d %u %u %d %u, %s %u %u %d %u %u %d %u\n", tcp_state_name(h->c.state),
		       h->c.snd_una, h->c.rcv_nxt, h->c.timestamps, h->c.peer_timestamp, h->c.timestamp,
		       h->c.rcv_scale, h->c.window.rcv_wnd, tcp_state_name(c->state), c->snd_una, c->rcv_nxt,
		       c->timestamps, c->peer_timestamp, c->timestamp, c->rcv_scale, c->window.rcv_wnd);
	tcp_held_free(list, n);
	return same;
}

/* The pod's end is closed, and has `heard` the peer's or not. The peer closes its own, once more where that was lost. */
static void test_left(enum kind kind, bool heard, int ns)
{
	cleanup_fd int listener = listener_at(kind, PORT, 5, false), client = client_at(ns, kind, PORT);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct tcp_connection c;

	REQUIRE("some bytes", write_pattern(client, 10, 1) && read_pattern(fd, 10, 1));
	shutdown(fd, SHUT_WR);
	REQUIRE("our end was seen", at_end(client) && becomes(fd, TCP_STATE_FIN_WAIT_2, 0));
	hold_packets(true);
	read_connection(fd, &c, true);
	c.peer_timestamp = stamp(client);
	if (heard) {
		c.state = TCP_STATE_TIME_WAIT;
		c.rcv_nxt++;
	}
	if (heard && ns >= 0)
		shutdown(client, SHUT_WR);
	CHECK("what is left is there", leave(&c) && state_of(-1, &c, false) == c.state);
	hold_packets(false);
	shutdown(client, SHUT_WR);
	CHECK("the peer's end is acknowledged", becomes(client, TCP_STATE_CLOSED, 0) && !error_of(client));
	CHECK("we know of it", state_of(-1, &c, false) == TCP_STATE_TIME_WAIT);
	tcp_connection_release(&c);
}

/* Nobody is there to answer in this network either. */
static void test_left_alone(enum kind kind)
{
	cleanup_fd int listener = listener_at(kind, PORT, 5, false);
	int client = client_at(-1, kind, PORT), fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct tcp_connection c, other;

	read_connection(fd, &other, true);
	read_connection(client, &c, true);
	c.peer_timestamp = other.timestamp;
	c.state = TCP_STATE_TIME_WAIT;
	CHECK("what is left is there alone", leave(&c) && state_of(-1, &c, false) == TCP_STATE_TIME_WAIT);
	/* No reset comes late. */
	poll(NULL, 0, 50);
	CHECK("... and stays", state_of(-1, &c, false) == TCP_STATE_TIME_WAIT);
	tcp_connection_release(&c);
	tcp_connection_release(&other);
}

/* Closed by its program, with bytes that are still to be sent. */
static void test_orphan(enum tcp_state state)
{
	cleanup_fd int listener = listener_at(FOUR, PORT, 5, false), client = client_at(world, FOUR, PORT);
	cleanup_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), again = -1;
	struct tcp_connection c;

	printf("# %s\n", tcp_state_name(state));
	if (state == TCP_STATE_LAST_ACK) {
		shutdown(client, SHUT_WR);
		REQUIRE("the peer's end was seen", at_end(fd));
	}
	hold_packets(true);
	REQUIRE("bytes that nobody gets yet", write_pattern(fd, 60000, 6));
	shutdown(fd, SHUT_WR);
	read_connection(take_fd(&fd), &c, true);
	if (state == TCP_STATE_CLOSING) {
		shutdown(client, SHUT_WR);
		c.state = state;
		c.rcv_nxt++;
	}
	REQUIRE("the state", c.state == state && c.sent_len == 60000);
	again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE("it is made again", !tcp_restore(again, &c, &err));
	hold_packets(false);
	REQUIRE("it goes on", !tcp_release(again, &c, 1, &err));
	fd_close(take_fd(&again));
	/* The last of LAST_ACK may be over by now. */
	if (state != TCP_STATE_LAST_ACK)
		CHECK("nobody has it", state_of(-1, &c, false) != TCP_STATE_LISTENING);
	CHECK("the peer gets all", read_pattern(client, 60000, 6));
	CHECK("... and the end", at_end(client) && !error_of(client));
	shutdown(client, SHUT_WR);
	CHECK("both ends are over", becomes(client, TCP_STATE_CLOSED, 0) && !error_of(client));
	if (state == TCP_STATE_LAST_ACK)
		CHECK("... and nothing is left", comes_to(-1, &c, false, TCP_STATE_LISTENING));
	else
		CHECK("... and late packets are answered", comes_to(-1, &c, false, TCP_STATE_TIME_WAIT));
	tcp_connection_release(&c);
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	REQUIRE("what the kernel knows of it", !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) && info.tcpi_rto);
	return info;
}

/* A connection on which nothing is under way may wait for its release for long: no timer runs that could end it. */
static void test_idle(bool ended)
{
	cleanup_fd int listener = listener_at(FOUR, PORT, 5, false), client = client_at(world, FOUR, PORT);
	cleanup_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), again = -1;
	struct tcp_connection c;

	REQUIRE("some bytes", write_pattern(client, 10, 1) && read_pattern(fd, 10, 1) && write_pattern(fd, 10, 2) &&
				      read_pattern(client, 10, 2));
	if (ended) {
		shutdown(client, SHUT_WR);
		REQUIRE("the peer's end was seen", at_end(fd));
	}
	REQUIRE("all is acknowledged", is_acknowledged(fd));
	hold_packets(true);
	read_connection(take_fd(&fd), &c, true);
	again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE("it is made again", !tcp_restore(again, &c, &err));
	CHECK("nothing waits to be acknowledged", !info_of(again).tcpi_unacked && is_acknowledged(again));
	CHECK("... and nothing is sent again", !info_of(again).tcpi_total_retrans);
	hold_packets(false);
	REQUIRE("it goes on", !tcp_release(again, &c, 1, &err));
	CHECK("the peer gets all", write_pattern(again, 5000, 6) && read_pattern(client, 5000, 6));
	CHECK("... and is heard", ended || (write_pattern(client, 5000, 7) && read_pattern(again, 5000, 7)));
	tcp_connection_release(&c);
}

/* Nobody answers for long, and timeouts double; that is over with the release. */
static void test_held_long(void)
{
	cleanup_fd int listener = listener_at(FOUR, PORT, 5, false), client = client_at(world, FOUR, PORT);
	cleanup_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), again = -1;
	struct tcp_connection c;
	int64_t first, until = monotonic_ms() + 60000, began;

	REQUIRE("some bytes", write_pattern(client, 10, 1) && read_pattern(fd, 10, 1));
	hold_packets(true);
	REQUIRE("bytes that nobody gets yet", write_pattern(fd, 5000, 6));
	read_connection(take_fd(&fd), &c, true);
	again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE("it is made again", !tcp_restore(again, &c, &err));
	first = info_of(again).tcpi_rto / 1000;
	while (info_of(again).tcpi_rto / 1000 < 8 * first && monotonic_ms() < until)
		poll(NULL, 0, 10);
	REQUIRE("its timeout grows", info_of(again).tcpi_rto / 1000 >= 8 * first);
	began = monotonic_ms();
	REQUIRE("it goes on", !tcp_release(again, &c, 1, &err));
	/* Nobody but us has answered yet. */
	CHECK("its timeout is what it was", info_of(again).tcpi_rto / 1000 <= 2 * (first + monotonic_ms() - began));
	hold_packets(false);
	CHECK("the peer gets all", read_pattern(client, 5000, 6));
	tcp_connection_release(&c);
}

/* As a busy machine does it: three of four packets that we send to ourselves are lost, until the descriptor is closed. */
static int lose_packets(void)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_prandom_u32 },
		{ .code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = BPF_REG_0, .imm = 3 },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 2, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP },
		{ .code = BPF_JMP | BPF_EXIT },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = sizeof(code) / sizeof(code[0]),
				.insns = (uintptr_t)code, .license = (uintptr_t) "Apache-2.0" };
	union bpf_attr link = { .link_create.target_ifindex = if_nametoindex("lo"),
				.link_create.attach_type = BPF_XDP };
	cleanup_fd int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));

	link.link_create.prog_fd = (uint32_t)program;
	link.link_create.flags = XDP_FLAGS_SKB_MODE;
	return program < 0 ? -1 : (int)syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));
}

static void test_lossy(void)
{
	cleanup_fd int loss = lose_packets();

	REQUIRE("packets are lost", loss >= 0);
	test_orphan(TCP_STATE_FIN_WAIT_1);
	test_orphan(TCP_STATE_LAST_ACK);
	test_orphan(TCP_STATE_CLOSING);
	test_left(FOUR, true, world);
	test_left(SIX, false, world);
}

int main(void)
{
	enter_pod();
	test_left(FOUR, false, world);
	test_left(FOUR, true, world);
	test_left(SIX, true, world);
	test_left(MAPPED, false, world);
	test_left(FOUR, false, -1);
	test_left(SIX, true, -1);
	test_left_alone(FOUR);
	test_left_alone(SIX);
	test_left_alone(MAPPED);
	test_orphan(TCP_STATE_FIN_WAIT_1);
	test_orphan(TCP_STATE_LAST_ACK);
	test_orphan(TCP_STATE_CLOSING);
	test_held_long();
	test_idle(false);
	test_idle(true);
	test_lossy();
	kernel_close(kernel);
	return UNIT_DONE();
}
