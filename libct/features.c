/* SPDX-License-Identifier: Apache-2.0 */
/* What this host can do: each feature is tried, never guessed from a version. */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/netlink.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/kernel.h"
#include "libct/base/sys.h"
#include "libct/findings.h"
#include "libct/host.h"
#include "libct/kind/pagemap.h"
#include "libct/task/helper.h"
#include "netns/tcp.h"

static inline void free_caps(cap_t *caps)
{
	cap_free(*caps);
}

/* Root of a user namespace may not come back into the time namespace that it is in, and much else. */
static bool have_root(void)
{
	cleanup_fd int time = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);

	return geteuid() == 0 && (time < 0 || setns(time, CLONE_NEWTIME) == 0 || errno != EPERM);
}

static bool have_namespaces(void)
{
	static const char *const names[] = { "pid", "mnt", "net", "ipc", "uts", "cgroup" };
	char path[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		if (access(path, F_OK) < 0)
			return false;
	}
	return true;
}

static bool have_time_namespace(void)
{
	return access("/proc/self/ns/time", F_OK) == 0;
}

static bool file_has(const char *path, const char *word)
{
	cleanup_free char *text = NULL;

	return io_read_file(AT_FDCWD, path, 16 << 20, &text) >= 0 && strstr(text, word);
}

static bool have_freezer(void)
{
	return file_has("/proc/self/mountinfo", " - cgroup2 ") ||
	       file_has("/proc/self/cgroup", ":freezer:");
}

static bool have_cgroup2(void)
{
	return file_has("/proc/self/mountinfo", " - cgroup2 ");
}

/* On most hosts it is a module that the first to ask for it loads; asking needs root. */
static bool have_overlay(void)
{
	cleanup_fd int fs = fsopen("overlay", FSOPEN_CLOEXEC);

	return fs >= 0 || file_has("/proc/filesystems", "\toverlay\n");
}

static bool have_pidfd_getfd(void)
{
	cleanup_fd int pidfd = sys_pidfd_open(getpid(), 0);
	cleanup_fd int fd = pidfd < 0 ? pidfd : sys_pidfd_getfd(pidfd, pidfd);

	return fd >= 0;
}

/* A PID that is out of the question is refused by a kernel that knows set_tid, and only after that. */
static bool have_set_tid(void)
{
	pid_t none = 0;
	struct clone_args args = { .set_tid = (uint64_t)(uintptr_t)&none, .set_tid_size = 1,
				   .exit_signal = SIGCHLD };

	return sys_clone3(&args) == -EINVAL;
}

static bool have_kcmp(void)
{
	return sys_kcmp(getpid(), getpid(), KCMP_VM, 0, 0) == 0;
}

static bool have_mm_map(void)
{
	unsigned int size = 0;

	return prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) == 0 && size;
}

static bool have_userfaultfd(void)
{
	cleanup_fd int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	return fd >= 0;
}

#define FEATURE_WP_ASYNC (1 << 15) /* Linux 6.7 */

static bool have_write_tracking(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURE_WP_ASYNC };
	cleanup_fd int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	return fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0;
}

static bool have_pagemap_scan(void)
{
	cleanup_fd int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	return pagemap >= 0 && pagemap_can_scan(pagemap);
}

static bool have_kernel_memory(void)
{
	__cleanup(kernel_close_cleanup) struct kernel *kernel = NULL;

	return kernel_open(&kernel, NULL) == 0;
}

static bool have_tcp_numbers(void)
{
	return tcp_can_enqueue(NULL) == 0;
}

static bool have_tcp_peek(void)
{
	return !tcp_hides_behind_mark();
}

static bool have_nf_tables(void)
{
	cleanup_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	return fd >= 0;
}

static bool have_ipv6(void)
{
	cleanup_free char *off = NULL;

	return io_read_file(AT_FDCWD, "/proc/sys/net/ipv6/conf/default/disable_ipv6", 64, &off) >= 0 &&
	       off[0] == '0';
}

static bool have_ipv6_forwarding(void)
{
	cleanup_free char *on = NULL;

	return io_read_file(AT_FDCWD, "/proc/sys/net/ipv6/conf/all/forwarding", 64, &on) >= 0 && on[0] != '0';
}

static bool have_sys_resource(void)
{
	__cleanup(free_caps) cap_t caps = cap_get_proc();
	cap_flag_value_t v = CAP_CLEAR;

	return caps && cap_get_flag(caps, CAP_SYS_RESOURCE, CAP_EFFECTIVE, &v) == 0 && v == CAP_SET;
}

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77 /* Linux 6.15 */
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif

