/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of this host that lead to a pod: a table of nf_tables for each pod, named after its link, so
 * that it goes in one step, and whoever finds a table without its link knows that it is left over.
 *
 * What comes from outside and what this host sends to an address of its own is turned to the pod. Not so what it
 * sends to 127.0.0.1: the kernel lets no packet with such an address out of lo unless route_localnet is
 * set, and that would open every service there to the neighbours of the bridge.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/error.h"
#include "netns/claim.h"
#include "netns/net.h"
#include "netns/netlink.h"
#include "netns/nft.h"

#define PREFIX "podckpt_"
#define TABLE_MAX (sizeof(PREFIX) + IFNAMSIZ)
#define RULE_MAX 160

static const char *table_name(const char *link, char buf[TABLE_MAX])
{
	snprintf(buf, TABLE_MAX, PREFIX "%s", link);
	return buf;
}

const char *net_publish_text(const struct net_publish *p, char buf[NET_PUBLISH_MAX])
{
	char ip[INET_ADDRSTRLEN] = "";

	if (p->host_ip.s_addr)
		inet_ntop(AF_INET, &p->host_ip, ip, sizeof(ip));
	snprintf(buf, NET_PUBLISH_MAX, "%s%s%u:%u%s", ip, *ip ? ":" : "", p->host, p->pod,
		 p->udp ? "/udp" : "");
	return buf;
}

/* ---- is the port free? ---- */

static int taken(const struct net_publish *p, const char *by, struct ct_error *err)
{
	return error_set(err, -EADDRINUSE, "port %u (%s) of this host is taken by %s", p->host,
			 p->udp ? "UDP" : "TCP", by);
}

/* By a program of the host: the kernel says so to whoever wants the port too. */
static int check_bind(const struct net_publish *p, struct ct_error *err)
{
	cleanup_fd int fd = socket(AF_INET, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr = p->host_ip,
				  .sin_port = htons(p->host) };
	char text[INET_ADDRSTRLEN];

	if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return 0;
	if (errno == EADDRINUSE)
		return taken(p, "a program", err);
	if (errno == EADDRNOTAVAIL)
		return error_set(err, -EADDRNOTAVAIL, "%s is no address of this host",
				 inet_ntop(AF_INET, &p->host_ip, text, sizeof(text)));
	return error_errno(err, -errno, "port %u of this host", p->host);
}

/*
 * By another pod: `rules` are its table as libnftables writes it. "fib daddr type local udp dport 53
 * dnat to ..." for every address, "ip daddr a.b.c.d udp ..." for one.
 */
static bool rules_clash(const char *rules, const struct net_publish *p)
{
	char match[64], other[INET_ADDRSTRLEN], one[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &p->host_ip, one, sizeof(one));
	snprintf(match, sizeof(match), " %s dport %u dnat to ", p->udp ? "udp" : "tcp", p->host);
	for (const char *at = strstr(rules, match); at; at = strstr(at + 1, match)) {
		const char *line = at;

		while (line > rules && line[-1] != '\n')
			line--;
		if (!p->host_ip.s_addr || sscanf(line, " ip daddr %15[0-9.]", other) != 1 ||
		    !strcmp(other, one))
			return true;
	}
	return false;
}

/* Whether one of the list is published by that table; if so, which. */
static int check_table(const char *link, const struct net_publish *list, size_t n, struct ct_error *err)
{
	char complaint[NFT_COMPLAINT_MAX], command[64 + TABLE_MAX], by[64];
	cleanup_free char *rules = NULL;

	snprintf(command, sizeof(command), "list chain ip " PREFIX "%s prerouting", link);
	if (nft_run(command, &rules, complaint) < 0) /* it went meanwhile */
		return 0;
	snprintf(by, sizeof(by), "another pod (link '%s')", link);
	for (size_t i = 0; i < n; i++)
		if (rules_clash(rules, &list[i]))
			return taken(&list[i], by, err);
	return 0;
}

/* The tables of other pods; those that are left over of pods that are gone are removed. */
static int check_pods(const char *own, const struct net_publish *list, size_t n, struct ct_error *err)
{
	char complaint[NFT_COMPLAINT_MAX], command[64 + TABLE_MAX], *next = NULL;
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_free char *tables = NULL;
	int r = netlink_open(-1, NETLINK_ROUTE, &sock, err);

	if (r == 0)
		r = nft_run("list tables ip", &tables, complaint);
	if (r < 0)
		return error_errno(err, r, "list the tables of nftables");
	for (char *line = strtok_r(tables, "\n", &next); r == 0 && line; line = strtok_r(NULL, "\n", &next)) {
		char link[IFNAMSIZ] = "";
		struct rt_link l;

		if (sscanf(line, "table ip " PREFIX "%15s", link) != 1 || !strcmp(link, own))
			continue;
		if (rt_link_get(sock, link, &l) == -ENODEV) {
			snprintf(command, sizeof(command), "delete table ip " PREFIX "%s", link);
			nft_run(command, NULL, complaint);
			continue;
		}
		r = check_table(link, list, n, err);
	}
	return r;
}

/* ---- the table ---- */

