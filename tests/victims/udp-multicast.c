/* SPDX-License-Identifier: Apache-2.0 */
/* Members of multicast groups of both families, one with chosen senders. */
/* run: --net bridge */
#include "victim.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct sockaddr_storage group(const char *ip)
{
	struct sockaddr_storage s = { .ss_family = strchr(ip, ':') ? AF_INET6 : AF_INET };

	CHECK_EQ(inet_pton(s.ss_family, ip,
			   s.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&s)->sin_addr
						  : (void *)&((struct sockaddr_in6 *)&s)->sin6_addr), 1);
	return s;
}

static void join(int fd, int level, const char *ip, const char *link)
{
	struct group_req q = { .gr_interface = if_nametoindex(link), .gr_group = group(ip) };

	CHECK_SYS(setsockopt(fd, level, MCAST_JOIN_GROUP, &q, sizeof(q)));
}

int main(void)
{
	int four = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0)), off = 0, s;
	int six = CHECK_SYS(socket(AF_INET6, SOCK_DGRAM, 0));
	int none = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7100) };
	struct group_source_req source = { .gsr_group = group("239.1.2.4"),
					   .gsr_source = group("10.1.2.3") };
	struct {
		struct group_filter f;
		struct sockaddr_storage more[3];
	} filter = { 0 };
	socklen_t len = sizeof(filter);
	struct ip_mreqn to = { .imr_ifindex = (int)if_nametoindex("eth0") };
	char text[8];

	join(four, IPPROTO_IP, "239.1.2.3", "eth0");
	join(six, IPPROTO_IPV6, "ff05::1:3", "eth0");
	source.gsr_interface = if_nametoindex("eth0");
	CHECK_SYS(setsockopt(four, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &source, sizeof(source)));
	CHECK_SYS(setsockopt(four, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof(off)));
	CHECK_SYS(setsockopt(none, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof(off)));
	CHECK_SYS(setsockopt(none, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)));
	CHECK_SYS(setsockopt(four, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)));
	CHECK_SYS(bind(four, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(bind(none, (struct sockaddr *)&a, sizeof(a)));
	victim_ready();
	s = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_SYS(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &to, sizeof(to)));
	inet_pton(AF_INET, "239.1.2.3", &a.sin_addr);
	CHECK_EQ(sendto(s, "hi", 2, 0, (struct sockaddr *)&a, sizeof(a)), 2);
	CHECK_EQ(recv(four, text, sizeof(text), 0), 2);
	CHECK_ERRNO(recv(none, text, sizeof(text), MSG_DONTWAIT), EAGAIN);
	filter.f.gf_interface = if_nametoindex("eth0");
	filter.f.gf_group = group("239.1.2.4");
	filter.f.gf_numsrc = 4;
	CHECK_SYS(getsockopt(four, IPPROTO_IP, MCAST_MSFILTER, &filter, &len));
	CHECK_EQ(filter.f.gf_fmode, MCAST_INCLUDE);
	CHECK_EQ(filter.f.gf_numsrc, 1);
	filter.f.gf_group = group("ff05::1:3");
	filter.f.gf_numsrc = 4;
	len = sizeof(filter);
	CHECK_SYS(getsockopt(six, IPPROTO_IPV6, MCAST_MSFILTER, &filter, &len));
	CHECK_EQ(filter.f.gf_fmode, MCAST_EXCLUDE);
	victim_pass();
}
