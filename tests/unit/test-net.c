/* SPDX-License-Identifier: Apache-2.0 */
/* netns/: bridge, addresses, links, NAT and the packet lock, in namespaces of this test's own. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <netlink/netlink.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"
#include "libct/libct.h"
#include "netns/net.h"
#include "netns/netlink.h"
#include "netns/rt.h"
#include "tests/unit/netns.h"
#include "tests/unit/unit.h"

#define WAIT_MS 60000
#define QUIET_MS 300 /* how long nothing must arrive */
#define SETTLED_MS 1500 /* the kernel tells at most once a second what has become of links */

static struct ct_error err;

/* ---- namespaces, links and sockets of the test ---- */

/* An address on a link that is up, inside `ns`. */
static int set_up(int ns, const char *link, const char *address, unsigned int prefix)
{
	cleanup_sock struct nl_sock *sock = NULL;
	struct rt_link l;
	int r = netlink_open(ns, NETLINK_ROUTE, &sock, &err);

	if (r == 0)
		r = rt_link_get(sock, link, &l);
	if (r == 0)
		r = rt_link_set(sock, l.index, &(struct rt_link_change){ .up = true });
	return r < 0 ? r : rt_address_add(sock, l.index, ip(address), prefix);
}

/* The link "up0" with MTU 1400 and the default route to a namespace that stands for the world. */
static int make_world(void)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_fd int world = new_ns();
	struct rt_link l;
	int r = netlink_open(-1, NETLINK_ROUTE, &sock, &err);

	if (world < 0 || r < 0)
		return -1;
	if (rt_veth_add(sock, "up0", "down0", world, mac, 1400) ||
	    set_up(-1, "up0", "198.51.100.2", 24) || set_up(world, "down0", "198.51.100.1", 24) ||
	    rt_link_get(sock, "up0", &l) || rt_default_route_add(sock, l.index, AF_INET, &(struct in_addr){ ip("198.51.100.1").s_addr }))
		return -1;
	return take_fd(&world);
}

static int bound_socket(int ns, int type, const char *address, uint16_t port)
{
	cleanup_fd int fd = netns_socket(ns, AF_INET, type, 0);
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = ip(address) };

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -1;
	if (type == SOCK_STREAM && listen(fd, 5) < 0)
		return -1;
	return take_fd(&fd);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void send_to(int fd, struct in_addr to, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = to };

	sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a));
}

/* Sends datagrams until one arrives at `server`; *ret_from is the sender as the server sees it. */
static bool reaches(int client, struct in_addr to, uint16_t port, int server,
		    struct in_addr *ret_from)
{
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof(from);
	char c;

	for (int tries = 0; tries < 120; tries++) {
		send_to(client, to, port);
		if (!readable(server, WAIT_MS / 120))
			continue;
		if (recvfrom(server, &c, 1, 0, (struct sockaddr *)&from, &len) != 1)
			return false;
		if (ret_from)
			*ret_from = from.sin_addr;
		/* More than one may have been sent. */
		while (recv(server, &c, 1, MSG_DONTWAIT) >= 0)
			;
		return true;
	}
	return false;
}

static bool tcp_reaches(int from_ns, int to_ns, struct in_addr to)
{
	cleanup_fd int server = bound_socket(to_ns, SOCK_STREAM, "0.0.0.0", 8080);
	cleanup_fd int client = netns_socket(from_ns, AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(8080), .sin_addr = to };
	const struct linger abort_it = { .l_onoff = 1 }; /* leaves the port free */
	cleanup_fd int peer = -1;
	char text[6] = "";

	if (connect(client, (struct sockaddr *)&a, sizeof(a)) < 0)
		return false;
	peer = accept(server, NULL, NULL);
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it));
	return write(client, "hello", 5) == 5 && readable(peer, WAIT_MS) &&
	       read(peer, text, 5) == 5 && !strcmp(text, "hello");
}

