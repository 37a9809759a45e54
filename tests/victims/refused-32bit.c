/* SPDX-License-Identifier: Apache-2.0 */
/* build: -m32 -nostdlib -static -no-pie -ffreestanding -fno-stack-protector -O2 */
/* A 32-bit program is refused before it is stopped. */
/* refused: pid 2 (refused-32bit): it is a 32-bit program, which is not carried; use a 64-bit build of it */

static long call(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return ret;
}

void _start(void);
void _start(void)
{
	static const long tick[2] = { 0, 10000000 };
	long fd = call(5, (long)"/run/victim.ready", 0101, 0644);

	call(6, fd, 0, 0);
	while (call(33, (long)"/run/victim.go", 0, 0) < 0)
		call(162, (long)tick, 0, 0);
	call(252, fd < 0, 0, 0);
}
