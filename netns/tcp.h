/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections as they are: read from one socket, and put into another (man 7 tcp).
 *
 * Works on descriptors of sockets, needs CAP_NET_ADMIN in the user namespace of their network and
 * nothing else of this project but its errors. The key is the option TCP_REPAIR: while it is on, a
 * socket shows its numbers and queues, takes them, and sends nothing for what is done to it.
 *
 * A connection is two streams of bytes, each with a number of its own for every byte; SYN and FIN
 * count as one byte each. This is what one end knows:
 *
 *	what we send              snd_una              snd_una + sent_len = write_seq
 *	  ......................... | ................... | (+ 1: our FIN)
 *	   acknowledged: forgotten  |  `sent`: to be kept until it is acknowledged
 *
 *	what we receive           rcv_nxt - received_len - (1: the peer's FIN)    rcv_nxt
 *	  ......................... | ............................................. | ...
 *	   read by the program      |  `received`: acknowledged, not read yet       |  the peer's turn
 *
 * The recipe. To read a connection without disturbing it:
 *
 *	tcp_repair_on(fd);
 *	tcp_dump_send(fd, &c);  tcp_dump_receive(fd, &c);
 *	tcp_repair_off(fd, reuse, false);
 *
 * where `reuse` is SO_REUSEADDR as it was before, which TCP_REPAIR changes. A socket that stays in repair
 * mode sends nothing that its program writes: whoever may be killed in between leaves somebody behind
 * who can switch it off. Packets go on arriving, also where all programs are stopped (loopback, timers); so
 * where both ends are read, the sending sides of all are read first and then the receiving sides of all. What
 * has left a send queue has then been seen in the receive queue of the other end, and what is in both is dropped
 * by TCP as received twice.
 *
 * To make it again, in a new socket with its options set, while no packet gets in or out:
 *
 *	tcp_restore(fd, &c);			bound, connected, silent, deaf, in repair mode
 *	... packets flow again
 *	tcp_release(fd, &c, reuse);		and all goes on
 *
 * What had been sent counts as sent; what the peer lacks of it is sent again, as if it had been lost on the way. No
 * packet is sent for all this, and no packet that arrives counts (a socket filter drops them) but
 * those which we send ourselves: an acknowledgement of our FIN, or the peer's FIN, are packets of the peer's that
 * tcp_restore() gives to the socket through the loopback link of its network.
 *
 * What the kernel does not tell or take begins anew: the congestion window, where there are no timestamps the
 * round-trip time (a first timeout takes 3 seconds then), segments
 * that arrived out of order (the peer sends them again), ECN. Of an urgent byte that the peer has announced and
 * not sent yet, each of its segments tells again.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "netns/icmp.h"

struct ct_error;

/* Newer than the headers (Linux 6.15). */
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46
#endif

/* RFC 9293, numbered as in struct tcp_info; <netinet/tcp.h> has the same, but does not go with <linux/tcp.h>. */
enum tcp_state {
	TCP_STATE_ESTABLISHED = 1,
	TCP_STATE_SYN_SENT,
	TCP_STATE_SYN_RECEIVED,
	TCP_STATE_FIN_WAIT_1,
	TCP_STATE_FIN_WAIT_2,
	TCP_STATE_TIME_WAIT,
	TCP_STATE_CLOSED,
	TCP_STATE_CLOSE_WAIT,
	TCP_STATE_LAST_ACK,
	TCP_STATE_LISTENING,
	TCP_STATE_CLOSING,
};

/* Of TCP_REPAIR_WINDOW, in its order. */
struct tcp_window {
	uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
};

struct tcp_connection {
	struct sockaddr_storage local, remote; /* AF_INET6 also for IPv4 on a socket of IPv6; CLOSED: no remote */
	enum tcp_state state;
	uint32_t snd_una, rcv_nxt;
	void *sent, *received; /* owned */
	size_t sent_len, received_len;
	size_t unsent; /* how many of the last of `sent`, our FIN included, have not left yet */
	/* 0, or how many of `sent` end with our urgent byte; TCP_REPAIR does not tell: tcp_urgent_all() of netns/tcp-held.h. */
	size_t sent_urgent;
	struct tcp_window window;
	uint32_t timestamp; /* what it would put into a packet now, as TCP_TIMESTAMP has it */
	uint32_t peer_timestamp; /* the peer's last one (TS.Recent of RFC 7323), where no descriptor leads to it */
	/*
	 * The peer's urgent byte, with `urgent_at` bytes of `received` before it, of which it is a part with
	 * SO_OOBINLINE or not; `urgent_read`: a program has taken it with MSG_OOB, and only the mark is there.
	 */
	bool urgent, urgent_read;
	size_t urgent_at;
	/*
	 * What waits to be told, as tcp_pending() of netns/tcp-held.h has it; TCP_REPAIR does not tell that either. `ended` and
	 * `opening` are of CLOSED ones, `report` is of those that were being opened: what ended that, in the error queue.
	 */
	int error, soft_error;
	bool ended, opening, reported;
	struct icmp_report report;
	bool filtered;	     /* to be made: its program has a filter of its own, which the caller attaches behind tcp_restore() */
	bool reset;	     /* waits to be accepted, and the peer has given it up since it was in `state` */
	uint32_t round_trip; /* us, as it is estimated; 0: not known */
	uint32_t max_segment;
	bool timestamps, sack, scaling; /* what both ends have agreed on */
	uint8_t snd_scale, rcv_scale;
};

void tcp_connection_release(struct tcp_connection *c);

/* In which state is it? Negative errno. Needs no repair mode. */
int tcp_state(int fd);
/* "established"; and back, -EINVAL. */
const char *tcp_state_name(enum tcp_state state);
int tcp_state_by_name(const char *name);
/* Has our end sent its FIN; has the peer's FIN arrived? */
bool tcp_fin_sent(enum tcp_state state);
bool tcp_fin_received(enum tcp_state state);

bool tcp_repairing(int fd);
int tcp_repair_on(int fd, struct ct_error *err);
/* SO_REUSEADDR, which both change. */
int tcp_reuse_address(int fd, int reuse_address, struct ct_error *err);
/* `probe`: asks the peer at once where it stands. */
int tcp_repair_off(int fd, int reuse_address, bool probe, struct ct_error *err);

/*
 * The two halves of reading a connection in repair mode: the first fills in addresses, state, the send side and the
 * options, the second the rest; the state then says of the peer's FIN what the second saw. -EAGAIN: it is not at
 * rest; -EOPNOTSUPP: this kernel does not show what is behind an urgent byte. SO_OOBINLINE is another for moments in the second, SO_PEEK_OFF is to be -1.
 */
int tcp_dump_send(int fd, struct tcp_connection *c, struct ct_error *err);
int tcp_dump_receive(int fd, struct tcp_connection *c, struct ct_error *err);
/* Does this kernel not show what is behind an urgent byte that has others before it; what to say of such a connection. */
bool tcp_hides_behind_mark(void);
extern const char tcp_hidden[];
/*
 * How much it has not sent by now, our FIN included. Where both ends are read this is to be asked after the receiving
 * sides of all, for `unsent`: nobody may have received what counts as not sent. Needs no repair mode.
 */
int tcp_unsent(int fd, size_t *ret, struct ct_error *err);

/*
 * Makes the connection in a new socket of its family, which may be bound to the local address (in repair mode no
 * other is in the way), in the caller's network namespace, which has the local address and a
 * loopback link. States from ESTABLISHED to CLOSING, SYN_SENT and CLOSED (an end of file to be read) can be made. The
 * buffers are large for the time being: set their sizes behind it.
 */
int tcp_restore(int fd, const struct tcp_connection *c, struct ct_error *err);

/*
 * Can it end, or be told, as it says? Errors come of a reset of the peer's, of its silence (ETIMEDOUT; restoring one takes some
 * milliseconds, before Linux 6.15 0.2 s and of one that was being opened a second), or of messages of ICMP.
 */
bool tcp_can_restore_error(const struct tcp_connection *c);

/*
 * What no descriptor leads to, in the caller's network namespace, while no packet gets in or out. Where the other end
 * is in the same network, it is there already and is deaf, or it is over.
 *
 * tcp_enqueue() puts a connection that was never accepted, ESTABLISHED or CLOSE_WAIT with what it has received, reset or not, last
 * into the accept queue of a listening socket; or leads one as far as SYN_RECEIVED, where the peer's last word is
 * missing. The kernel makes it, from packets in the peer's name, as it has made the first. It needs: both addresses,
 * snd_una, rcv_nxt, the peer's window, max_segment, timestamps with both clocks, sack, scaling with both
 * scales. Where this host's clock is behind the one that the peer has seen, it goes on without timestamps. `proc`: of a
 * procfs, for settings of the network that have to be others for a moment; -1: none is changed.
 *
 * tcp_restore_time_wait() makes what is left of a connection in TIME_WAIT or, of a closed socket, FIN_WAIT_2. It needs:
 * both addresses, snd_una, rcv_nxt (with all FINs counted), window.rcv_wnd, rcv_scale with scaling, timestamps
 * with both clocks. It stays as long as one that is new (man 7 tcp, tcp_fin_timeout).
 */
#define TCP_BEHIND 65537 /* from the end of a connection in TIME_WAIT to the first number of the next one */
int tcp_enqueue(int proc, int listener, const struct tcp_connection *c, struct ct_error *err);
/* Whether tcp_enqueue() can on this kernel: tried in a network of its own. -EOPNOTSUPP with words: it cannot, before Linux 6.10. */
int tcp_can_enqueue(struct ct_error *err);
int tcp_restore_time_wait(const struct tcp_connection *c, struct ct_error *err);

/* Between the two: its filter is ours. */
bool tcp_is_deaf(int fd);

/*
 * It hears and speaks again. A connection whose program has attached a filter of its own to the socket, which stays, was
 * not deaf before.
 */
int tcp_release(int fd, const struct tcp_connection *c, int reuse_address, struct ct_error *err);
/*
 * The same by whoever has only the socket, because those who knew more were killed. What is in its queue counts as
 * sent, and the peer's next packet tells the rest. Of any other TCP socket, or a second time, it does nothing.
 */
int tcp_release_unknown(int fd, int reuse_address, struct ct_error *err);

/*
 * Ends a connection that tcp_restore() has made as if the peer had reset it, in place of tcp_release(): what was received
 * can still be read. `tell`: the peer gets a reset too; packets flow again.
 */
int tcp_abort(int fd, const struct tcp_connection *c, int reuse_address, bool tell,
	      struct ct_error *err);
/* The reset alone, from the caller's network namespace, for a connection that is not made at all. */
int tcp_reset_peer(const struct tcp_connection *c, struct ct_error *err);
