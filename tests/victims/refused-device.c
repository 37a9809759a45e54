/* SPDX-License-Identifier: Apache-2.0 */
/* A device with a state of its own, which a volume has brought into the pod. */
/* needs: : < /dev/fuse */
/* run: -v */
/* run: /dev/fuse:/dev/fuse */
/* refused: pid 2 (refused-device) fd 3: /dev/fuse is not carried yet; close it before the checkpoint */
#include "tests/victims/victim.h"

int main(void)
{
	char byte;

	CHECK_EQ(CHECK_SYS(open("/dev/fuse", O_RDWR)), 3);
	victim_ready();
	CHECK_ERRNO(read(3, &byte, 1), EPERM); /* it serves no mount yet */
	victim_pass();
}
