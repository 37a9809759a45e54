/* SPDX-License-Identifier: Apache-2.0 */
/* build: -O2 */
/* needs: grep -qw avx /proc/cpuinfo */
/* x87, SSE and AVX registers with their control words: of threads that compute and of one inside a system call. */
#include <pthread.h>
#include <stddef.h>

#include "tests/victims/victim.h"

#define THREADS 4

static _Atomic bool over;
static _Atomic int up;

static struct image {
	uint8_t ymm[16][32];
	uint8_t x87[6][16]; /* at 512 */
	uint32_t mxcsr;	    /* at 608 */
	uint16_t control;   /* at 612 */
} before[THREADS + 1], after[THREADS + 1];

#define LOAD(i) "vmovdqu " #i "*32(%[in]), %%ymm" #i "\n\t"
#define STORE(i) "vmovdqu %%ymm" #i ", " #i "*32(%[out])\n\t"
#define ALL(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14) x(15)
#define IN                                                                                         \
	ALL(LOAD)                                                                                  \
	"fninit\n\t"                                                                               \
	"fldt 512(%[in])\n\t fldt 528(%[in])\n\t fldt 544(%[in])\n\t"                             \
	"fldt 560(%[in])\n\t fldt 576(%[in])\n\t fldt 592(%[in])\n\t"                             \
	"ldmxcsr 608(%[in])\n\t fldcw 612(%[in])\n\t"
#define OUT                                                                                        \
	ALL(STORE)                                                                                 \
	"fnstcw 612(%[out])\n\t stmxcsr 608(%[out])\n\t"                                          \
	"fstpt 592(%[out])\n\t fstpt 576(%[out])\n\t fstpt 560(%[out])\n\t"                       \
	"fstpt 544(%[out])\n\t fstpt 528(%[out])\n\t fstpt 512(%[out])\n\t"                       \
	"fninit\n\t ldmxcsr %[normal]\n\t vzeroall\n\t"
#define CLOBBERS                                                                                   \
	"memory", "cc", "rcx", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",      \
		"xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",     \
		"st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"

static const uint32_t normal = 0x1f80;

static void fill(int who)
{
	struct image *im = &before[who];
	uint8_t *bytes = (uint8_t *)im;

	for (size_t i = 0; i < sizeof(im->ymm); i++)
		bytes[i] = (uint8_t)(i * 7 + (size_t)who * 31 + 1);
	for (int i = 0; i < 6; i++) {
		long double v = (long double)(who + 1) / (i + 3);

		memcpy(im->x87[i], &v, 10);
	}
	im->mxcsr = normal | (uint32_t)who % 4 << 13; /* the rounding */
	im->control = (uint16_t)(0x37f | who % 4 << 10);
}

static void check(int who)
{
	CHECK_MEM(after[who].ymm, before[who].ymm, sizeof(before[who].ymm));
	CHECK_MEM(after[who].x87, before[who].x87, sizeof(before[who].x87));
	CHECK_EQ(after[who].mxcsr, before[who].mxcsr);
	CHECK_EQ(after[who].control, before[who].control);
}

static void *spin(void *arg)
{
	int who = (int)(intptr_t)arg;

	fill(who);
	up++;
	__asm__ volatile(IN "1: pause\n\t cmpb $0, %[over]\n\t je 1b\n\t" OUT
			 : : [in] "r"(&before[who]), [out] "r"(&after[who]), [over] "m"(over),
			     [normal] "m"(normal) : CLOBBERS);
	return NULL;
}

/* nanosleep(2) again and again: the call keeps every such register. */
static void *wait_inside(void *arg)
{
	static struct timespec tick = { .tv_nsec = 200000000 };
	long nr = SYS_nanosleep;

	fill(THREADS);
	up++;
	__asm__ volatile(IN "1: mov %[nr], %%rax\n\t xor %%esi, %%esi\n\t lea %[tick], %%rdi\n\t"
			 "syscall\n\t cmpb $0, %[over]\n\t je 1b\n\t" OUT
			 : : [in] "r"(&before[THREADS]), [out] "r"(&after[THREADS]), [over] "m"(over),
			     [normal] "m"(normal), [nr] "r"(nr), [tick] "m"(tick)
			 : CLOBBERS, "rax", "rdi", "rsi");
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS + 1];

	CHECK_EQ(offsetof(struct image, mxcsr), 608);
	for (int i = 0; i <= THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, i < THREADS ? spin : wait_inside,
					(void *)(intptr_t)i), 0);
	VICTIM_UNTIL(up == THREADS + 1);
	victim_ready();
	over = true;
	for (int i = 0; i <= THREADS; i++) {
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
		check(i);
	}
	victim_pass();
}
