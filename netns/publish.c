/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of this host that lead to a pod: a table of nf_tables for each pod, and another one for IPv6, named after its
 * link, so that it goes in one step, and whoever finds a table without its link knows that it is left over.
 *
 * What comes from outside and what this host sends to an address of its own is turned to the pod. Not so what it
 * sends to 127.0.0.1 or ::1: the kernel lets no packet with such an address out of lo unless route_localnet is
 * set, and that would open every service there to the neighbours of the bridge; IPv6 has no such switch. Nor what
 * comes to a link-local address, mostly from one that means nothing beyond its link.
 *
 * Over IPv6 a port leads to a pod where this host forwards IPv6, which it is not made to (docs/adr/0013-ipv6-addresses.md).
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
#define N_FAMILIES 2

static const struct family {
	int af;
	const char *word; /* of nftables */
	const char *all;  /* a match: all addresses of this host that can lead to a pod */
} families[N_FAMILIES] = {
	{ AF_INET, "ip", "fib daddr type local ip daddr != 127.0.0.0/8" },
	{ AF_INET6, "ip6", "fib daddr type local ip6 daddr != ::1 ip6 daddr != fe80::/10" },
};

static const char *table_name(const char *link, char buf[TABLE_MAX])
{
	snprintf(buf, TABLE_MAX, PREFIX "%s", link);
	return buf;
}

/* ---- ports ---- */

static bool is_over(const struct net_publish *p, const struct family *f)
{
	return p->family == AF_UNSPEC || p->family == f->af;
}

/* Its address of the host, NULL: all of that family. */
static const char *one_address(const struct net_publish *p, const struct family *f, char buf[INET6_ADDRSTRLEN])
{
	bool all = p->family == AF_UNSPEC ||
		   (f->af == AF_INET ? !p->ip.s_addr : IN6_IS_ADDR_UNSPECIFIED(&p->ip6));

	if (all)
		return NULL;
	return inet_ntop(f->af, f->af == AF_INET ? (const void *)&p->ip : &p->ip6, buf, INET6_ADDRSTRLEN);
}

const char *net_publish_text(const struct net_publish *p, char buf[NET_PUBLISH_MAX])
{
	char ip[INET6_ADDRSTRLEN];

	if (p->family == AF_INET6)
		snprintf(buf, NET_PUBLISH_MAX, "[%s]:%u:%u%s", inet_ntop(AF_INET6, &p->ip6, ip, sizeof(ip)), p->host,
			 p->pod, p->udp ? "/udp" : "");
	else if (p->family == AF_INET)
		snprintf(buf, NET_PUBLISH_MAX, "%s:%u:%u%s", inet_ntop(AF_INET, &p->ip, ip, sizeof(ip)), p->host, p->pod,
			 p->udp ? "/udp" : "");
	else
		snprintf(buf, NET_PUBLISH_MAX, "%u:%u%s", p->host, p->pod, p->udp ? "/udp" : "");
	return buf;
}

bool net_publish_clash(const struct net_publish *a, const struct net_publish *b)
{
	if (a->host != b->host || a->udp != b->udp)
		return false;
	for (size_t i = 0; i < N_FAMILIES; i++) {
		char texts[2][INET6_ADDRSTRLEN];
		const char *one = one_address(a, &families[i], texts[0]), *other = one_address(b, &families[i], texts[1]);

		if (is_over(a, &families[i]) && is_over(b, &families[i]) && (!one || !other || !strcmp(one, other)))
			return true;
	}
	return false;
}

/* Whether such a port of a pod is to be published over one of them. */
static bool is_wanted(const struct net_publish *p, const struct net_config *config, const struct family *f)
{
	return is_over(p, f) &&
	       (f->af == AF_INET || (!IN6_IS_ADDR_UNSPECIFIED(&config->ip6) && ipv6_forwards()));
}

