/* SPDX-License-Identifier: Apache-2.0 */
/* build: -ldl */
/* The vdso: at its address, called through pointers that were taken before. */
#include "tests/victims/mem.h"

#include <dlfcn.h>
#include <elf.h>
#include <sys/auxv.h>

static void *handle;

static void *symbol(const char *name)
{
	void *p = dlvsym(handle, name, "LINUX_2.6");

	CHECK(p);
	return p;
}

int main(void)
{
	int (*gettime)(clockid_t, struct timespec *);
	int (*getcpu_)(unsigned int *, unsigned int *, void *);
	time_t (*time_)(time_t *);
	struct timespec before, now, real;
	struct area vdso, vvar;
	unsigned int cpu = ~0U;
	char *base = (char *)getauxval(AT_SYSINFO_EHDR);

	handle = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
	CHECK(handle && base);
	gettime = symbol("__vdso_clock_gettime");
	getcpu_ = symbol("__vdso_getcpu");
	time_ = symbol("__vdso_time");
	CHECK_EQ(gettime(CLOCK_MONOTONIC, &before), 0);
	vdso = find_area(base);
	vvar = find_area(base - 1);
	CHECK_STR(vdso.name, "[vdso]");
	victim_ready();

	CHECK_MEM(base, ELFMAG, SELFMAG);
	CHECK_EQ(find_area(base).start, vdso.start);
	CHECK_STR(find_area(base).name, "[vdso]");
	CHECK_STR(find_area(base - 1).name, vvar.name);
	CHECK_EQ(find_area(base - 1).start, vvar.start);
	CHECK_EQ(gettime(CLOCK_MONOTONIC, &now), 0);
	CHECK(now.tv_sec >= before.tv_sec && now.tv_sec < before.tv_sec + 600);
	/* The same clock by the system call: less than two seconds apart. */
	CHECK_SYS(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &real));
	CHECK((real.tv_sec - now.tv_sec) * 1000 + (real.tv_nsec - now.tv_nsec) / 1000000 < 2000);
	CHECK_SYS(syscall(SYS_clock_gettime, CLOCK_REALTIME, &real));
	CHECK(real.tv_sec - time_(NULL) < 2);
	CHECK_EQ(getcpu_(&cpu, NULL, NULL), 0);
	CHECK(cpu < 100000);
	victim_pass();
}