static int write_rules(char *buf, size_t size, const char *table, const struct net_config *config,
		       const struct net_publish *list, size_t n)
{
	char pod[INET_ADDRSTRLEN], net[INET_ADDRSTRLEN], host[INET_ADDRSTRLEN];
	struct in_addr subnet = { config->ip.s_addr & htonl(~(UINT32_MAX >> config->prefix)) };
	FILE *f = fmemopen(buf, size, "w");

	if (!f)
		return -ENOMEM;
	inet_ntop(AF_INET, &config->ip, pod, sizeof(pod));
	fprintf(f,
		"add table ip %1$s\n"
		"delete table ip %1$s\n"
		"add table ip %1$s\n"
		"add chain ip %1$s prerouting { type nat hook prerouting priority -100; }\n"
		"add chain ip %1$s output { type nat hook output priority -100; }\n"
		"add chain ip %1$s postrouting { type nat hook postrouting priority 100; }\n",
		table);
	for (size_t i = 0; i < n; i++) {
		const char *protocol = list[i].udp ? "udp" : "tcp";
		char to[64] = "fib daddr type local";

		if (list[i].host_ip.s_addr)
			snprintf(to, sizeof(to), "ip daddr %s",
				 inet_ntop(AF_INET, &list[i].host_ip, host, sizeof(host)));
		fprintf(f, "add rule ip %s prerouting %s %s dport %u dnat to %s:%u\n", table, to, protocol,
			list[i].host, pod, list[i].pod);
		fprintf(f, "add rule ip %s output ip daddr != 127.0.0.0/8 %s %s dport %u dnat to %s:%u\n",
			table, to, protocol, list[i].host, pod, list[i].pod);
	}
	/* A neighbour's answer must come back through here, where its destination is turned back. */
	fprintf(f, "add rule ip %s postrouting ip saddr %s/%u ip daddr %s ct status dnat masquerade\n", table,
		inet_ntop(AF_INET, &subnet, net, sizeof(net)), config->prefix, pod);
	return fclose(f) ? -ENOMEM : 0;
}

static int make_table(const char *link, const struct net_config *config, const struct net_publish *list,
		      size_t n, struct ct_error *err)
{
	size_t size = 1024 + n * 2 * RULE_MAX;
	cleanup_free char *commands = malloc(size);
	char complaint[NFT_COMPLAINT_MAX], name[TABLE_MAX];
	int r = commands ? write_rules(commands, size, table_name(link, name), config, list, n) : -ENOMEM;

	if (r < 0)
		return error_errno(err, r, "publish ports");
	r = nft_run(commands, NULL, complaint);
	if (r == -EIO && (strstr(complaint, strerror(ENOENT)) || strstr(complaint, strerror(EOPNOTSUPP))))
		return error_set(err, -ENOSYS, "ports cannot be published: this kernel's nf_tables lacks NAT or "
					       "fib (%s); leave out -p", complaint);
	return r < 0 ? error_set(err, r, "nftables table '%s': %s", name, complaint) : 0;
}

int net_publish(const char *host_name, const struct net_config *config, const struct net_publish *list,
		size_t n, struct ct_error *err)
{
	cleanup_fd int lock = -1;
	int r;

	if (!n)
		return 0;
	if (!config->gateway.s_addr)
		return error_set(err, -EINVAL, "ports cannot be published: the bridge '%s' has no address of this "
					       "host, so answers do not come back through it; give it one, or "
					       "leave out -p", config->bridge);
	r = nft_present(err);
	if (r == 0)
		return error_set(err, -ENOSYS, "ports cannot be published: this kernel has no nf_tables; leave "
					       "out -p and use the pod's own address");
	if (r < 0)
		return r;
	lock = claim_lock(err);
	if (lock < 0)
		return lock;
	for (size_t i = 0; i < n; i++) {
		r = check_bind(&list[i], err);
		if (r < 0)
			return r;
	}
	r = check_pods(host_name, list, n, err);
	return r < 0 ? r : make_table(host_name, config, list, n, err);
}

int net_publish_check(const struct net_publish *publish, struct ct_error *err)
{
	int r = nft_present(err);

	if (r == 0)
		return error_set(err, -ENOSYS, "ports cannot be published: this kernel has no nf_tables");
	if (r > 0)
		r = check_bind(publish, err);
	return r < 0 ? r : check_pods("", publish, 1, err);
}

int net_unpublish(const char *host_name, struct ct_error *err)
{
	char complaint[NFT_COMPLAINT_MAX], command[64 + TABLE_MAX], name[TABLE_MAX];
	cleanup_fd int lock = -1;
	int r = nft_has_table(AF_INET, table_name(host_name, name), err);

	if (r <= 0)
		return r;
	lock = claim_lock(err);
	if (lock < 0)
		return lock;
	snprintf(command, sizeof(command), "delete table ip %s", name);
	r = nft_run(command, NULL, complaint);
	if (r < 0 && nft_has_table(AF_INET, name, NULL) == 0) /* somebody was faster */
		return 0;
	return r < 0 ? error_set(err, r, "remove nftables table '%s': %s", name, complaint) : 0;
}
