/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of sockets that are not carried. */
/* run: --cap-add net_raw --cap-add net_admin */
/* run: --cap-add sys_admin */
/* run: --seccomp unconfined */
/* needs: test -e /proc/sys/kernel/unprivileged_bpf_disabled */
/* refused: pid 2 (refused-sockets) fd 3: encapsulation (UDP_ENCAP) is not carried; close it first */
/* refused: pid 2 (refused-sockets) fd 4: the numbers of its transmit timestamps are not carried; switch SOF_TIMESTAMPING_OPT_ID off first */
/* refused: pid 2 (refused-sockets) fd 5: IPv6 extension headers that were set on it are not carried; remove them first */
/* refused: pid 2 (refused-sockets) fd 6: an eBPF program on a socket is not carried; detach it first */
/* refused: pid 2 (refused-sockets) fd 7: a multicast group with 129 chosen senders is not carried; leave it first */
#include "victim.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/net_tstamp.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>

#define SENDERS 129

/* A filter that lets everything through. */
static void attach_program(int fd)
{
	static const struct bpf_insn all[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0xffff },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER };
	int program;

	load.insn_cnt = 2;
	load.insns = (uintptr_t)all;
	load.license = (uintptr_t)"";
	program = CHECK_SYS((int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load)));
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)));
	CHECK_SYS(close(program));
}

/* By a proc of our own, gone again: the pod's is read-only. */
static void allow_senders(void)
{
	int fd;

	CHECK_SYS(mkdir("/run/proc", 0700));
	CHECK_SYS(mount("proc", "/run/proc", "proc", 0, NULL));
	fd = CHECK_SYS(open("/run/proc/sys/net/ipv4/igmp_max_msf", O_WRONLY));
	CHECK_EQ(write(fd, "200", 3), 3);
	CHECK_SYS(close(fd));
	CHECK_SYS(umount("/run/proc"));
}

static void join(int fd)
{
	struct ip_mreqn group = { .imr_ifindex = 1 };
	struct ip_msfilter *filter = calloc(1, IP_MSFILTER_SIZE(SENDERS));

	CHECK(filter);
	group.imr_multiaddr.s_addr = inet_addr("239.1.2.3");
	CHECK_SYS(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
	filter->imsf_multiaddr = group.imr_multiaddr;
	filter->imsf_interface.s_addr = htonl(INADDR_LOOPBACK);
	filter->imsf_fmode = MCAST_INCLUDE;
	filter->imsf_numsrc = SENDERS;
	for (uint32_t i = 0; i < SENDERS; i++)
		filter->imsf_slist[i].s_addr = htonl(0x0a000001 + i);
	CHECK_SYS(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, filter, IP_MSFILTER_SIZE(SENDERS)));
	free(filter);
}

int main(void)
{
	int encapsulation = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0)), type = UDP_ENCAP_L2TPINUDP;
	int stamped = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	int stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_OPT_ID;
	int headers = CHECK_SYS(socket(AF_INET6, SOCK_DGRAM, 0));
	int filtered = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	int member = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	/* Padding of six bytes (PadN). */
	static const char hops[8] = { 0, 0, 1, 4 };
	socklen_t len = sizeof(type);
	char got[64];

	CHECK_SYS(setsockopt(encapsulation, IPPROTO_UDP, UDP_ENCAP, &type, sizeof(type)));
	CHECK_SYS(setsockopt(stamped, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof(stamps)));
	CHECK_SYS(setsockopt(headers, IPPROTO_IPV6, IPV6_HOPOPTS, hops, sizeof(hops)));
	attach_program(filtered);
	allow_senders();
	join(member);
	victim_ready();
	CHECK_SYS(getsockopt(encapsulation, IPPROTO_UDP, UDP_ENCAP, &type, &len));
	CHECK_EQ(type, UDP_ENCAP_L2TPINUDP);
	len = sizeof(got);
	CHECK_SYS(getsockopt(headers, IPPROTO_IPV6, IPV6_HOPOPTS, got, &len));
	CHECK_EQ(len, sizeof(hops));
	CHECK_SYS(setsockopt(filtered, SOL_SOCKET, SO_DETACH_BPF, &type, sizeof(type)));
	victim_pass();
}
