/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of a packet socket is refused where it is mapped, the socket being closed. */
/* run: --cap-add NET_RAW */
/* refused: pid 2 (refused-packet-): memory (socket): the ring of a packet socket is not carried; unmap it first */
#include "tests/victims/mem.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

int main(void)
{
	struct tpacket_req ring = { PAGE, 4, 2048, 8 };
	int fd = CHECK_SYS(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));

	CHECK_SYS(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)));
	CHECK_MAP(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK_SYS(close(fd));
	victim_ready();
	victim_pass();
}
