// SPDX-License-Identifier: Apache-2.0
/* What comes with the signal of mq_notify(3) cannot be seen, so it is refused. */
/* needs: grep -qw mqueue /proc/filesystems */
/* refused: a process waits to be notified of messages in '/notify' (mq_notify), which is not carried; end that first */
#include "tests/victims/victim.h"

#include <mqueue.h>

static volatile sig_atomic_t noticed;

static void notice(int sig, siginfo_t *info, void *context)
{
	noticed = info->si_value.sival_int;
}

int main(void)
{
	mqd_t queue = CHECK_SYS(mq_open("/notify", O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
	struct sigaction action = { .sa_sigaction = notice, .sa_flags = SA_SIGINFO };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1,
				  .sigev_value.sival_int = 77 };

	CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
	CHECK_SYS(mq_notify(queue, &event));
	victim_ready();
	CHECK_SYS(mq_send(queue, "text", 4, 1));
	CHECK_EQ(noticed, 77);
	CHECK_SYS(mq_unlink("/notify"));
	victim_pass();
}