/* What was wished for over IPv6 alone is not to be nowhere. */
static int check_wish(const struct net_publish *p, const struct net_config *config, struct ct_error *err)
{
	char text[NET_PUBLISH_MAX];

	if (p->family != AF_INET6)
		return 0;
	if (IN6_IS_ADDR_UNSPECIFIED(&config->ip6))
		return error_set(err, -EINVAL, "'%s': the pod has no IPv6 address", net_publish_text(p, text));
	if (!ipv6_forwards())
		return error_set(err, -ENOSYS, "'%s': this host does not forward IPv6, so no port of it leads to a pod; see "
					       "podckpt check, or leave it out",
				 net_publish_text(p, text));
	return 0;
}

/* ---- is the port free? ---- */

static int taken(const struct net_publish *p, const struct family *f, const char *by, struct ct_error *err)
{
	return error_set(err, -EADDRINUSE, "port %u (%s%s) of this host is taken by %s", p->host,
			 p->udp ? "UDP" : "TCP", f->af == AF_INET6 ? " over IPv6" : "", by);
}

/* By a program of the host: the kernel says so to whoever wants the port too. */
static int check_bind(const struct net_publish *p, const struct family *f, struct ct_error *err)
{
	cleanup_fd int fd = socket(f->af, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 at6 = { .sin6_family = AF_INET6, .sin6_addr = p->ip6, .sin6_port = htons(p->host) };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = p->ip, .sin_port = htons(p->host) };
	const struct sockaddr *to = f->af == AF_INET ? (void *)&at : (void *)&at6;
	char text[INET6_ADDRSTRLEN];
	int on = 1;

	if (fd >= 0 && (f->af == AF_INET || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, to, f->af == AF_INET ? sizeof(at) : sizeof(at6)) == 0)
		return 0;
	if (errno == EADDRINUSE)
		return taken(p, f, "a program", err);
	if (errno == EADDRNOTAVAIL && one_address(p, f, text))
		return error_set(err, -EADDRNOTAVAIL, "%s is no address of this host", text);
	return error_errno(err, -errno, "port %u of this host", p->host);
}

/*
 * By another pod: `rules` are its table as libnftables writes it. "fib daddr type local ... udp dport 53
 * dnat to ..." for every address, "ip daddr a.b.c.d udp ..." for one.
 */
static bool rules_clash(const char *rules, const struct net_publish *p, const struct family *f)
{
	char match[64], text[INET6_ADDRSTRLEN], begin[sizeof("ip6 daddr  ") + INET6_ADDRSTRLEN] = "";
	const char *one = one_address(p, f, text);

	snprintf(match, sizeof(match), " %s dport %u dnat to ", p->udp ? "udp" : "tcp", p->host);
	if (one)
		snprintf(begin, sizeof(begin), "%s daddr %s ", f->word, one);
	for (const char *at = strstr(rules, match); at; at = strstr(at + 1, match)) {
		const char *line = at;

		while (line > rules && line[-1] != '\n')
			line--;
		line += strspn(line, " \t");
		if (!one || !strncmp(line, begin, strlen(begin)) || !strncmp(line, "fib ", strlen("fib ")))
			return true;
	}
	return false;
}

/* Whether one of the list is published by that table; if so, which. */
static int check_table(const char *link, const struct family *f, const struct net_config *config,
		       const struct net_publish *list, size_t n, struct ct_error *err)
{
	char complaint[NFT_COMPLAINT_MAX], command[64 + TABLE_MAX], by[64];
	cleanup_free char *rules = NULL;

	snprintf(command, sizeof(command), "list chain %s " PREFIX "%s prerouting", f->word, link);
	if (nft_run(command, &rules, complaint) < 0) /* it went meanwhile */
		return 0;
	snprintf(by, sizeof(by), "another pod (link '%s')", link);
	for (size_t i = 0; i < n; i++)
		if (is_wanted(&list[i], config, f) && rules_clash(rules, &list[i], f))
			return taken(&list[i], f, by, err);
	return 0;
}

