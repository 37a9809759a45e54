/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/tcp-door.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* The flags of the segment, which is what the filter of a TCP socket sees: a SYN alone is not heard. */
static struct sock_filter no_syn[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK | TH_RST),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

#define N_NO_SYN (sizeof(no_syn) / sizeof(no_syn[0]))

bool tcp_door_shut(int fd)
{
	struct sock_fprog program = { N_NO_SYN, no_syn };
	socklen_t n = 0;

	/* EACCES: an eBPF program. */
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0 || n)
		return false;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

void tcp_door_open(int fd)
{
	struct sock_filter got[N_NO_SYN];
	socklen_t n = N_NO_SYN; /* instructions, not bytes */

	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &n) == 0 && n == N_NO_SYN &&
	    !memcmp(got, no_syn, sizeof(got)))
		setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int));
}
