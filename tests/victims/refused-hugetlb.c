/* SPDX-License-Identifier: Apache-2.0 */
/* Huge pages of a pool are refused: also where none is in use yet. */
/* refused: pid 2 (refused-hugetlb): memory (/anon_hugepage (deleted)): huge pages of a pool (MAP_HUGETLB) are not carried yet; use transparent ones (madvise MADV_HUGEPAGE) instead */
#include "tests/victims/mem.h"

int main(void)
{
	CHECK_MAP(mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0));
	victim_ready();
	victim_pass();
}
