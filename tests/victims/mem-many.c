/* SPDX-License-Identifier: Apache-2.0 */
/* 30,000 areas. */
#include "tests/victims/mem.h"

#define AREAS 30000UL

int main(void)
{
	char *at = map_anonymous(2 * AREAS * PAGE, PROT_READ | PROT_WRITE);

	for (unsigned long i = 0; i < AREAS; i++) {
		at[2 * i * PAGE] = (char)(i % 100 + 1);
		CHECK_SYS(mprotect(at + 2 * i * PAGE, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_EXEC));
	}
	victim_ready();
	for (unsigned long i = 0; i < AREAS; i++)
		CHECK_EQ(at[2 * i * PAGE], i % 100 + 1);
	CHECK_EQ(fault(at + PAGE, true), 0);
	CHECK_EQ(fault(at, true), SIGSEGV);
	CHECK_EQ(fault(at + 2 * (AREAS - 1) * PAGE, true), SIGSEGV);
	victim_pass();
}