static int attach(int ns, const char *name, const char *address, struct net_config *config)
{
	*config = (struct net_config){ 0 };
	if (address)
		config->ip = ip(address);
	err.text[0] = '\0';
	return net_attach(ns, name, config, &err);
}

/* ---- the tests ---- */

#define PROCESSES 8
#define EACH 6

/*
 * One of several podckpts at work at the same time: tells its addresses, waits until it is let go.
 */
static int racer(int number, int report, int hold)
{
	struct net_subnet subnet;
	char c;

	for (int i = 0; i < EACH; i++) {
		struct net_config config;
		char name[IFNAMSIZ];
		bool nat;
		int ns = new_ns(); /* open until the process ends */

		snprintf(name, sizeof(name), "race%d.%d", number, i);
		if (net_bridge_ensure(NULL, &subnet, &nat, &err) ||
		    attach(ns, name, NULL, &config)) {
			fprintf(stderr, "# %s: %s\n", name, err.text);
			return 1;
		}
		if (write(report, &config.ip, sizeof(config.ip)) != sizeof(config.ip))
			return 1;
	}
	return read(hold, &c, 1) < 0;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = ntohl(((const struct in_addr *)a)->s_addr);
	uint32_t y = ntohl(((const struct in_addr *)b)->s_addr);

	return x < y ? -1 : x > y;
}

static void test_race(void)
{
	struct in_addr got[PROCESSES * EACH];
	int report[2], hold[2], n = 0, failed = 0, wrong = 0;
	pid_t pids[PROCESSES];

	REQUIRE("pipes", !pipe2(report, O_CLOEXEC) && !pipe2(hold, O_CLOEXEC));
	fflush(stdout);
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(hold[1]);
			close(report[0]);
			_exit(racer(i, report[1], hold[0]));
		}
	}
	close(report[1]);
	while (n < PROCESSES * EACH && !io_read_exact(report[0], &got[n], sizeof(got[n])))
		n++;
	CHECK("8 processes that make the bridge and attach 6 pods each all succeed",
	      n == PROCESSES * EACH);
	qsort(got, (size_t)n, sizeof(got[0]), by_number);
	for (int i = 0; i < n; i++)
		wrong += ntohl(got[i].s_addr) != ntohl(ip("10.89.0.2").s_addr) + (uint32_t)i;
	CHECK("their addresses are distinct and the lowest ones", wrong == 0);
	for (int i = 0; i < PROCESSES * EACH; i++) {
		char name[IFNAMSIZ];

		snprintf(name, sizeof(name), "race%d.%d", i / EACH, i % EACH);
		failed += net_detach(name, &err) != 0;
	}
	CHECK("all are detached", failed == 0);
	close(hold[1]);
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		waitpid(pids[i], &status, 0);
		failed += status != 0;
	}
	CHECK("every process ended well", failed == 0);
	close(report[0]);
	close(hold[0]);
}

