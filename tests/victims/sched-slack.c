// SPDX-License-Identifier: Apache-2.0
/* Timer slack. */
#include "tests/victims/victim.h"

#include <sys/prctl.h>

int main(void)
{
	CHECK_SYS(prctl(PR_SET_TIMERSLACK, 1234567UL));
	victim_ready();
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 1234567);
	victim_pass();
}
