/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod's system call filter. "default" denies what container engines deny, as a list of
 * denials, and what the kernel would show to nobody afterwards, so that a restored pod would go on without
 * it and nobody knew; a file is a profile in their JSON form.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/pod/inside.h"
#include "libct/pod/seccomp-impl.h"

#define BIT(cap) (UINT64_C(1) << (cap))
#define NEVER 0 /* no capability allows it */
#define DENY SCMP_ACT_ERRNO(EPERM)
#define ABSENT SCMP_ACT_ERRNO(ENOSYS)

/* System calls that are denied unless the pod has (one of) the capabilities. */
static const struct denial {
	uint64_t unless;
	const char *names[24];
} denials[] = {
	/* Mounts and namespaces. */
	{ BIT(CAP_SYS_ADMIN),
	  { "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
	    "open_tree", "pivot_root", "quotactl", "quotactl_fd", "setdomainname", "sethostname",
	    "setns", "umount", "umount2", "unshare", "fanotify_init", "lookup_dcookie", "swapon",
	    "swapoff" } },
	{ BIT(CAP_SYS_ADMIN) | BIT(CAP_BPF), { "bpf" } },
	{ BIT(CAP_SYS_ADMIN) | BIT(CAP_PERFMON), { "perf_event_open" } },
	{ BIT(CAP_SYS_ADMIN) | BIT(CAP_SYSLOG), { "syslog" } },
	{ BIT(CAP_SYS_BOOT), { "reboot", "kexec_load", "kexec_file_load" } },
	{ BIT(CAP_SYS_CHROOT), { "chroot" } },
	{ BIT(CAP_SYS_MODULE), { "delete_module", "init_module", "finit_module" } },
	{ BIT(CAP_SYS_PACCT), { "acct" } },
	{ BIT(CAP_SYS_PTRACE), { "kcmp" } },
	{ BIT(CAP_SYS_RAWIO), { "iopl", "ioperm" } },
	/* adjtimex and clock_adjtime stay: without the capability they only read. */
	{ BIT(CAP_SYS_TIME), { "settimeofday", "stime", "clock_settime", "clock_settime64" } },
	{ BIT(CAP_SYS_TTY_CONFIG), { "vhangup" } },
	{ BIT(CAP_SYS_NICE),
	  { "get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node", "migrate_pages",
	    "move_pages" } },
	{ BIT(CAP_DAC_READ_SEARCH), { "open_by_handle_at" } },
	/* Keyrings are not of any namespace; userfaultfd and io_uring widen the kernel's flank. */
	{ NEVER,
	  { "add_key", "keyctl", "request_key", "userfaultfd", "io_uring_setup", "io_uring_enter",
	    "io_uring_register", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl", "vm86",
	    "vm86old", "create_module", "get_kernel_syms", "query_module" } },
};

scmp_filter_ctx seccomp_new(uint32_t default_action)
{
	cleanup_seccomp scmp_filter_ctx ctx = seccomp_init(default_action);

	if (!ctx)
		return NULL;
	/* We install it while we may; the pod's set-user-ID programs go on working. */
	if (seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0) < 0 ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, ABSENT) < 0 ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0)
		return NULL;
#ifdef __x86_64__
	if (seccomp_arch_add(ctx, SCMP_ARCH_X86) < 0)
		return NULL;
#endif
	return take_ptr(ctx);
}

static int deny(scmp_filter_ctx ctx, const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	return nr == __NR_SCMP_ERROR ? 0 /* newer than this libseccomp */
				     : seccomp_rule_add(ctx, DENY, nr, 0);
}

/*
 * Namespaces through clone(2) by its flags; those of clone3(2) lie in memory, where no filter
 * looks.
 */
static int deny_namespaces(scmp_filter_ctx ctx)
{
	static const uint64_t flags[] = { CLONE_NEWNS,	CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
					  CLONE_NEWUSER, CLONE_NEWPID,	 CLONE_NEWNET };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(flags) / sizeof(*flags); i++)
		r = seccomp_rule_add(ctx, DENY, SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
	return r < 0 ? r : seccomp_rule_add(ctx, ABSENT, SCMP_SYS(clone3), 0);
}

/*
 * personality(2) may be asked (0xffffffff) and set to PER_LINUX and PER_LINUX32, with UNAME26 or
 * without. A rule compares an argument once, so "none of these five" becomes two groups of rules:
 * a bit that is not allowed while the top bit is clear; the top bit while any other one is clear.
 */