static bool have_timer_ids(void)
{
	return prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

static bool have_eventfd_flags(void)
{
	cleanup_fd int fd = eventfd(0, EFD_CLOEXEC);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return fd >= 0 && file_has(path, "eventfd-semaphore:");
}

#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG /* Linux 6.4 */
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

/* Only who is stopped under a tracer can be asked. */
static bool have_dispatch_shown(void)
{
	uint64_t config[4];
	bool shown = false;
	int status = 0;
	pid_t pid = helper_spawn();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		syscall(SYS_tgkill, getpid(), sys_gettid(), SIGSTOP);
		_exit(0);
	}
	if (pid < 0)
		return false;
	if (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		shown = ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, pid, sizeof(config), config) == 0;
		kill(pid, SIGKILL);
		helper_await(pid);
	}
	return shown;
}

static const struct {
	const char *name;
	bool (*have)(void);
	bool core;
	const char *cost;
} features[] = {
	{ "root", have_root, true, "namespaces and other programs' memory need root, and not that of a user namespace" },
	{ "namespaces", have_namespaces, true, "pods cannot be made" },
	{ "overlayfs", have_overlay, true, "pods have no file tree of their own" },
	{ "freezer", have_freezer, true, "a pod cannot be stopped at one instant" },
	{ "clone3 set_tid", have_set_tid, true, "processes cannot get their PIDs back" },
	{ "pidfd_getfd", have_pidfd_getfd, true, "descriptors cannot be looked at or given back" },
	{ "kcmp", have_kcmp, true, "shared descriptors cannot be told apart" },
	{ "PR_SET_MM_MAP", have_mm_map, true, "address spaces cannot be rebuilt (CONFIG_CHECKPOINT_RESTORE)" },
	{ "time namespace", have_time_namespace, true, "the clocks of a restored pod would jump" },
	{ "cgroup v2", have_cgroup2, false, "the older freezer is used; cgroup.kill is done by hand" },
	{ "userfaultfd", have_userfaultfd, false, "memory is filled in more slowly" },
	{ "PAGEMAP_SCAN", have_pagemap_scan, false, "finding used memory takes longer; guard pages are not seen" },
	{ "write tracking", have_write_tracking, false, "no incremental checkpoints" },
	{ "eventfd flags", have_eventfd_flags, false,
	  "a checkpoint tries each eventfd out; edge-triggered waits for one may report once more" },
	{ "user dispatch", have_dispatch_shown, false,
	  "programs that have their system calls sent to themselves are not noticed and lose that" },
	{ "BPF of the kernel's memory", have_kernel_memory, false,
	  "asynchronous I/O (io_setup) is refused, and so are TCP connections that wait to be accepted or were closed while "
	  "bytes are under way, and unix connections that wait to be accepted with bytes in them" },
	{ "TCP numbers of TIME_WAIT", have_tcp_numbers, false,
	  "TCP connections that wait to be accepted are refused (Linux 6.10 could make them again)" },
	{ "SO_PEEK_OFF of TCP", have_tcp_peek, false,
	  "TCP connections are refused that have received bytes before and behind an urgent one (Linux 6.9 shows them)" },
	{ "nf_tables", have_nf_tables, false, "pods reach this host and each other, but nothing beyond" },
	{ "IPv6", have_ipv6, false, "pods have no IPv6 address; those that had one need --ip6 none" },
	{ "IPv6 forwarding", have_ipv6_forwarding, false,
	  "by IPv6 pods reach this host and each other only, and ports are not published; "
	  "net.ipv6.conf.all.forwarding=1 lets them out, with accept_ra=2 on links by which this host itself has its address" },
	{ "CAP_SYS_RESOURCE", have_sys_resource, false,
	  "limits above those of podckpt itself cannot be given back" },
	{ "timer ids", have_timer_ids, false, "timers with high numbers take longer to restore" },
};

ssize_t ct_check(struct ct_feature **ret, struct ct_error *err)
{
	const size_t n = sizeof(features) / sizeof(features[0]);
	struct ct_feature *list = calloc(n, sizeof(*list));

	if (!list)
		return error_errno(err, -ENOMEM, "check");
	for (size_t i = 0; i < n; i++) {
		list[i].name = features[i].name;
		list[i].core = features[i].core;
		list[i].cost = features[i].cost;
		list[i].present = features[i].have();
	}
	*ret = list;
	return (ssize_t)n;
}

int features_check_core(struct ct_error *err)
{
	cleanup_free char *list = NULL;

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		char line[256];

		if (!features[i].core || features[i].have())
			continue;
		snprintf(line, sizeof(line), "this host lacks '%s': %s", features[i].name, features[i].cost);
		finding_add(&list, line);
	}
	return list ? error_lines(err, -ENOSYS, list) : 0;
}
