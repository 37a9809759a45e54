// SPDX-License-Identifier: Apache-2.0
/* Capability sets: permitted, effective, inheritable, bounding, ambient, of an ordinary user who kept some. */
#include "tests/victims/victim.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#define BIT(cap) (1U << (cap))

static struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };

static void child(void *arg)
{
	struct __user_cap_data_struct data[2] = { { 0 } };

	(void)arg;
	CHECK_SYS(prctl(PR_CAPBSET_DROP, CAP_NET_RAW));
	CHECK_SYS(prctl(PR_SET_KEEPCAPS, 1));
	CHECK_SYS(setresuid(1000, 1000, 1000));
	data[0].permitted = BIT(CAP_CHOWN) | BIT(CAP_KILL) | BIT(CAP_FOWNER);
	data[0].effective = BIT(CAP_KILL);
	data[0].inheritable = BIT(CAP_CHOWN) | BIT(CAP_FOWNER);
	CHECK_SYS(syscall(SYS_capset, &header, data));
	CHECK_SYS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
	victim_wait();
	memset(data, 0xff, sizeof(data));
	CHECK_SYS(syscall(SYS_capget, &header, data));
	CHECK_EQ(data[0].permitted, BIT(CAP_CHOWN) | BIT(CAP_KILL) | BIT(CAP_FOWNER));
	CHECK_EQ(data[0].effective, BIT(CAP_KILL));
	CHECK_EQ(data[0].inheritable, BIT(CAP_CHOWN) | BIT(CAP_FOWNER));
	CHECK_EQ(data[1].permitted, 0);
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_NET_RAW), 0);
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 1);
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 1);
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_FOWNER, 0, 0), 0);
	CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
	CHECK_ERRNO(syscall(SYS_setgroups, 0, NULL), EPERM);
}

int main(void)
{
	struct __user_cap_data_struct before[2], now[2];
	pid_t pid = victim_fork(child, NULL);

	CHECK_SYS(syscall(SYS_capget, &header, before));
	victim_ready();
	CHECK_SYS(syscall(SYS_capget, &header, now));
	CHECK_MEM(now, before, sizeof(now));
	victim_join(pid);
	victim_pass();
}