static void test_bridge(void)
{
	const struct net_subnet other = { ip("10.99.0.0"), 16 }, same = { ip("10.89.0.0"), 16 };
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_free char *forward = NULL;
	struct net_subnet subnet = { 0 };
	struct rt_link before, after;
	bool nat = false;
	int failed = 0;

	REQUIRE("a socket", !netlink_open(-1, NETLINK_ROUTE, &sock, &err));
	CHECK("the bridge is made again without harm",
	      !net_bridge_ensure(NULL, &subnet, &nat, &err));
	CHECK_STR("a subnet is chosen that no address and no route overlaps",
		  ip_text(subnet.address), "10.89.0.0");
	CHECK("it is a /16", subnet.prefix == 16);
	CHECK("the same subnet asked for by name is fine",
	      !net_bridge_ensure(&same, &subnet, &nat, &err));
	CHECK("another subnet is refused",
	      net_bridge_ensure(&other, &subnet, &nat, &err) == -EINVAL);
	CHECK_STR("... in words", err.text,
		  "bridge 'podckpt0' already has the subnet 10.89.0.0/16 and not 10.99.0.0/16; "
		  "remove the pods and the bridge first to change it");
	io_read_file(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", 64, &forward);
	CHECK_STR("forwarding is on", forward, "1\n");

	REQUIRE("the bridge is there", !rt_link_get(sock, NET_BRIDGE, &before));
	CHECK("it is up", before.flags & IFF_UP);
	for (int i = 0; i < 4; i++) {
		cleanup_fd int ns = new_ns();
		struct net_config config;

		failed += attach(ns, "passing", NULL, &config) || net_detach("passing", &err);
	}
	CHECK("pods come and go", failed == 0);
	REQUIRE("the bridge is still there", !rt_link_get(sock, NET_BRIDGE, &after));
	CHECK("its hardware address does not follow its ports",
	      !memcmp(before.address, after.address, 6));
}

/* In a namespace of its own: what happens to a subnet that is given. */
static int wished_bridge(void *arg)
{
	const struct net_subnet crooked = { ip("10.20.0.1"), 16 }, tiny = { ip("10.20.0.0"), 31 },
				own = { ip("127.0.0.0"), 8 }, good = { ip("10.20.30.0"), 28 };
	struct net_subnet subnet = { 0 };
	bool nat;

	CHECK("lo is up", !set_up(-1, "lo", "10.0.0.1", 32));
	CHECK("a subnet with host bits is refused",
	      net_bridge_ensure(&crooked, &subnet, &nat, &err) == -EINVAL);
	CHECK_STR("... in words", err.text,
		  "subnet 10.20.0.1/16: the address has bits behind the prefix");
	CHECK("a subnet without room is refused",
	      net_bridge_ensure(&tiny, &subnet, &nat, &err) == -EINVAL);
	CHECK_STR("... in words", err.text, "subnet 10.20.0.0/31: the prefix must be from 8 to 30");
	CHECK("a subnet of this host is refused",
	      net_bridge_ensure(&own, &subnet, &nat, &err) == -EADDRINUSE);
	CHECK_STR("... in words", err.text, "subnet 127.0.0.0/8 overlaps an address of this host");
	CHECK("after that a good one is taken", !net_bridge_ensure(&good, &subnet, &nat, &err));
	for (int i = 0; i < 14; i++) {
		struct net_config config;
		char name[IFNAMSIZ];
		int ns = new_ns();

		snprintf(name, sizeof(name), "few%d", i);
		if (attach(ns, name, NULL, &config))
			return i;
		/* The namespace, and with it the link, goes when the test ends. */
	}
	return -1;
}

static void test_wished_bridge(void)
{
	cleanup_fd int host = new_ns();

	CHECK("a /28 has room for 13 pods beside the bridge",
	      netns_call(host, wished_bridge, NULL) == 13);
	CHECK_STR("... and then says so", err.text,
		  "no address is free in the subnet of the bridge 'podckpt0'");
}

static void test_attach(int pod)
{
	cleanup_sock struct nl_sock *inside = NULL;
	cleanup_free struct rt_route *routes = NULL;
	struct net_config config;
	struct rt_link lo, eth0;
	bool found = false;
	size_t n;

	REQUIRE("a pod is attached", !attach(pod, "poda", NULL, &config));
	CHECK_STR("it has the lowest free address", ip_text(config.ip), "10.89.0.2");
	CHECK_STR("the bridge is its gateway", ip_text(config.gateway), "10.89.0.1");
	CHECK("its hardware address is made from that",
	      !memcmp(config.mac, (uint8_t[]){ 0x02, 0x42, 10, 89, 0, 2 }, 6));
	CHECK("its MTU is that of the host's default route", config.mtu == 1400);

	REQUIRE("a socket inside", !netlink_open(pod, NETLINK_ROUTE, &inside, &err));
	REQUIRE("lo and eth0 are inside",
		!rt_link_get(inside, "lo", &lo) && !rt_link_get(inside, "eth0", &eth0));
	CHECK("both are up", lo.flags & eth0.flags & IFF_UP);
	CHECK("eth0 has address and MTU", !memcmp(eth0.address, config.mac, 6) && eth0.mtu == 1400);
	REQUIRE("routes are listed", !rt_routes(inside, AF_INET, &routes, &n));
	for (size_t i = 0; i < n; i++)
		found |= routes[i].prefix == 0 && !memcmp(routes[i].gateway, &config.gateway, 4);
	CHECK("the default route leads to the bridge", found);

	CHECK("the host reaches the pod by TCP", tcp_reaches(-1, pod, config.ip));
	CHECK("the pod reaches the host by TCP", tcp_reaches(pod, -1, config.gateway));
	CHECK("the pod reaches itself on lo", tcp_reaches(pod, pod, ip("127.0.0.1")));
}

static void test_attach_refused(int pod)
{
	static const struct {
		const char *what, *link, *address;
		int code;
		const char *text;
	} cases[] = {
		{ "a taken address is refused", "podb", "10.89.0.2", -EADDRINUSE,
		  "address 10.89.0.2 is taken by another pod (link 'poda')" },
		{ "the bridge's address is refused", "podb", "10.89.0.1", -EADDRINUSE,
		  "address 10.89.0.1 is taken by the bridge 'podckpt0'" },
		{ "an address from elsewhere is refused", "podb", "10.1.2.3", -EINVAL,
		  "address 10.1.2.3 is not in the subnet 10.89.0.0/16 of the bridge 'podckpt0'" },
		{ "the network address is refused", "podb", "10.89.0.0", -EINVAL,
		  "address 10.89.0.0 is the network address of the subnet 10.89.0.0/16" },
		{ "the broadcast address is refused", "podb", "10.89.255.255", -EINVAL,
		  "address 10.89.255.255 is the broadcast address of the subnet 10.89.0.0/16" },
		{ "a link name that exists is refused", "poda", NULL, -EEXIST,
		  "link 'poda' exists" },
		{ "a link name that is too long is refused", "pod-with-long-name", NULL, -EINVAL,
		  "link name 'pod-with-long-name' must have 1 to 15 characters" },
	};
	cleanup_fd int second = new_ns(), own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct net_config config;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK(cases[i].what,
		      attach(second, cases[i].link, cases[i].address, &config) == cases[i].code);
		CHECK_STR("... in words", err.text, cases[i].text);
	}
	CHECK("a namespace with an eth0 is refused", attach(pod, "podb", NULL, &config) == -EEXIST);
	CHECK_STR("... in words", err.text, "link 'eth0' exists in the pod's network namespace");
	CHECK("this namespace itself is refused", attach(own, "podb", NULL, &config) == -EINVAL);
	CHECK_STR("... in words", err.text, "the pod has the host's own network namespace");
	CHECK("nothing of a refused pod is left", if_nametoindex("podb") == 0);
}

