/* SPDX-License-Identifier: Apache-2.0 */
/* Three hundred children of one process. */
#include "victim.h"

#define WIDTH 300

int main(void)
{
	pid_t children[WIDTH], parent = getpid();
	unsigned char *seen;

	seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(seen != MAP_FAILED);
	for (int i = 0; i < WIDTH; i++) {
		children[i] = CHECK_SYS(fork());
		if (children[i])
			continue;
		seen[i]++;
		victim_wait();
		CHECK_EQ(getppid(), parent);
		seen[i]++;
		_exit(i & 0x7f);
	}
	for (int i = 0; i < WIDTH; i++)
		VICTIM_UNTIL(__atomic_load_n(&seen[i], __ATOMIC_SEQ_CST) == 1);
	victim_ready();
	for (int i = 0; i < WIDTH; i++) {
		int status;

		CHECK_EQ(waitpid(children[i], &status, 0), children[i]);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), i & 0x7f);
		CHECK_EQ(seen[i], 2);
	}
	CHECK_ERRNO(wait(NULL), ECHILD);
	victim_pass();
}
