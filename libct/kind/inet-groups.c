/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multicast groups. The kernel lists the groups of each link (/proc/net/igmp, igmp6), not those of a
 * socket; but it tells for a group and a link whether a socket is a member, and which senders
 * it wants (MCAST_MSFILTER), so every group there is is asked for.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/kind/inet.h"

#define SOURCES_MAX 128

struct group {
	unsigned int index;
	struct sockaddr_storage address;
};

static size_t filter_size(size_t n)
{
	return GROUP_FILTER_SIZE(n);
}

static void put_group(int fd, const struct group *g, const struct group_filter *f, struct node *groups)
{
	struct node *to = node_put_object(groups, NULL), *sources;
	char text[INET6_ADDRSTRLEN], name[16] = "";
	bool four = g->address.ss_family == AF_INET;

	inet_ntop(g->address.ss_family,
		  four ? (const void *)&((const struct sockaddr_in *)&g->address)->sin_addr
		       : (const void *)&((const struct sockaddr_in6 *)&g->address)->sin6_addr,
		  text, sizeof(text));
	inet_link_name(fd, g->index, name);
	node_put_str(to, "ip", text);
	node_put_str(to, "link", name);
	if (f->gf_fmode != MCAST_EXCLUDE || f->gf_numsrc) {
		node_put_bool(to, "only", f->gf_fmode == MCAST_INCLUDE);
		sources = node_put_array(to, "sources");
		for (uint32_t i = 0; i < f->gf_numsrc; i++) {
			const struct sockaddr_storage *s = &f->gf_slist[i];

			inet_ntop(s->ss_family,
				  four ? (const void *)&((const struct sockaddr_in *)s)->sin_addr
				       : (const void *)&((const struct sockaddr_in6 *)s)->sin6_addr,
				  text, sizeof(text));
			node_put_str(sources, NULL, text);
		}
	}
}

static void ask(struct dump *d, const struct fd_view *v, const struct group *g, struct node *n,
		struct node **groups)
{
	int level = g->address.ss_family == AF_INET ? SOL_IP : SOL_IPV6;
	cleanup_free struct group_filter *f = calloc(1, filter_size(SOURCES_MAX));
	socklen_t len = (socklen_t)filter_size(SOURCES_MAX);

	if (!f)
		return;
	f->gf_interface = g->index;
	f->gf_group = g->address;
	f->gf_numsrc = SOURCES_MAX;
	if (getsockopt(v->dup, level, MCAST_MSFILTER, f, &len) < 0)
		return;
	if (f->gf_numsrc > SOURCES_MAX) {
		dump_refuse_fd(d, v, "a multicast group with %u chosen senders is not carried; leave it first",
			       f->gf_numsrc);
		return;
	}
	if (!*groups)
		*groups = node_put_array(n, "groups");
	put_group(v->dup, g, f, *groups);
}

struct groups {
	struct group *list;
	size_t n;
};

static void groups_release(struct groups *g)
{
	free(g->list);
}

