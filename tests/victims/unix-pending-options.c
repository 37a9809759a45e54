/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a connection passes credentials is settled when it is made, on these kernels; the listening socket says otherwise by now. */
/* needs: uname -r | awk -F. '$1 > 6 || $1 == 6 && $2 >= 16 { ok = 1 } END { exit !ok }' */
/* refused: pid 2 (unix-pending-op) fd 3: a connection waits to be accepted that was made before an option of the listening socket was changed (SO_PASSCRED or its like), which is not carried; accept it first */
#include "unix-pending.h"

int main(void)
{
	struct sockaddr_un a;
	socklen_t len;
	int listening = pending_listen(SOCK_STREAM, "\0options", 8, 1, &a, &len), on = 1, s;
	socklen_t on_len = sizeof(on);
	char text[8];

	CHECK_EQ(send(pending_connect(SOCK_STREAM, NULL, &a, len), "hello", 5, 0), 5);
	CHECK_SYS(setsockopt(listening, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	victim_ready();
	s = CHECK_SYS(accept(listening, NULL, NULL));
	CHECK_SYS(getsockopt(s, SOL_SOCKET, SO_PASSCRED, &on, &on_len));
	CHECK_EQ(on, 0);
	CHECK_EQ(read(s, text, sizeof(text)), 5);
	victim_pass();
}
