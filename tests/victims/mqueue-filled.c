// SPDX-License-Identifier: Apache-2.0
/* Messages of a POSIX queue can only be taken out, so they are refused. */
/* needs: grep -qw mqueue /proc/filesystems */
/* refused: the message queue '/filled' has 1 messages, which are not carried; receive them first */
#include "tests/victims/victim.h"

#include <mqueue.h>

int main(void)
{
	mqd_t queue = CHECK_SYS(mq_open("/filled", O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
	struct mq_attr attr;

	CHECK_SYS(mq_send(queue, "text", 4, 1));
	victim_ready();
	CHECK_SYS(mq_getattr(queue, &attr));
	CHECK_EQ(attr.mq_curmsgs, 1);
	victim_pass();
}
