// SPDX-License-Identifier: Apache-2.0
/* What nobody could read back, and a restored pod would lack, is not there in the first place; but for that, options are set. */
#include "tests/victims/victim.h"

#include <linux/filter.h>
#include <sys/socket.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif

static void check(void)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { 1, &code };
	int s = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0)), on = 1;

	CHECK_ERRNO(syscall(SYS_landlock_create_ruleset, NULL, 0, 1), ENOSYS);
	CHECK_SYS(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
	CHECK_ERRNO(setsockopt(s, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)), ENOPROTOOPT);
	CHECK_ERRNO(setsockopt(s, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &on, sizeof(on)), ENOPROTOOPT);
	CHECK_SYS(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
	CHECK_SYS(close(s));
}

int main(void)
{
	check();
	victim_ready();
	check();
	victim_pass();
}
