/* SPDX-License-Identifier: Apache-2.0 */
/* Several senders to one receiver, in the order of sending, with their addresses; one of them is gone. */
#include "victim.h"

#include <sys/socket.h>
#include <sys/un.h>

static const char *const names[] = { "/run/victim.a", "\0b", "", "/run/victim.gone" };

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/victim.receiver" };
	int receiver = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0)), sender[4];
	char text[16];

	CHECK_SYS(bind(receiver, (struct sockaddr *)&a, sizeof(a)));
	for (int i = 0; i < 4; i++) {
		struct sockaddr_un own = { .sun_family = AF_UNIX };

		sender[i] = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
		if (i == 1)
			memcpy(own.sun_path, "\0b", 2);
		else
			strcpy(own.sun_path, names[i]);
		if (i != 2)
			CHECK_SYS(bind(sender[i], (struct sockaddr *)&own,
				       i == 1 ? sizeof(sa_family_t) + 2 : sizeof(own)));
	}
	for (int k = 0; k < 2; k++)
		for (int i = 0; i < 4; i++) {
			snprintf(text, sizeof(text), "%d from %d", k, i);
			CHECK_SYS(sendto(sender[i], text, strlen(text), 0, (struct sockaddr *)&a, sizeof(a)));
		}
	CHECK_SYS(close(sender[3]));
	CHECK_SYS(unlink(names[3]));
	victim_ready();
	for (int k = 0; k < 2; k++)
		for (int i = 0; i < 4; i++) {
			struct sockaddr_un from = { 0 };
			socklen_t len = sizeof(from);
			char want[16];

			snprintf(want, sizeof(want), "%d from %d", k, i);
			CHECK_EQ(recvfrom(receiver, text, sizeof(text), 0, (struct sockaddr *)&from, &len),
				 (ssize_t)strlen(want));
			CHECK_MEM(text, want, strlen(want));
			if (i == 1) {
				CHECK_EQ(len, sizeof(sa_family_t) + 2);
				CHECK_EQ(from.sun_path[1], 'b');
			} else if (i == 2) {
				CHECK_EQ(len, 0);
			} else {
				CHECK_STR(from.sun_path, names[i]);
			}
		}
	CHECK_EQ(access(names[3], F_OK), -1);
	victim_pass();
}