static void test_two_pods(int pod)
{
	cleanup_fd int second = new_ns();
	struct net_config config;

	REQUIRE("a second pod gets the address it asks for",
		!attach(second, "podb", "10.89.0.77", &config));
	CHECK_STR("... exactly", ip_text(config.ip), "10.89.0.77");
	CHECK("one pod reaches the other", tcp_reaches(pod, second, config.ip));
	CHECK("... and the other way", tcp_reaches(second, pod, ip("10.89.0.2")));
	CHECK("the second is detached", !net_detach("podb", &err));
	CHECK("detaching it again is fine", !net_detach("podb", &err));
	CHECK("its address is free at once", !attach(second, "podb", "10.89.0.77", &config));
	CHECK("it is detached again", !net_detach("podb", &err));
}

static void test_nat(int pod, int world)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	cleanup_fd int server = bound_socket(world, SOCK_DGRAM, "0.0.0.0", 7000);
	cleanup_fd int here = bound_socket(-1, SOCK_DGRAM, "0.0.0.0", 7000);
	cleanup_fd int client = netns_socket(pod, AF_INET, SOCK_DGRAM, 0);
	struct net_subnet subnet;
	struct in_addr from = { 0 };
	const char *text, *rule;
	bool nat = false;

	CHECK("the bridge is made sure of", !net_bridge_ensure(NULL, &subnet, &nat, &err));
	CHECK("NAT is there", nat);
	nft_ctx_buffer_output(nft);
	CHECK("the table is listed", !nft_run_cmd_from_buffer(nft, "list table ip podckpt"));
	text = nft_ctx_get_output_buffer(nft);
	rule = strstr(text, "masquerade");
	CHECK("one rule masquerades", rule && !strstr(rule + 1, "masquerade"));
	CHECK("somebody else's change of our chain",
	      !nft_run_cmd_from_buffer(nft,
				       "insert rule ip podckpt postrouting ip daddr 1.2.3.4 drop"));
	CHECK("... is taken back", !net_bridge_ensure(NULL, &subnet, &nat, &err) && nat);
	nft_run_cmd_from_buffer(nft, "list table ip podckpt");
	text = nft_ctx_get_output_buffer(nft);
	rule = strstr(text, "masquerade");
	CHECK("one rule is there again",
	      rule && !strstr(rule + 1, "masquerade") && !strstr(text, "drop"));
	CHECK("a pod reaches the world", reaches(client, ip("198.51.100.1"), 7000, server, &from));
	CHECK_STR("... under the host's address", ip_text(from), "198.51.100.2");
	CHECK("a pod reaches the host", reaches(client, ip("198.51.100.2"), 7000, here, &from));
	CHECK_STR("... under its own", ip_text(from), "10.89.0.2");
	nft_ctx_free(nft);
}

