/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices a pod may open, whatever nodes it has or makes: those of its own /dev, its
 * terminals, and devices that it was given as volumes. On v2 that is a BPF program of the cgroup
 * (it needs no controller), on v1 the devices controller.
 *
 * A pod cannot make nodes (no CAP_MKNOD) unless its user wants so; only then it is an error that a
 * host can enforce neither.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/pod/cgroup-impl.h"
#include "libct/pod/pod.h"

#define ANY -1
#define DEVICES_MAX 64
#define INSNS_PER_DEVICE 5

struct device {
	char type; /* 'b' or 'c' */
	int major, minor;
};

struct devices {
	struct device list[DEVICES_MAX];
	size_t n;
};

static const struct device usual[] = {
	{ 'c', 1, 3 },	 /* null */
	{ 'c', 1, 5 },	 /* zero */
	{ 'c', 1, 7 },	 /* full */
	{ 'c', 1, 8 },	 /* random */
	{ 'c', 1, 9 },	 /* urandom */
	{ 'c', 5, 0 },	 /* tty */
	{ 'c', 5, 2 },	 /* ptmx */
	{ 'c', 136, ANY }, /* pts */
};

static int collect(const struct pod_config *config, struct devices *ret, struct ct_error *err)
{
	ret->n = sizeof(usual) / sizeof(*usual);
	memcpy(ret->list, usual, sizeof(usual));
	for (size_t i = 0; i < config->n_volumes; i++) {
		struct stat st;

		if (stat(config->volumes[i].source, &st) < 0 ||
		    !(S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
			continue;
		if (ret->n == DEVICES_MAX)
			return error_set(err, -E2BIG, "more than %d devices as volumes",
					 DEVICES_MAX - (int)(sizeof(usual) / sizeof(*usual)));
		ret->list[ret->n++] = (struct device){ S_ISBLK(st.st_mode) ? 'b' : 'c',
						       (int)major(st.st_rdev),
						       (int)minor(st.st_rdev) };
	}
	return 0;
}

/* ---- v2 ---- */

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define LOAD(reg, field)                                                                           \
	INSN(BPF_LDX | BPF_MEM | BPF_W, reg, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, field), 0)
#define SKIP_UNLESS(reg, value, n) INSN(BPF_JMP | BPF_JNE | BPF_K, reg, 0, n, value)
#define RETURN(value)                                                                              \
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value),                                 \
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* r2: the type, r3: the access, r4 and r5: the numbers. Returns the length. */
static size_t compile(const struct devices *devices, struct bpf_insn *p)
{
	const struct bpf_insn begin[] = {
		LOAD(BPF_REG_2, access_type),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0),
		INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff),
		INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16),
		LOAD(BPF_REG_4, major),
		LOAD(BPF_REG_5, minor),
		/* Making a node is the capability's matter. */
		SKIP_UNLESS(BPF_REG_3, BPF_DEVCG_ACC_MKNOD, 2),
		RETURN(1),
	};
	const struct bpf_insn end[] = { RETURN(0) };
	size_t n = sizeof(begin) / sizeof(*begin);

	memcpy(p, begin, sizeof(begin));
	for (size_t i = 0; i < devices->n; i++) {
		const struct device *d = &devices->list[i];
		const struct bpf_insn allow[] = { RETURN(1) };
		short any = d->minor == ANY;

		p[n++] = SKIP_UNLESS(BPF_REG_2,
				     d->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR,
				     any ? 3 : 4);
		p[n++] = SKIP_UNLESS(BPF_REG_4, d->major, any ? 2 : 3);
		if (!any)
			p[n++] = SKIP_UNLESS(BPF_REG_5, d->minor, 2);
		memcpy(p + n, allow, sizeof(allow));
		n += 2;
	}
	memcpy(p + n, end, sizeof(end));
	return n + 2;
}

static int sys_bpf(int command, union bpf_attr *attr)
{
	return SYS_RET(syscall(SYS_bpf, command, attr, sizeof(*attr)));
}

static int restrict_v2(const struct cgroup_hierarchy *h, const char *cgroup,
		       const struct devices *devices)
{
	struct bpf_insn program[16 + DEVICES_MAX * INSNS_PER_DEVICE];
	union bpf_attr load = { 0 }, attach = { 0 };
	cleanup_fd int fd = -1, dir = -1;
	char path[PATH_MAX];
	int r = cgroup_path(h, cgroup, "", path);

	if (r < 0)
		return r;
	load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	load.insn_cnt = (uint32_t)compile(devices, program);
	load.insns = (uintptr_t)program;
	load.license = (uintptr_t) "Apache-2.0";
	fd = sys_bpf(BPF_PROG_LOAD, &load);
	if (fd < 0)
		return fd;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	attach.target_fd = (uint32_t)dir;
	attach.attach_bpf_fd = (uint32_t)fd;
	attach.attach_type = BPF_CGROUP_DEVICE;
	attach.attach_flags = BPF_F_ALLOW_MULTI; /* beside what the host's own cgroups have */
	return sys_bpf(BPF_PROG_ATTACH, &attach);
}

/* ---- v1 ---- */

static int restrict_v1(const struct cgroup_hierarchy *h, const char *cgroup,
		       const struct devices *devices)
{
	int r = cgroup_write(h, cgroup, "devices.deny", "a", NULL);

	if (r == 0)
		r = cgroup_write(h, cgroup, "devices.allow", "c *:* m", NULL);
	if (r == 0)
		r = cgroup_write(h, cgroup, "devices.allow", "b *:* m", NULL);
	for (size_t i = 0; r == 0 && i < devices->n; i++) {
		const struct device *d = &devices->list[i];
		char text[64], number[16] = "*";

		if (d->minor != ANY)
			snprintf(number, sizeof(number), "%d", d->minor);
		snprintf(text, sizeof(text), "%c %d:%s rwm", d->type, d->major, number);
		r = cgroup_write(h, cgroup, "devices.allow", text, NULL);
	}
	return r;
}

int cgroup_set_devices(const struct cgroup_host *host, const char *cgroup,
		       const struct pod_config *config, struct ct_error *err)
{
	const struct cgroup_hierarchy *v2 = cgroup_v2(host), *v1 = cgroup_v1(host, "devices");
	struct devices devices;
	int r = collect(config, &devices, err);

	if (r < 0)
		return r;
	r = v2 ? restrict_v2(v2, cgroup, &devices) : -ENOSYS;
	if (r < 0 && v1)
		r = restrict_v1(v1, cgroup, &devices);
	if (r < 0 && config->capabilities & UINT64_C(1) << CAP_MKNOD)
		return error_errno(err, r,
				   "restrict the devices of a pod that may make nodes (CAP_MKNOD)");
	return 0;
}
