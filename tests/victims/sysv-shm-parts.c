// SPDX-License-Identifier: Apache-2.0
/* An attachment of which parts were protected or unmapped is still one: shmdt(2) takes all of it. */
#include "tests/victims/victim.h"

#include <sys/shm.h>

#define PAGE 4096

static bool mapped(const char *at)
{
	unsigned char v;

	return mincore((void *)at, PAGE, &v) == 0;
}

int main(void)
{
	int whole_id = CHECK_SYS(shmget(IPC_PRIVATE, 8 * PAGE, 0600));
	int holed_id = CHECK_SYS(shmget(IPC_PRIVATE, 8 * PAGE, 0600));
	char *whole = CHECK_SYS((char *)shmat(whole_id, NULL, 0));
	char *holed = CHECK_SYS((char *)shmat(holed_id, NULL, 0)), *other;
	struct shmid_ds ds;

	for (int i = 0; i < 8; i++)
		whole[i * PAGE] = holed[i * PAGE] = (char)('0' + i);
	CHECK_SYS(mprotect(whole + 2 * PAGE, 2 * PAGE, PROT_READ));
	CHECK_SYS(mprotect(whole + 6 * PAGE, PAGE, PROT_NONE));
	CHECK_SYS(munmap(holed, PAGE));
	CHECK_SYS(munmap(holed + 3 * PAGE, 2 * PAGE));
	CHECK_SYS(mprotect(holed + 6 * PAGE, PAGE, PROT_READ));
	other = mmap(holed + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(other == holed + 3 * PAGE);
	strcpy(other, "not shared");
	victim_ready();
	for (int i = 0; i < 8; i++) {
		if (i != 6)
			CHECK_EQ(whole[i * PAGE], '0' + i);
		if (i != 0 && i != 3 && i != 4)
			CHECK_EQ(holed[i * PAGE], '0' + i);
	}
	CHECK(!mapped(holed) && !mapped(holed + 4 * PAGE));
	CHECK_SYS(mprotect(whole + 6 * PAGE, PAGE, PROT_READ));
	CHECK_EQ(whole[6 * PAGE], '6');
	CHECK_SYS(shmdt(whole));
	for (int i = 0; i < 8; i++)
		CHECK(!mapped(whole + i * PAGE));
	CHECK_SYS(shmdt(holed));
	CHECK(!mapped(holed + 2 * PAGE) && !mapped(holed + 7 * PAGE));
	CHECK_STR(other, "not shared");
	CHECK_SYS(shmctl(holed_id, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_nattch, 0u);
	victim_pass();
}