/* What attaching the link set off may still be under way. */
static void let_pass(int events)
{
	char message[8192];

	while (readable(events, SETTLED_MS))
		while (recv(events, message, sizeof(message), MSG_DONTWAIT) > 0)
			;
}

/* What a network manager of the host may do to any link at any time. */
static int meddle(const char *link)
{
	cleanup_sock struct nl_sock *sock = NULL;
	struct rt_link l;
	int r = netlink_open(-1, NETLINK_ROUTE, &sock, &err);

	if (r == 0)
		r = rt_link_get(sock, link, &l);
	return r < 0 ? r : rt_link_set(sock, l.index, &(struct rt_link_change){ .alias = l.alias });
}

static void test_lock(int pod)
{
	const struct in_addr pod_ip = ip("10.89.0.2"), host_ip = ip("10.89.0.1");
	cleanup_sock struct nl_sock *events = NULL;
	cleanup_fd int in = bound_socket(pod, SOCK_DGRAM, "0.0.0.0", 7001);
	cleanup_fd int out = bound_socket(-1, SOCK_DGRAM, "0.0.0.0", 7001);

	REQUIRE("a socket inside", !netlink_open(pod, NETLINK_ROUTE, &events, &err));
	nl_socket_add_membership(events, RTNLGRP_LINK);
	let_pass(nl_socket_get_fd(events));
	CHECK("datagrams go in", reaches(out, pod_ip, 7001, in, NULL));
	CHECK("datagrams go out", reaches(in, host_ip, 7001, out, NULL));
	CHECK("the pod is locked", !net_lock("poda", &err));
	send_to(out, pod_ip, 7001);
	send_to(in, host_ip, 7001);
	CHECK("nothing goes in", !readable(in, QUIET_MS));
	CHECK("nothing goes out", !readable(out, 0));
	CHECK("somebody changes the link", !meddle("poda"));
	send_to(out, pod_ip, 7001);
	send_to(in, host_ip, 7001);
	CHECK("still nothing goes in", !readable(in, QUIET_MS));
	CHECK("still nothing goes out", !readable(out, 0));
	CHECK("locking it again is fine", !net_lock("poda", &err));
	CHECK("the pod is unlocked", !net_unlock("poda", &err));
	CHECK("datagrams go in again", reaches(out, pod_ip, 7001, in, NULL));
	CHECK("datagrams go out again", reaches(in, host_ip, 7001, out, NULL));
	CHECK("inside, the link never changed", !readable(nl_socket_get_fd(events), 0));
	CHECK("unlocking it again is fine", !net_unlock("poda", &err));
	CHECK("a link that is not there is an error", net_lock("nobody", &err) == -ENODEV);
	CHECK_STR("... in words", err.text, "link 'nobody': No such device");
}

