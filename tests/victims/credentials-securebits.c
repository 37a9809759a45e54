// SPDX-License-Identifier: Apache-2.0
/* Securebits, locked ones among them. */
#include "tests/victims/victim.h"

#include <linux/securebits.h>
#include <sys/prctl.h>

#define BITS (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS_LOCKED)

int main(void)
{
	CHECK_SYS(prctl(PR_SET_SECUREBITS, BITS));
	CHECK_SYS(setresuid(0, 33, 0)); /* and keeps its capabilities */
	victim_ready();
	CHECK_EQ(prctl(PR_GET_SECUREBITS), BITS);
	CHECK_EQ(geteuid(), 33);
	CHECK_ERRNO(prctl(PR_SET_SECUREBITS, 0), EPERM);
	CHECK_SYS(chown("/run/victim.ready", 5, 5)); /* CAP_CHOWN is effective */
	victim_pass();
}