/* The tables of other pods; those that are left over of pods that are gone are removed. */
static int check_pods(const char *own, const struct family *f, const struct net_config *config,
		      const struct net_publish *list, size_t n, struct ct_error *err)
{
	char complaint[NFT_COMPLAINT_MAX], command[64 + TABLE_MAX], *next = NULL;
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_free char *tables = NULL;
	int r = netlink_open(-1, NETLINK_ROUTE, &sock, err);

	snprintf(command, sizeof(command), "list tables %s", f->word);
	if (r == 0)
		r = nft_run(command, &tables, complaint);
	if (r < 0)
		return error_errno(err, r, "list the tables of nftables");
	for (char *line = strtok_r(tables, "\n", &next); r == 0 && line; line = strtok_r(NULL, "\n", &next)) {
		char link[IFNAMSIZ] = "";
		struct rt_link l;

		if (sscanf(line, "table %*s " PREFIX "%15s", link) != 1 || !strcmp(link, own))
			continue;
		if (rt_link_get(sock, link, &l) == -ENODEV) {
			snprintf(command, sizeof(command), "delete table %s " PREFIX "%s", f->word, link);
			nft_run(command, NULL, complaint);
			continue;
		}
		r = check_table(link, f, config, list, n, err);
	}
	return r;
}

