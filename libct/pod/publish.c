/* SPDX-License-Identifier: Apache-2.0 */
/* The ports of a pod that are published on the host: "[IP:]HOST:POD[/tcp|/udp]", an IPv6 address in brackets. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "images/node.h"
#include "libct/base/error.h"
#include "libct/pod/config-impl.h"
#include "libct/pod/grants.h"
#include "libct/pod/pod.h"

#define PUBLISH_MAX 4096

static bool port_parse(const char *text, size_t len, uint16_t *ret)
{
	unsigned int port = 0;

	if (len == 0 || len > 5 || strspn(text, "0123456789") < len)
		return false;
	for (size_t i = 0; i < len; i++)
		port = port * 10 + (unsigned int)(text[i] - '0');
	*ret = (uint16_t)port;
	return port >= 1 && port <= UINT16_MAX;
}

/* "1.2.3.4" or "[2001:db8::1]". */
static int parse_address(const char *text, size_t len, struct net_publish *ret)
{
	bool six = len >= 2 && text[0] == '[' && text[len - 1] == ']';
	char ip[INET6_ADDRSTRLEN];

	len -= six ? 2 : 0;
	if (len >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, six ? text + 1 : text, len);
	ip[len] = '\0';
	ret->family = six ? AF_INET6 : AF_INET;
	if (inet_pton(ret->family, ip, six ? (void *)&ret->ip6 : &ret->ip) != 1)
		return -EINVAL;
	return six && IN6_IS_ADDR_V4MAPPED(&ret->ip6) ? -EINVAL : 0;
}

static int parse(const char *text, struct net_publish *ret)
{
	size_t len = strcspn(text, "/");
	const char *protocol = text + len, *last = memrchr(text, ':', len), *first;
	struct net_publish p = { .udp = !strcmp(protocol, "/udp") };

	if ((*protocol && !p.udp && strcmp(protocol, "/tcp")) || !last)
		return -EINVAL;
	first = memrchr(text, ':', (size_t)(last - text));
	if (first && parse_address(text, (size_t)(first - text), &p) < 0)
		return -EINVAL;
	first = first ? first + 1 : text;
	if (!port_parse(first, (size_t)(last - first), &p.host) ||
	    !port_parse(last + 1, (size_t)(text + len - last - 1), &p.pod))
		return -EINVAL;
	*ret = p;
	return 0;
}

/* Such addresses mean nothing beyond this host or a link of it. */
static bool is_near(const struct net_publish *p)
{
	if (p->family == AF_INET)
		return ntohl(p->ip.s_addr) >> 24 == IN_LOOPBACKNET;
	return p->family == AF_INET6 && (IN6_IS_ADDR_LOOPBACK(&p->ip6) || IN6_IS_ADDR_LINKLOCAL(&p->ip6));
}

int pod_config_set_publish(struct pod_config *config, const char *const *texts, struct ct_error *err)
{
	cleanup_free struct net_publish *list = NULL;
	char text[NET_PUBLISH_MAX];
	size_t n = 0;

	while (texts && texts[n])
		n++;
	if (n > PUBLISH_MAX)
		return error_set(err, -EINVAL, "more than %d ports are published", PUBLISH_MAX);
	if (n && config->net != CT_NET_BRIDGE)
		return error_set(err, -EINVAL, "ports are published for pods on a bridge only (--net bridge)");
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return error_errno(err, -ENOMEM, "publish ports");
	for (size_t i = 0; i < n; i++) {
		if (parse(texts[i], &list[i]) < 0)
			return error_set(err, -EINVAL, "'%s' is not a port to publish ([IP:]HOST:POD[/udp])",
					 texts[i]);
		if (is_near(&list[i]))
			return error_set(err, -EINVAL, "'%s': a port of such an address (127.0.0.1, ::1, fe80::/10) cannot lead "
						       "to a pod; leave the address out and use another one of this host",
					 texts[i]);
		for (size_t k = 0; k < i; k++)
			if (net_publish_clash(&list[k], &list[i]))
				return error_set(err, -EINVAL, "port %u is published twice: '%s' and '%s'",
						 list[i].host, net_publish_text(&list[k], text), texts[i]);
	}
	free(config->publish);
	config->publish = take_ptr(list);
	config->n_publish = n;
	return 0;
}

void publish_put(const struct pod_config *config, struct node *to)
{
	char text[NET_PUBLISH_MAX];
	struct node *array;

	if (!config->n_publish)
		return;
	array = node_put_array(to, "publish");
	for (size_t i = 0; i < config->n_publish; i++)
		node_put_str(array, NULL, net_publish_text(&config->publish[i], text));
}

int publish_get(const struct node *from, struct pod_config *config)
{
	cleanup_free const char **texts = NULL;
	struct ct_error why = { 0 };
	const struct node *array;
	size_t n;
	int r;

	if (!node_has(from, "publish"))
		return 0;
	array = node_array(from, "publish");
	n = node_count(array);
	if (n > PUBLISH_MAX) {
		node_complain(array, "more than %d ports are published", PUBLISH_MAX);
		return 0;
	}
	texts = calloc(n + 1, sizeof(*texts));
	if (!texts)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		texts[i] = node_at_str(array, i);
	r = pod_config_set_publish(config, texts, &why);
	if (r == -EINVAL)
		node_complain(array, "%s", why.text);
	return r == -ENOMEM ? r : 0;
}

static bool same_port(const struct net_publish *a, const struct net_publish *b)
{
	return a->pod == b->pod && a->udp == b->udp;
}

bool publish_is_for(const struct net_publish *p, const struct pod_config *config, const struct pod_config *given)
{
	for (size_t i = 0; i < config->n_publish; i++) {
		bool the_same = false;

		if (!same_port(&config->publish[i], p))
			continue;
		for (size_t k = 0; k < given->n_publish; k++)
			the_same |= same_port(&given->publish[k], p) &&
				    given->publish[k].host == config->publish[i].host;
		if (!the_same || p->host == config->publish[i].host)
			return true;
	}
	return false;
}

static void keep_own(const struct pod_config *config, struct pod_config *given)
{
	const struct pod_config all = { .publish = given->publish, .n_publish = given->n_publish };
	struct net_publish *own = calloc(all.n_publish + 1, sizeof(*own));

	given->publish = own;
	given->n_publish = 0;
	for (size_t i = 0; own && i < all.n_publish; i++)
		if (publish_is_for(&all.publish[i], config, &all))
			own[given->n_publish++] = all.publish[i];
	free(all.publish);
}

/* A port of the host is the host's: an image has it only where it is given again, that one or another for it. */
int publish_grant(struct pod_config *config, const char *const *texts, struct grants *g, struct ct_error *err)
{
	struct pod_config given = { .net = config->net };
	char text[NET_PUBLISH_MAX];
	int r = g->several && config->net != CT_NET_BRIDGE ? 0 : pod_config_set_publish(&given, texts, err);

	if (r < 0)
		return r;
	if (g->several)
		keep_own(config, &given);
	for (size_t i = 0; i < config->n_publish; i++) {
		const struct net_publish *p = &config->publish[i];
		bool found = false;

		for (size_t k = 0; k < given.n_publish; k++)
			found |= same_port(&given.publish[k], p);
		if (!found)
			grants_refuse(g, "the pod's port %u (%s) is published on port %u of the host; say where "
					 "it may be here: -p %s",
				      p->pod, p->udp ? "UDP" : "TCP", p->host, net_publish_text(p, text));
	}
	free(config->publish);
	config->publish = given.publish;
	config->n_publish = given.n_publish;
	return 0;
}
