/* SPDX-License-Identifier: Apache-2.0 */
/* The bridges that pods hang on, as libct.h has them: text on one side, numbers on the other. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/libct.h"
#include "netns/net.h"

static int check_root(struct ct_error *err)
{
	return geteuid() ? error_set(err, -EPERM, "this needs root") : 0;
}

static void describe(const struct net_network *from, struct ct_network_info *to)
{
	struct in_addr net = { from->prefix ? from->ip.s_addr & htonl(~(UINT32_MAX >> from->prefix)) : 0 };
	char text[INET6_ADDRSTRLEN];

	strcpy(to->name, from->name);
	strcpy(to->ports, from->ports);
	to->n_pods = from->n_pods;
	to->own = from->own;
	to->up = from->up;
	if (from->prefix6)
		snprintf(to->address6, sizeof(to->address6), "%s/%u",
			 inet_ntop(AF_INET6, &from->ip6, text, sizeof(text)), from->prefix6 % 1000);
	if (!from->ip.s_addr)
		return;
	snprintf(to->address, sizeof(to->address), "%s/%u",
		 inet_ntop(AF_INET, &from->ip, text, sizeof(text)), from->prefix % 100);
	snprintf(to->subnet, sizeof(to->subnet), "%s/%u", inet_ntop(AF_INET, &net, text, sizeof(text)),
		 from->prefix % 100);
}

int ct_network_list(struct ct_network_info **ret, size_t *ret_n, struct ct_error *err)
{
	cleanup_free struct net_network *list = NULL;
	struct ct_network_info *info;
	size_t n;
	int r = net_network_list(&list, &n, err);

	if (r < 0)
		return r;
	info = calloc(n + 1, sizeof(*info));
	if (!info)
		return error_errno(err, -ENOMEM, "list the bridges of this host");
	for (size_t i = 0; i < n; i++)
		describe(&list[i], &info[i]);
	*ret = info;
	*ret_n = n;
	return 0;
}

static int parse_address(const char *text, struct in_addr *ret_ip, unsigned int *ret_prefix)
{
	char ip[INET_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	unsigned int prefix;
	int used = 0;

	if (!text[len] || len >= sizeof(ip) || sscanf(text + len + 1, "%2u%n", &prefix, &used) != 1 ||
	    text[len + 1 + (size_t)used])
		return -EINVAL;
	memcpy(ip, text, len);
	ip[len] = '\0';
	if (inet_pton(AF_INET, ip, ret_ip) != 1)
		return -EINVAL;
	*ret_prefix = prefix;
	return 0;
}

int ct_network_create(const struct ct_network_options *options, struct ct_error *err)
{
	struct net_network_options o = { 0 };
	CT_OPTIONS(ct_network_options, given);
	int r = check_root(err);

	if (r < 0)
		return r;
	memcpy(&given, options, options->size < sizeof(given) ? options->size : sizeof(given));
	o.name = given.name;
	o.uplink = given.uplink;
	o.dev = given.dev;
	o.id = given.id ? given.id : 1;
	if (given.subnet && (parse_address(given.subnet, &o.ip, &o.prefix) < 0 || o.prefix < 8 || o.prefix > 30))
		return error_set(err, -EINVAL, "'%s' is not a subnet (a.b.c.d/n, n from 8 to 30)", given.subnet);
	if (given.vxlan && (inet_pton(AF_INET, given.vxlan, &o.vxlan) != 1 || !o.vxlan.s_addr))
		return error_set(err, -EINVAL, "'%s' is not an IPv4 address of a group of hosts, such as "
					       "239.1.1.1", given.vxlan);
	if (given.dev && !given.vxlan)
		return error_set(err, -EINVAL, "--dev is the link that a VXLAN runs over; name its group with "
					       "--vxlan, or give the link as --uplink");
	return net_network_create(&o, err);
}

int ct_network_remove(const char *name, struct ct_error *err)
{
	int r = check_root(err);

	return r < 0 ? r : net_network_remove(name, err);
}