static int add(struct groups *all, const struct group *g)
{
	struct group *grown = realloc(all->list, (all->n + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	all->list = grown;
	grown[all->n++] = *g;
	return 0;
}

/* Lines "2\teth0 ...:" and below each "\t\t\t\t010000E0 ...": the address as a number in memory order. */
static int read_ipv4(const char *text, struct groups *all)
{
	struct group g = { .address.ss_family = AF_INET };
	int r = 0;

	for (const char *line = strchr(text, '\n'); r == 0 && line && line[1];
	     line = strchr(line + 1, '\n')) {
		if (line[1] != '\t') {
			g.index = (unsigned int)strtoul(line + 1, NULL, 10);
			continue;
		}
		((struct sockaddr_in *)&g.address)->sin_addr.s_addr =
			(in_addr_t)strtoul(line + 1, NULL, 16);
		r = add(all, &g);
	}
	return r;
}

/* Lines "2    eth0   ff020000...01 users flags timer". */
static int read_ipv6(const char *text, struct groups *all)
{
	struct group g = { .address.ss_family = AF_INET6 };
	int r = 0;

	for (const char *line = text; r == 0 && line && *line; line = strchr(line, '\n'), line += !!line) {
		uint8_t *ip = ((struct sockaddr_in6 *)&g.address)->sin6_addr.s6_addr;
		char hex[33];
		int i;

		if (sscanf(line, "%u %*s %32s", &g.index, hex) != 2)
			continue;
		for (i = 0; i < 16 && sscanf(hex + 2 * i, "%2hhx", &ip[i]) == 1; i++)
			;
		if (i == 16)
			r = add(all, &g);
	}
	return r;
}

/* The kernel's order is that of joining. */
static int compare(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	int r = memcmp(&x->address, &y->address, sizeof(x->address));

	return r ? r : (x->index > y->index) - (x->index < y->index);
}

static int read_groups(struct dump *d, const char *file, int (*parse)(const char *, struct groups *),
		       struct groups *all, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	ssize_t r = proc_read(d->proc, d->pod->state.pid1, file, &text);

	if (r >= 0)
		r = parse(text, all);
	return r < 0 && r != -ENOENT ? error_errno(err, (int)r, "read '%s'", file) : 0;
}

int inet_groups_put(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	__cleanup(groups_release) struct groups all = { 0 };
	struct node *groups = NULL;
	int r = read_groups(d, "net/igmp", read_ipv4, &all, err);

	if (r == 0 && sock_is(v, AF_INET6))
		r = read_groups(d, "net/igmp6", read_ipv6, &all, err);
	if (r < 0)
		return r;
	if (all.n)
		qsort(all.list, all.n, sizeof(*all.list), compare);
	for (size_t i = 0; i < all.n; i++)
		ask(d, v, &all.list[i], n, &groups);
	return 0;
}

static bool get_ip(const char *text, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){ .ss_family = strchr(text, ':') ? AF_INET6 : AF_INET };
	return inet_pton(ret->ss_family, text,
			 ret->ss_family == AF_INET
				 ? (void *)&((struct sockaddr_in *)ret)->sin_addr
				 : (void *)&((struct sockaddr_in6 *)ret)->sin6_addr) == 1;
}

static int get_sources(const struct node *from, int fd, int level, struct group_filter *f,
		       struct ct_error *err)
{
	const struct node *sources = node_array(from, "sources");
	size_t n = node_count(sources);

	f->gf_fmode = node_bool(from, "only") ? MCAST_INCLUDE : MCAST_EXCLUDE;
	if (n > SOURCES_MAX)
		return error_set(err, -EBADMSG, "%zu senders of a group", n);
	f->gf_numsrc = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		if (!get_ip(node_at_str(sources, i), &f->gf_slist[i]))
			return error_set(err, -EBADMSG, "'%s' is not an address", node_at_str(sources, i));
	if (setsockopt(fd, level, MCAST_MSFILTER, f, (socklen_t)filter_size(n)) < 0)
		return error_errno(err, -errno, "choose the senders of a group");
	return 0;
}

int inet_groups_get(const struct node *n, int fd, struct ct_error *err)
{
	const struct node *groups;

	if (!node_has(n, "groups"))
		return 0;
	groups = node_array(n, "groups");
	for (size_t i = 0; i < node_count(groups); i++) {
		cleanup_free struct group_filter *f = calloc(1, filter_size(SOURCES_MAX));
		const struct node *from = node_at(groups, i);
		const char *ip = node_str(from, "ip"), *link = node_str(from, "link");
		struct group_req q = { 0 };
		int e, level;

		if (!f)
			return error_errno(err, -ENOMEM, "groups");
		if (!get_ip(ip, &q.gr_group))
			return error_set(err, -EBADMSG, "'%s' is not an address", ip);
		e = inet_link_index(fd, link, &q.gr_interface);
		if (e < 0)
			return error_errno(err, e, "link '%s'", link);
		level = q.gr_group.ss_family == AF_INET ? SOL_IP : SOL_IPV6;
		if (setsockopt(fd, level, MCAST_JOIN_GROUP, &q, sizeof(q)) < 0)
			return error_errno(err, -errno, "join group %s on %s", ip, link);
		f->gf_interface = q.gr_interface;
		f->gf_group = q.gr_group;
		e = node_has(from, "sources") ? get_sources(from, fd, level, f, err) : 0;
		if (e < 0)
			return e;
	}
	return 0;
}
