/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of internet sockets in the manifest. Links are named: their numbers differ between hosts. */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "libct/kind/inet.h"

bool inet_is(const struct fd_view *v)
{
	return sock_is(v, AF_INET) || sock_is(v, AF_INET6);
}

int inet_link_name(int fd, unsigned int index, char name[16])
{
	struct ifreq q = { .ifr_ifindex = (int)index };

	if (ioctl(fd, SIOCGIFNAME, &q) < 0)
		return -errno;
	memcpy(name, q.ifr_name, IFNAMSIZ);
	return 0;
}

int inet_link_index(int fd, const char *name, unsigned int *ret)
{
	struct ifreq q = { 0 };

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	strcpy(q.ifr_name, name);
	if (ioctl(fd, SIOCGIFINDEX, &q) < 0)
		return -errno;
	*ret = (unsigned int)q.ifr_ifindex;
	return 0;
}

uint16_t inet_port(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? ((const struct sockaddr_in *)a)->sin_port
				       : ((const struct sockaddr_in6 *)a)->sin6_port;
}

static const char *ip_text(const struct sockaddr_storage *a, char text[INET6_ADDRSTRLEN])
{
	const void *ip = a->ss_family == AF_INET
				 ? (const void *)&((const struct sockaddr_in *)a)->sin_addr
				 : (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr;

	return inet_ntop(a->ss_family, ip, text, INET6_ADDRSTRLEN) ? text : "?";
}

const char *inet_text(const struct sockaddr_storage *a, char text[INET_TEXT])
{
	char ip[INET6_ADDRSTRLEN];

	ip_text(a, ip);
	snprintf(text, INET_TEXT, a->ss_family == AF_INET ? "%s:%u" : "[%s]:%u", ip, ntohs(inet_port(a)));
	return text;
}

bool inet_any(const struct sockaddr_storage *a)
{
	if (inet_port(a))
		return false;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr == INADDR_ANY;
	return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

int inet_local(int fd, struct sockaddr_storage *ret)
{
	socklen_t len = sizeof(*ret);

	*ret = (struct sockaddr_storage){ 0 };
	return getsockname(fd, (struct sockaddr *)ret, &len) < 0 ? -errno : 0;
}

int inet_remote(int fd, struct sockaddr_storage *ret)
{
	socklen_t len = sizeof(*ret);

	*ret = (struct sockaddr_storage){ 0 };
	return getpeername(fd, (struct sockaddr *)ret, &len) < 0 ? -errno : 0;
}

in_addr_t inet_ipv4(const struct sockaddr_storage *a)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
	in_addr_t ip = 0;

	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr;
	if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		memcpy(&ip, six->sin6_addr.s6_addr + 12, 4);
	return ip;
}

void inet_set_ipv4(struct sockaddr_storage *a, int family, in_addr_t ip)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)a;

	a->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		((struct sockaddr_in *)a)->sin_addr.s_addr = ip;
		return;
	}
	six->sin6_flowinfo = 0;
	memset(six->sin6_addr.s6_addr, 0, 10);
	memset(six->sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(six->sin6_addr.s6_addr + 12, &ip, 4);
}

void inet_to_family(int family, struct sockaddr_storage *a)
{
	if (family == AF_INET6 && a->ss_family != AF_INET6)
		inet_set_ipv4(a, family, ((struct sockaddr_in *)a)->sin_addr.s_addr);
}

static bool is_own6(const struct pod_config *config, const struct sockaddr_storage *a)
{
	const struct in6_addr *own = &config->address.ip6;

	return config->net == CT_NET_BRIDGE && a->ss_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(own) &&
	       IN6_ARE_ADDR_EQUAL(own, &((const struct sockaddr_in6 *)a)->sin6_addr);
}

void inet_address_put(const struct dump *d, int fd, struct node *n, const char *key,
		      const struct sockaddr_storage *a)
{
	const struct pod_config *config = &d->pod->config;
	struct node *to = node_put_object(n, key);
	in_addr_t ip = inet_ipv4(a);
	char text[INET6_ADDRSTRLEN], link[IFNAMSIZ];

	if (config->net == CT_NET_BRIDGE && ip && ip == config->address.ip.s_addr)
		node_put_bool(to, "own", true);
	else if (is_own6(config, a))
		node_put_bool(to, "own6", true);
	else
		node_put_str(to, "ip", ip_text(a, text));
	node_put_u64(to, "port", ntohs(inet_port(a)));
	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;

		if (six->sin6_scope_id && inet_link_name(fd, six->sin6_scope_id, link) == 0)
			node_put_str(to, "link", link);
		if (six->sin6_flowinfo)
			node_put_hex(to, "flow", ntohl(six->sin6_flowinfo));
	}
}

static void get_ipv4(const struct restore *r, const struct node *from, struct sockaddr_in *ret)
{
	bool own = node_has(from, "own") && node_bool(from, "own");

	if (own)
		ret->sin_addr = r->pod->config.address.ip;
	else if (inet_pton(AF_INET, node_str(from, "ip"), &ret->sin_addr) != 1)
		node_complain(from, "'%s' is not an address", node_str(from, "ip"));
}

static int get_ipv6(const struct restore *r, const struct node *from, struct sockaddr_in6 *ret,
		    struct ct_error *err)
{
	bool own = node_has(from, "own") && node_bool(from, "own");
	bool own6 = node_has(from, "own6") && node_bool(from, "own6");

	if (own6) {
		ret->sin6_addr = r->pod->config.address.ip6;
		if (IN6_IS_ADDR_UNSPECIFIED(&ret->sin6_addr))
			return error_set(err, -EINVAL,
					 "the pod has sockets at its IPv6 address, so it needs one here too; leave out "
					 "--ip6 none");
	} else if (own) {
		ret->sin6_addr.s6_addr[10] = ret->sin6_addr.s6_addr[11] = 0xff;
		memcpy(ret->sin6_addr.s6_addr + 12, &r->pod->config.address.ip, 4);
	} else if (inet_pton(AF_INET6, node_str(from, "ip"), &ret->sin6_addr) != 1) {
		node_complain(from, "'%s' is not an address", node_str(from, "ip"));
	}
	if (node_has(from, "flow"))
		ret->sin6_flowinfo = htonl((uint32_t)node_hex(from, "flow"));
	return doc_check(r->doc, err);
}

int inet_address_get(const struct restore *r, int fd, int family, const struct node *n,
		     const char *key, struct sockaddr_storage *ret, struct ct_error *err)
{
	const struct node *from = node_object(n, key);
	uint16_t port = htons((uint16_t)node_u64(from, "port", UINT16_MAX));
	int e;

	*ret = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	if (family == AF_INET) {
		((struct sockaddr_in *)ret)->sin_port = port;
		get_ipv4(r, from, (struct sockaddr_in *)ret);
		return doc_check(r->doc, err);
	}
	((struct sockaddr_in6 *)ret)->sin6_port = port;
	e = get_ipv6(r, from, (struct sockaddr_in6 *)ret, err);
	if (e == 0 && node_has(from, "link")) {
		const char *link = node_str(from, "link");

		e = inet_link_index(fd, link, &((struct sockaddr_in6 *)ret)->sin6_scope_id);
		if (e < 0)
			return error_errno(err, e, "link '%s'", link);
	}
	return e;
}
