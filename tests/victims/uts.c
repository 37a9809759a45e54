// SPDX-License-Identifier: Apache-2.0
/* The pod's host and domain name. */
/* run: --hostname first.example */
/* run: --cap-add sys_admin */
#include "tests/victims/victim.h"

#include <sys/utsname.h>

int main(void)
{
	struct utsname u;

	CHECK_SYS(uname(&u));
	CHECK_STR(u.nodename, "first.example");
	CHECK_SYS(sethostname("second", 6));
	CHECK_SYS(setdomainname("the.domain", 10));
	victim_ready();
	CHECK_SYS(uname(&u));
	CHECK_STR(u.nodename, "second");
	CHECK_STR(u.domainname, "the.domain");
	victim_pass();
}