static int deny_personalities(scmp_filter_ctx ctx)
{
	const uint64_t allowed = PER_LINUX32 | UNAME26, top = UINT64_C(1) << 31;
	int r = 0;

	for (uint64_t bit = 1; r == 0 && bit < top; bit <<= 1) {
		if (!(bit & allowed))
			r = seccomp_rule_add(ctx, DENY, SCMP_SYS(personality), 1,
					     SCMP_A0(SCMP_CMP_MASKED_EQ, bit | top, bit));
		if (r == 0)
			r = seccomp_rule_add(ctx, DENY, SCMP_SYS(personality), 1,
					     SCMP_A0(SCMP_CMP_MASKED_EQ, bit | top, top));
	}
	return r;
}

/*
 * Landlock's restrictions and the programs that choose among sockets with SO_REUSEPORT can neither be read nor
 * noticed: the pod has a kernel without them.
 */
static int deny_unseen(scmp_filter_ctx ctx)
{
	static const char *const landlock[] = { "landlock_create_ruleset", "landlock_add_rule",
						"landlock_restrict_self" };
	static const int options[] = { SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(landlock) / sizeof(*landlock); i++) {
		int nr = seccomp_syscall_resolve_name(landlock[i]);

		r = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, ABSENT, nr, 0);
	}
	for (size_t i = 0; r == 0 && i < sizeof(options) / sizeof(*options); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOPROTOOPT), SCMP_SYS(setsockopt), 2,
				     SCMP_A1(SCMP_CMP_EQ, SOL_SOCKET),
				     SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)options[i]));
	return r;
}

int seccomp_default(uint64_t capabilities, scmp_filter_ctx *ret, struct ct_error *err)
{
	cleanup_seccomp scmp_filter_ctx ctx = seccomp_new(SCMP_ACT_ALLOW);
	int r = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof(denials) / sizeof(*denials); i++) {
		if (denials[i].unless & capabilities)
			continue;
		for (const char *const *name = denials[i].names; r == 0 && *name; name++)
			r = deny(ctx, *name);
	}
	if (r == 0 && !(capabilities & BIT(CAP_SYS_ADMIN)))
		r = deny_namespaces(ctx);
	if (r == 0)
		r = deny_personalities(ctx);
	if (r == 0)
		r = deny_unseen(ctx);
	if (r == 0)
		r = seccomp_rule_add(ctx, DENY, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_VSOCK));
	if (r < 0)
		return error_errno(err, r, "build the default system call filter");
	*ret = take_ptr(ctx);
	return 0;
}

/* NULL in *ret: nothing to install. */
static int build(const char *text, uint64_t capabilities, scmp_filter_ctx *ret, struct ct_error *err)
{
	*ret = NULL;
	if (!strcmp(text, "unconfined"))
		return 0;
	if (!strcmp(text, "default"))
		return seccomp_default(capabilities, ret, err);
	return seccomp_profile(text, capabilities, ret, err);
}

int seccomp_check(const char *text, uint64_t capabilities, struct ct_error *err)
{
	cleanup_seccomp scmp_filter_ctx ctx = NULL;

	return build(text, capabilities, &ctx, err);
}

int seccomp_install(const char *text, uint64_t capabilities, struct ct_error *err)
{
	cleanup_seccomp scmp_filter_ctx ctx = NULL;
	int r = build(text, capabilities, &ctx, err);

	if (r < 0 || !ctx)
		return r;
	r = seccomp_load(ctx);
	return r < 0 ? error_errno(err, r, "install the system call filter") : 0;
}

int seccomp_program(const char *text, uint64_t capabilities, void **ret, size_t *ret_len,
		    struct ct_error *err)
{
	cleanup_seccomp scmp_filter_ctx ctx = NULL;
	cleanup_fd int fd = -1;
	cleanup_free void *program = NULL;
	off_t n = 0;
	int r = build(text, capabilities, &ctx, err);

	*ret = NULL;
	*ret_len = 0;
	if (r < 0 || !ctx)
		return r;
	fd = memfd_create("podckpt-filter", MFD_CLOEXEC);
	r = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);
	if (r == 0) {
		n = lseek(fd, 0, SEEK_END);
		program = n > 0 ? malloc((size_t)n) : NULL;
		r = program ? io_pread_exact(fd, program, (size_t)n, 0) : -ENOMEM;
	}
	if (r < 0)
		return error_errno(err, r, "build the system call filter");
	*ret = take_ptr(program);
	*ret_len = (size_t)n;
	return 0;
}