/* Whether a frame from `mac` is among those that came in. */
static bool heard_from(int ear, const uint8_t mac[6])
{
	struct ether_header frame;

	while (recv(ear, &frame, sizeof(frame), MSG_DONTWAIT) >= (ssize_t)sizeof(frame))
		if (!memcmp(frame.ether_shost, mac, 6))
			return true;
	return false;
}

/* As a restore does it: attached locked, filled, let go. */
static void test_attach_locked(void)
{
	cleanup_fd int ear = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	struct sockaddr_ll on = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(NET_BRIDGE) };
	struct net_config config = { .ip = ip("10.89.0.80"), .locked = true, .mtu = 1300 },
			  again = config;
	cleanup_fd int pod = new_ns();
	cleanup_fd int out = bound_socket(-1, SOCK_DGRAM, "0.0.0.0", 7002), in = -1;
	cleanup_sock struct nl_sock *events = NULL;

	REQUIRE("a packet socket", !bind(ear, (struct sockaddr *)&on, sizeof(on)));
	REQUIRE("a pod is attached locked", !net_attach(pod, "podl", &config, &err));
	in = bound_socket(pod, SOCK_DGRAM, "0.0.0.0", 7002);
	REQUIRE("a socket inside", !netlink_open(pod, NETLINK_ROUTE, &events, &err));
	nl_socket_add_membership(events, RTNLGRP_LINK);
	let_pass(nl_socket_get_fd(events));
	CHECK("its MTU is the one given", config.mtu == 1300);
	CHECK("its address is claimed already",
	      net_attach(pod, "podm", &again, &err) == -EADDRINUSE);
	send_to(out, config.ip, 7002);
	send_to(in, config.gateway, 7002);
	CHECK("nothing goes in", !readable(in, QUIET_MS));
	CHECK("nothing goes out", !readable(out, 0));
	CHECK("locking it is fine", !net_lock("podl", &err));
	CHECK("somebody sets something on its link", !meddle("podl"));
	send_to(out, config.ip, 7002);
	send_to(in, config.gateway, 7002);
	CHECK("still nothing goes in", !readable(in, QUIET_MS));
	CHECK("still nothing goes out", !readable(out, 0));
	CHECK("not one frame of the pod was seen", !heard_from(ear, config.mac));
	CHECK("it is unlocked", !net_unlock("podl", &err));
	CHECK("datagrams go in", reaches(out, config.ip, 7002, in, NULL));
	CHECK("datagrams go out", reaches(in, config.gateway, 7002, out, NULL));
	CHECK("its frames are seen now", heard_from(ear, config.mac));
	CHECK("inside, the link never changed", !readable(nl_socket_get_fd(events), 0));
	CHECK("it is detached", !net_detach("podl", &err));
}

static int announce(int pod, const struct net_config *config)
{
	cleanup_fd int done = -1;

	return net_announce(pod, config, &done, &err);
}

