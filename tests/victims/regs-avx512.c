/* SPDX-License-Identifier: Apache-2.0 */
/* build: -O2 */
/* needs: grep -qw avx512bw /proc/cpuinfo */
/* AVX-512: thirty-two registers of 64 bytes and the eight masks, of threads that compute. */
#include <pthread.h>

#include "tests/victims/victim.h"

#define THREADS 3

static _Atomic bool over;
static _Atomic int up;

static struct image {
	uint8_t zmm[32][64];
	uint64_t mask[8]; /* at 2048 */
} before[THREADS], after[THREADS];

#define LOAD(i) "vmovdqu64 " #i "*64(%[in]), %%zmm" #i "\n\t"
#define STORE(i) "vmovdqu64 %%zmm" #i ", " #i "*64(%[out])\n\t"
#define LOAD_MASK(i) "kmovq 2048+" #i "*8(%[in]), %%k" #i "\n\t"
#define STORE_MASK(i) "kmovq %%k" #i ", 2048+" #i "*8(%[out])\n\t"
#define EIGHT(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7)
#define ALL(x)                                                                                     \
	EIGHT(x) x(8) x(9) x(10) x(11) x(12) x(13) x(14) x(15) x(16) x(17) x(18) x(19) x(20)       \
		x(21) x(22) x(23) x(24) x(25) x(26) x(27) x(28) x(29) x(30) x(31)

static __attribute__((target("avx512f,avx512bw"))) void *spin(void *arg)
{
	int who = (int)(intptr_t)arg;

	uint8_t *bytes = (uint8_t *)&before[who];

	for (size_t i = 0; i < sizeof(before[who]); i++)
		bytes[i] = (uint8_t)(i * 11 + i / 64 + (size_t)who * 37 + 1);
	up++;
	__asm__ volatile(ALL(LOAD) EIGHT(LOAD_MASK) "1: pause\n\t cmpb $0, %[over]\n\t je 1b\n\t"
			 ALL(STORE) EIGHT(STORE_MASK) "vzeroall\n\t"
			 : : [in] "r"(&before[who]), [out] "r"(&after[who]), [over] "m"(over)
			 : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
			   "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
			   "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1",
			   "k2", "k3", "k4", "k5", "k6", "k7");
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, spin, (void *)(intptr_t)i), 0);
	VICTIM_UNTIL(up == THREADS);
	victim_ready();
	over = true;
	for (int i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
		CHECK_MEM(after[i].zmm, before[i].zmm, sizeof(before[i].zmm));
		CHECK_MEM(after[i].mask, before[i].mask, sizeof(before[i].mask));
	}
	victim_pass();
}
