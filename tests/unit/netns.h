/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of netns/: namespaces of the test's own, so that nothing of the machine is touched. */
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "libct/base/cleanup.h"
#include "netns/netlink.h"

/* Puts this process where it can do no harm; ends it where it may not. */
static inline void own_namespaces(void)
{
	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		exit(77);
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0) {
		perror("# own namespaces");
		exit(1);
	}
}

static inline int make_ns(void *arg)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* A new network namespace; the caller's thread stays where it is. */
static inline int new_ns(void)
{
	cleanup_fd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return netns_call(own, make_ns, NULL);
}

static inline struct in_addr ip(const char *text)
{
	struct in_addr a = { 0 };

	inet_pton(AF_INET, text, &a);
	return a;
}

static inline const char *ip_text(struct in_addr a)
{
	static char text[4][INET_ADDRSTRLEN];
	static int n;

	n = (n + 1) % 4;
	return inet_ntop(AF_INET, &a, text[n], sizeof(text[n]));
}