static void test_announce(int pod)
{
	const struct net_config config = { .ip = ip("10.89.0.2"),
					   .mac = { 0x02, 0x42, 10, 89, 0, 2 } };
	cleanup_fd int ear = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE_ARP));
	struct sockaddr_ll on = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETHERTYPE_ARP),
				  .sll_ifindex = (int)if_nametoindex(NET_BRIDGE) };
	bool request = false, reply = false;

	REQUIRE("a packet socket", !bind(ear, (struct sockaddr *)&on, sizeof(on)));
	CHECK("the address is announced", !announce(pod, &config));
	while (!(request && reply) && readable(ear, WAIT_MS)) {
		struct {
			struct ether_header ether;
			struct ether_arp arp;
		} frame;

		if (recv(ear, &frame, sizeof(frame), 0) < (ssize_t)sizeof(frame) ||
		    memcmp(frame.ether.ether_shost, config.mac, 6) ||
		    memcmp(frame.arp.arp_sha, config.mac, 6) ||
		    memcmp(frame.arp.arp_spa, &config.ip, 4) ||
		    memcmp(frame.arp.arp_tpa, &config.ip, 4) ||
		    memcmp(frame.ether.ether_dhost, "\xff\xff\xff\xff\xff\xff", 6))
			continue;
		request |= frame.arp.ea_hdr.ar_op == htons(ARPOP_REQUEST);
		reply |= frame.arp.ea_hdr.ar_op == htons(ARPOP_REPLY);
	}
	CHECK("the bridge hears it as a request and as a reply", request && reply);
}

/* Whether the advertisement of the pod's link-local address is heard on the bridge. */
static bool hears_advertisement(int ear, const uint8_t mac[6])
{
	const uint8_t address[16] = { 0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2],
				      0xff, 0xfe, mac[3], mac[4], mac[5] };

	while (readable(ear, WAIT_MS)) {
		uint8_t f[256];

		/* Ethernet, IPv6 with hop limit 255, type 136 with the override bit, target and its option. */
		if (recv(ear, f, sizeof(f), 0) >= 14 + 40 + 32 && !memcmp(f + 6, mac, 6) && f[14 + 6] == 58 &&
		    f[14 + 7] == 255 && f[54] == 136 && f[58] & 0x20 && !memcmp(f + 62, address, 16) &&
		    f[78] == 2 && !memcmp(f + 80, mac, 6))
			return true;
	}
	return false;
}

static void test_advertise(int pod)
{
	const struct net_config config = { .ip = ip("10.89.0.2"),
					   .mac = { 0x02, 0x42, 10, 89, 0, 2 } };
	cleanup_fd int ear = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE_IPV6));
	struct sockaddr_ll on = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETHERTYPE_IPV6),
				  .sll_ifindex = (int)if_nametoindex(NET_BRIDGE) };

	if (access("/proc/sys/net/ipv6", F_OK) < 0)
		return;
	REQUIRE("a packet socket for IPv6", !bind(ear, (struct sockaddr *)&on, sizeof(on)));
	CHECK("the addresses are announced", !announce(pod, &config));
	CHECK("the bridge hears the IPv6 address as an advertisement", hears_advertisement(ear, config.mac));
}

static void test_loopback(void)
{
	cleanup_fd int pod = new_ns();

	CHECK("lo alone comes up", !net_loopback_up(pod, &err));
	CHECK("... and carries TCP", tcp_reaches(pod, pod, ip("127.0.0.1")));
}

static bool no_claims(void)
{
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_free struct rt_link *links = NULL;
	size_t n, pods = 0;

	if (netlink_open(-1, NETLINK_ROUTE, &sock, &err) || rt_links(sock, &links, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		pods += !strncmp(links[i].alias, "podckpt ", 8);
	return pods == 0;
}

int main(void)
{
	cleanup_fd int world = -1, pod = -1;

	own_namespaces();
	alarm(600);
	world = make_world();
	REQUIRE("a world to live in", world >= 0);
	/* Something of the host's own in the first subnet that would be taken. */
	REQUIRE("an address in the way", !set_up(-1, "lo", "10.88.200.1", 24));

	test_race();
	test_bridge();
	test_wished_bridge();
	pod = new_ns();
	test_attach(pod);
	test_attach_refused(pod);
	test_two_pods(pod);
	test_nat(pod, world);
	test_lock(pod);
	test_attach_locked();
	test_announce(pod);
	test_advertise(pod);
	test_loopback();
	CHECK("the pod is detached", !net_detach("poda", &err));
	CHECK("no claim is left", no_claims());
	return UNIT_DONE();
}