/* `own`: its link. */
static int check_free(const char *own, const struct net_config *config, const struct net_publish *list, size_t n,
		      struct ct_error *err)
{
	for (size_t k = 0; k < N_FAMILIES; k++) {
		bool any = false;
		int r = 0;

		for (size_t i = 0; r == 0 && i < n; i++) {
			if (!is_wanted(&list[i], config, &families[k]))
				continue;
			any = true;
			r = check_bind(&list[i], &families[k], err);
		}
		if (r == 0 && any)
			r = check_pods(own, &families[k], config, list, n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the table ---- */

static void write_head(FILE *to, const char *family, const char *table)
{
	fprintf(to,
		"add table %1$s %2$s\n"
		"delete table %1$s %2$s\n"
		"add table %1$s %2$s\n"
		"add chain %1$s %2$s prerouting { type nat hook prerouting priority -100; }\n"
		"add chain %1$s %2$s output { type nat hook output priority -100; }\n"
		"add chain %1$s %2$s postrouting { type nat hook postrouting priority 100; }\n",
		family, table);
}

static void write_port(FILE *to, const struct family *f, const char *table, const char *pod, const struct net_publish *p)
{
	static const char *const chains[] = { "prerouting", "output" };
	char ip[INET6_ADDRSTRLEN];
	const char *one = one_address(p, f, ip);

	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		fprintf(to, "add rule %s %s %s ", f->word, table, chains[i]);
		if (one)
			fprintf(to, "%s daddr %s", f->word, one);
		else
			fprintf(to, "%s", f->all);
		fprintf(to, " %s dport %u dnat to %s:%u\n", p->udp ? "udp" : "tcp", p->host, pod, p->pod);
	}
}

static void write_table(FILE *to, const struct family *f, const char *table, const struct net_config *config,
			const struct net_publish *list, size_t n)
{
	char pod[INET6_ADDRSTRLEN], target[INET6_ADDRSTRLEN + 2];
	bool first = true;

	inet_ntop(f->af, f->af == AF_INET ? (const void *)&config->ip : &config->ip6, pod, sizeof(pod));
	snprintf(target, sizeof(target), f->af == AF_INET ? "%s" : "[%s]", pod);
	for (size_t i = 0; i < n; i++) {
		if (!is_wanted(&list[i], config, f))
			continue;
		if (first)
			write_head(to, f->word, table);
		first = false;
		write_port(to, f, table, target, &list[i]);
	}
	/* A neighbour's answer must come back through here, where its destination is turned back. */
	if (!first)
		fprintf(to, "add rule %s %s postrouting %s saddr %s/%u %s daddr %s ct status dnat masquerade\n", f->word,
			table, f->word, pod, f->af == AF_INET ? config->prefix : config->prefix6, f->word, pod);
}

static int make_tables(const char *link, const struct net_config *config, const struct net_publish *list,
		       size_t n, struct ct_error *err)
{
	char complaint[NFT_COMPLAINT_MAX], name[TABLE_MAX];
	cleanup_free char *commands = NULL;
	size_t size;
	FILE *to = open_memstream(&commands, &size);
	int r;

	for (size_t k = 0; to && k < N_FAMILIES; k++)
		write_table(to, &families[k], table_name(link, name), config, list, n);
	if (!to || fclose(to))
		return error_errno(err, -ENOMEM, "publish ports");
	r = nft_run(commands, NULL, complaint);
	if (r == -EIO && (strstr(complaint, strerror(ENOENT)) || strstr(complaint, strerror(EOPNOTSUPP))))
		return error_set(err, -ENOSYS, "ports cannot be published: this kernel's nf_tables lacks NAT or "
					       "fib (%s); leave out -p", complaint);
	return r < 0 ? error_set(err, r, "nftables table '%s': %s", table_name(link, name), complaint) : 0;
}

/* Answers come back through this host only where the pod's way out is its bridge. */
static int check_bridge(const struct net_config *config, const struct net_publish *list, size_t n, struct ct_error *err)
{
	bool lacks = !config->gateway.s_addr;

	for (size_t i = 0; i < n; i++)
		lacks |= is_wanted(&list[i], config, &families[1]) && IN6_IS_ADDR_UNSPECIFIED(&config->gateway6);
	if (!lacks)
		return 0;
	return error_set(err, -EINVAL, "ports cannot be published%s: the bridge '%s' has no address of this "
				       "host, so answers do not come back through it; give it one, or %s",
			 config->gateway.s_addr ? " over IPv6" : "", config->bridge[0] ? config->bridge : NET_BRIDGE,
			 config->gateway.s_addr ? "name an IPv4 address (0.0.0.0: all)" : "leave out -p");
}

int net_publish(const char *host_name, const struct net_config *config, const struct net_publish *list,
		size_t n, struct ct_error *err)
{
	cleanup_fd int lock = -1;
	int r = 0;

	if (!n)
		return 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = check_wish(&list[i], config, err);
	if (r == 0)
		r = check_bridge(config, list, n, err);
	if (r < 0)
		return r;
	r = nft_present(err);
	if (r == 0)
		return error_set(err, -ENOSYS, "ports cannot be published: this kernel has no nf_tables; leave "
					       "out -p and use the pod's own address");
	if (r < 0)
		return r;
	lock = claim_lock(err);
	if (lock < 0)
		return lock;
	r = check_free(host_name, config, list, n, err);
	return r < 0 ? r : make_tables(host_name, config, list, n, err);
}

int net_publish_check(const struct net_config *config, const struct net_publish *publish, struct ct_error *err)
{
	int r = nft_present(err);

	if (r == 0)
		return error_set(err, -ENOSYS, "ports cannot be published: this kernel has no nf_tables");
	if (r > 0)
		r = check_wish(publish, config, err);
	return r < 0 ? r : check_free("", config, publish, 1, err);
}

static int remove_table(const struct family *f, const char *name, struct ct_error *err)
{
	char complaint[NFT_COMPLAINT_MAX], command[64 + TABLE_MAX];
	cleanup_fd int lock = -1;
	int r = nft_has_table(f->af, name, err);

	if (r <= 0)
		return r;
	lock = claim_lock(err);
	if (lock < 0)
		return lock;
	snprintf(command, sizeof(command), "delete table %s %s", f->word, name);
	r = nft_run(command, NULL, complaint);
	if (r < 0 && nft_has_table(f->af, name, NULL) == 0) /* somebody was faster */
		return 0;
	return r < 0 ? error_set(err, r, "remove nftables table '%s': %s", name, complaint) : 0;
}

int net_unpublish(const char *host_name, struct ct_error *err)
{
	char name[TABLE_MAX];
	int r = 0;

	table_name(host_name, name);
	for (size_t k = 0; r == 0 && k < N_FAMILIES; k++)
		r = remove_table(&families[k], name, err);
	return r;
}
