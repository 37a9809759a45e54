/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/host.h"

#include <cpuid.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
#include <xxhash.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/findings.h"
#include "libct/task/proc.h"

/*
 * The features that compilers and libraries choose code by (names of /proc/cpuinfo). Others, such
 * as monitoring and mitigations, do not make a program fail.
 */
static const char *const features[] = {
	"adx", "aes", "amx_bf16", "amx_int8", "amx_tile", "avx", "avx2", "avx512_bf16",
	"avx512_bitalg", "avx512_fp16", "avx512_vbmi2", "avx512_vnni", "avx512_vpopcntdq",
	"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512ifma", "avx512vbmi", "avx512vl",
	"avx_vnni", "bmi1", "bmi2", "cx16", "erms", "f16c", "fma", "fsgsbase", "fsrm", "gfni",
	"lahf_lm", "abm", "movbe", "pclmulqdq", "pku", "ospke", "popcnt", "rdpid", "rdrand",
	"rdseed", "rdtscp", "rtm", "sha_ni", "sse4_1", "sse4_2", "ssse3", "vaes", "vpclmulqdq",
	"xsave", "xsavec", "xsaveopt", "xsaves", "constant_tsc", "nonstop_tsc",
};

/* The word in the line "flags : ..." of /proc/cpuinfo. */
static bool has_word(const char *line, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = line; n && (at = strstr(at, word)); at += n)
		if (at[-1] == ' ' && (at[n] == ' ' || at[n] == '\n' || !at[n]))
			return true;
	return false;
}

static int cpu_flags(char **ret, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	ssize_t n = io_read_file(AT_FDCWD, "/proc/cpuinfo", 64 << 20, &text);
	char *at, *end;

	if (n < 0)
		return error_errno(err, (int)n, "read '/proc/cpuinfo'");
	at = strstr(text, "\nflags");
	end = at ? strchr(at + 1, '\n') : NULL;
	if (!end)
		return error_set(err, -ENOSYS, "no CPU flags in '/proc/cpuinfo'");
	*end = '\0';
	*ret = strdup(at + 1);
	return *ret ? 0 : error_errno(err, -ENOMEM, "CPU flags");
}

/* Size of the extended state in the form that ptrace and signal frames use: CPUID leaf 0xd. */
static void xstate(uint64_t *ret_features, uint64_t *ret_size)
{
	unsigned int a = 0, b = 0, c = 0, d = 0;

	__cpuid_count(0xd, 0, a, b, c, d);
	*ret_features = (uint64_t)d << 32 | a;
	*ret_size = b;
}

/* The vdso is code that the program's memory image calls into, and it comes from the kernel. */
static int vdso_digest(uint64_t *ret, struct ct_error *err)
{
	__cleanup(vma_list_release) struct vma_list areas = { 0 };
	cleanup_fd int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = proc < 0 ? -errno : proc_areas(proc, getpid(), &areas);

	if (r < 0)
		return error_errno(err, r, "read our own areas");
	for (size_t i = 0; i < areas.n; i++)
		if (!strcmp(areas.v[i].name, "[vdso]")) {
			*ret = XXH3_64bits((void *)areas.v[i].start, areas.v[i].end - areas.v[i].start);
			return 0;
		}
	return error_set(err, -ENOSYS, "this kernel gives programs no vdso");
}

int host_put(struct node *to, struct ct_error *err)
{
	struct node *host = node_put_object(to, "host"), *cpu;
	cleanup_free char *flags = NULL;
	uint64_t vdso, xfeatures, size;
	struct utsname u;
	int r = cpu_flags(&flags, err);

	if (r == 0)
		r = vdso_digest(&vdso, err);
	if (r < 0)
		return r;
	uname(&u);
	xstate(&xfeatures, &size);
	node_put_str(host, "kernel", u.release);
	node_put_str(host, "machine", u.machine);
	node_put_u64(host, "page_size", (uint64_t)sysconf(_SC_PAGESIZE));
	node_put_hex(host, "vdso", vdso);
	node_put_hex(host, "xfeatures", xfeatures);
	node_put_u64(host, "xstate_size", size);
	cpu = node_put_array(host, "cpu");
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (has_word(flags, features[i]))
			node_put_str(cpu, NULL, features[i]);
	return 0;
}

static void __attribute__((format(printf, 2, 3))) lacks(char **list, const char *format, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	finding_add(list, line);
}

static int cpu_check(const struct node *cpu, char **list, struct ct_error *err)
{
	cleanup_free char *flags = NULL;
	int r = cpu_flags(&flags, err);

	for (size_t i = 0; r == 0 && i < node_count(cpu); i++)
		if (!has_word(flags, node_at_str(cpu, i)))
			lacks(list, "this host's CPU lacks '%s', which the pod's programs may use",
			      node_at_str(cpu, i));
	return r;
}

int host_check(struct doc *doc, const struct node *image, struct ct_error *err)
{
	const struct node *host = node_object(image, "host");
	const char *kernel = node_str(host, "kernel"), *machine = node_str(host, "machine");
	uint64_t vdso = node_hex(host, "vdso"), wanted = node_hex(host, "xfeatures");
	uint64_t page = node_u64(host, "page_size", 1 << 20);
	uint64_t wanted_size = node_u64(host, "xstate_size", 1 << 20);
	const struct node *cpu = node_array(host, "cpu");
	cleanup_free char *list = NULL;
	uint64_t ours, xfeatures, size;
	struct utsname u;
	int r;

	for (size_t i = 0; i < node_count(cpu); i++)
		node_at_str(cpu, i);
	r = doc_check(doc, err);
	if (r == 0)
		r = cpu_check(cpu, &list, err);
	if (r == 0)
		r = vdso_digest(&ours, err);
	if (r < 0)
		return r;
	uname(&u);
	xstate(&xfeatures, &size);
	if (strcmp(machine, u.machine))
		lacks(&list, "the image is of a %s machine, this one is %s", machine, u.machine);
	if (page != (uint64_t)sysconf(_SC_PAGESIZE))
		lacks(&list, "the image has another page size than this host");
	if (wanted & ~xfeatures || wanted_size > size)
		lacks(&list, "this host's CPU has less register state than the image needs");
	if (vdso != ours)
		lacks(&list,
		      "this kernel's vdso differs from that of the image (kernel %s, here %s); "
		      "restore on a host with the same kernel",
		      kernel, u.release);
	return list ? error_lines(err, -ENOSYS, list) : 0;
}
