/* SPDX-License-Identifier: Apache-2.0 */
/* A bound socket's file with two names is refused. */
/* refused: pid 2 (unix-hard-link) fd 3: its file '/run/victim.one' has a second name (a hard link), which is not carried; remove one of them first */
#include "victim.h"

#include <sys/socket.h>
#include <sys/un.h>

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/victim.one" };
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));

	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(link("/run/victim.one", "/run/victim.two"));
	victim_ready();
	CHECK_EQ(access("/run/victim.two", F_OK), 0);
	victim_pass();
}
