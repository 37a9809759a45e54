/* SPDX-License-Identifier: Apache-2.0 */
/* A memfd of huge pages. */
/* refused: pid 2 (file-hugetlb) fd 3: '/memfd:huge' consists of huge pages of a pool, which is not carried yet */
#include "tests/victims/victim.h"

int main(void)
{
	int fd = CHECK_SYS(memfd_create("huge", MFD_HUGETLB));
	struct stat st;

	CHECK_EQ(fd, 3);
	victim_ready();
	CHECK_SYS(fstat(fd, &st));
	CHECK_EQ(st.st_size, 0);
	victim_pass();
}
