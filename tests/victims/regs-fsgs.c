/* SPDX-License-Identifier: Apache-2.0 */
/* build: -O2 */
/* FS and GS base of threads, set by arch_prctl(2); flags and general registers of one that computes. */
#include <asm/prctl.h>
#include <pthread.h>

#include "tests/victims/victim.h"

#define THREADS 3

__attribute__((used)) static _Atomic bool over;
static _Atomic int up;
static __thread long local;
static uint64_t room[THREADS][4];
__attribute__((used)) static volatile uint64_t result[16];

static void *work(void *arg)
{
	uint64_t *mine = arg, base, value;

	local = (long)(mine - room[0]) + 1000;
	mine[2] = (uint64_t)local * 3;
	CHECK_SYS(syscall(SYS_arch_prctl, ARCH_SET_GS, mine));
	up++;
	victim_wait();
	CHECK_SYS(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	CHECK_EQ(base, (uint64_t)mine);
	__asm__ volatile("mov %%gs:16, %0" : "=r"(value));
	CHECK_EQ(value, mine[2]);
	CHECK_EQ(local, (mine - room[0]) + 1000);
	return NULL;
}

/* Every general register but rsp holds a value of its own; so do the flags CF, DF and AC. */
static void *compute(void *arg)
{
	up++;
	__asm__ volatile(
		"push %%rbp\n\t"
		"mov $0x101, %%rax\n\t mov $0x202, %%rbx\n\t mov $0x303, %%rcx\n\t mov $0x404, %%rdx\n\t"
		"mov $0x505, %%rsi\n\t mov $0x606, %%rdi\n\t mov $0x707, %%rbp\n\t mov $0x808, %%r8\n\t"
		"mov $0x909, %%r9\n\t mov $0xa0a, %%r10\n\t mov $0xb0b, %%r11\n\t mov $0xc0c, %%r12\n\t"
		"mov $0xd0d, %%r13\n\t mov $0xe0e, %%r14\n\t mov $0xf0f, %%r15\n\t"
		"std\n\t"
		"1: pause\n\t cmpb $0, over(%%rip)\n\t je 1b\n\t"
		"mov %%rax, result(%%rip)\n\t mov %%rbx, result+8(%%rip)\n\t mov %%rcx, result+16(%%rip)\n\t"
		"mov %%rdx, result+24(%%rip)\n\t mov %%rsi, result+32(%%rip)\n\t mov %%rdi, result+40(%%rip)\n\t"
		"mov %%rbp, result+48(%%rip)\n\t mov %%r8, result+56(%%rip)\n\t mov %%r9, result+64(%%rip)\n\t"
		"mov %%r10, result+72(%%rip)\n\t mov %%r11, result+80(%%rip)\n\t mov %%r12, result+88(%%rip)\n\t"
		"mov %%r13, result+96(%%rip)\n\t mov %%r14, result+104(%%rip)\n\t mov %%r15, result+112(%%rip)\n\t"
		"pushf\n\t pop %%rax\n\t mov %%rax, result+120(%%rip)\n\t cld\n\t pop %%rbp\n\t"
		: : : "memory", "cc", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
		      "r13", "r14", "r15");
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS + 1];

	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work, room[i]), 0);
	CHECK_EQ(pthread_create(&threads[THREADS], NULL, compute, NULL), 0);
	VICTIM_UNTIL(up == THREADS + 1);
	victim_ready();
	over = true;
	for (int i = 0; i <= THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	for (uint64_t i = 0; i < 15; i++)
		CHECK_EQ(result[i], (i + 1) << 8 | (i + 1));
	CHECK_EQ(result[15] >> 10 & 1, 1);
	victim_pass();
}
