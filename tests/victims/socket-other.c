/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of other families and protocols are refused by name. */
/* run: --cap-add net_raw */
/* refused: pid 2 (socket-other) fd 3: a socket of packet is not carried; close it before the checkpoint */
/* refused: pid 2 (socket-other) fd 4: a socket of MPTCP is not carried; close it before the checkpoint */
#include "victim.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	int fd = CHECK_SYS(socket(AF_PACKET, SOCK_RAW, 0));

	CHECK_SYS(socket(AF_INET, SOCK_STREAM, 262));
	victim_ready();
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	victim_pass();
}
