// SPDX-License-Identifier: Apache-2.0
/* A restartable sequence that is always running when the pod is stopped: it must be aborted, never merely go on. */
#include "tests/victims/victim.h"

#include <sys/rseq.h>

static volatile int aborted, stop;

static struct rseq *area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/* Spins within the sequence until `stop` or an abort; returns 1 for an abort. */
static int spin(void)
{
	__asm__ goto(
		".pushsection __rseq_cs, \"aw\"\n"
		".balign 32\n"
		"3:\n"
		".long 0, 0\n"
		".quad 1f, 2f - 1f, 4f\n"
		".popsection\n"
		"leaq 3b(%%rip), %%rax\n"
		"movq %%rax, %0\n"
		"1:\n"
		"cmpl $0, %1\n"
		"je 1b\n"
		"2:\n"
		".pushsection .text.abort, \"ax\"\n"
		".byte 0x0f, 0xb9, 0x3d\n"
		".long 0x53053053\n" /* RSEQ_SIG, in front of the abort handler */
		"4:\n"
		"jmp %l[abort]\n"
		".popsection\n"
		: /* none */
		: "m"(area()->rseq_cs), "m"(stop)
		: "rax", "memory", "cc"
		: abort);
	return 0;
abort:
	return 1;
}

static void child(void *arg)
{
	int *count = arg;

	while (access("/run/victim.go", F_OK) < 0) {
		if (spin())
			count[1]++;
		count[0]++;
	}
	CHECK_EQ(count[0], count[1]); /* nobody set `stop`: every end was an abort */
}

int main(void)
{
	int *count = CHECK_SYS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid_t pid = victim_fork(child, count);

	VICTIM_UNTIL(count[1] > 0 || count[0] == 0);
	victim_ready();
	victim_join(pid);
	CHECK(count[1] > 0);
	victim_pass();
}
