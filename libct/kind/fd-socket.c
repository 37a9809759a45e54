/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of every other family and protocol: refused by name. */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "libct/kind/sock.h"

static const struct {
	int family;
	const char *name;
} families[] = {
	{ AF_AX25, "AX.25" },	    { AF_IPX, "IPX" },	       { AF_APPLETALK, "AppleTalk" },
	{ AF_X25, "X.25" },	    { AF_KEY, "IPsec key" },   { AF_PACKET, "packet" },
	{ AF_RDS, "RDS" },	    { AF_PPPOX, "PPP" },       { AF_LLC, "LLC" },
	{ AF_IB, "InfiniBand" },    { AF_CAN, "CAN" },	       { AF_TIPC, "TIPC" },
	{ AF_BLUETOOTH, "Bluetooth" }, { AF_RXRPC, "RxRPC" },  { AF_PHONET, "Phonet" },
	{ AF_IEEE802154, "IEEE 802.15.4" }, { AF_ALG, "kernel crypto (AF_ALG)" }, { AF_NFC, "NFC" },
	{ AF_VSOCK, "vsock" },	    { AF_KCM, "KCM" },	       { AF_QIPCRTR, "QIPCRTR" },
	{ AF_SMC, "SMC" },	    { AF_XDP, "XDP" },	       { 45 /* AF_MCTP */, "MCTP" },
};

static const struct {
	int protocol;
	const char *name;
} protocols[] = {
	{ IPPROTO_DCCP, "DCCP" },   { IPPROTO_SCTP, "SCTP" },  { IPPROTO_UDPLITE, "UDP-Lite" },
	{ 262 /* IPPROTO_MPTCP */, "MPTCP" }, { 256 /* IPPROTO_SMC */, "SMC" }, { 115, "L2TP" },
};

static const char *name_of(int fd, char text[32])
{
	int family = sock_int(fd, SOL_SOCKET, SO_DOMAIN, -1);
	int protocol = sock_int(fd, SOL_SOCKET, SO_PROTOCOL, -1);

	if (family == AF_INET || family == AF_INET6) {
		for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
			if (protocols[i].protocol == protocol)
				return protocols[i].name;
		snprintf(text, 32, "IP protocol %d", protocol);
		return text;
	}
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (families[i].family == family)
			return families[i].name;
	snprintf(text, 32, "family %d", family);
	return text;
}

static bool socket_is(const struct dump *d, const struct fd_view *v)
{
	return sock_is(v, AF_UNSPEC);
}

static int socket_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	char text[32];

	dump_refuse_fd(d, v, "a socket of %s is not carried; close it before the checkpoint",
		       name_of(v->dup, text));
	return 0;
}

const struct kind kind_socket = {
	.name = "socket",
	.carries = "nothing: sockets of all other families",
	.refuses = "packet, vsock, Bluetooth, XDP, AF_ALG, TIPC, SCTP, MPTCP and other sockets",
	.victims = "socket-other",
	.fd_is = socket_is,
	.fd_dump = socket_dump,
};
