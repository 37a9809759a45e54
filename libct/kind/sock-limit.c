/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image is untrusted, and a restore runs with every privilege: so while it makes a socket and sets its
 * options, it has none that the pod could not have. The kernel then refuses what it would refuse the pod.
 */
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libct/kind/sock.h"

#define N (_LINUX_CAPABILITY_U32S_3)

static int get(struct __user_cap_data_struct data[N])
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };

	return syscall(SYS_capget, &head, data) < 0 ? -errno : 0;
}

static int set(const struct __user_cap_data_struct data[N])
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int sock_limit(const struct restore *r, struct sock_limit *ret, struct ct_error *err)
{
	struct __user_cap_data_struct data[N];
	int e = get(data);

	for (int i = 0; e == 0 && i < N; i++) {
		ret->effective[i] = data[i].effective;
		data[i].effective &= (uint32_t)(r->pod->config.capabilities >> (32 * i));
	}
	if (e == 0)
		e = set(data);
	if (e < 0)
		return error_errno(err, e, "give up capabilities for a moment");
	ret->limited = true;
	return 0;
}

void sock_limit_end(struct sock_limit *l)
{
	struct __user_cap_data_struct data[N];

	if (!l->limited || get(data) < 0)
		return;
	for (int i = 0; i < N; i++)
		data[i].effective = l->effective[i];
	/* Nothing was taken out of the permitted set, so this cannot fail; and if it did, less would follow. */
	if (set(data) == 0)
		l->limited = false;
}
