/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the kernel that tools for tracing and administration hold. */
/* run: --cap-add */
/* run: all */
/* run: --seccomp */
/* run: unconfined */
/* needs: test -e /proc/sys/kernel/perf_event_paranoid -a -e /proc/sys/kernel/unprivileged_bpf_disabled */
/* needs: python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, 0, 0, 1) < 1)' */
/* refused: pid 2 (refused-kernel) fd 3: perf counters are not carried; stop the measurement first */
/* refused: pid 2 (refused-kernel) fd 4: BPF maps and programs are not carried; close them first */
/* refused: pid 2 (refused-kernel) fd 5: BPF maps and programs are not carried; close them first */
/* refused: pid 2 (refused-kernel) fd 6: BPF links and iterators are not carried; close them first */
/* refused: pid 2 (refused-kernel) fd 7: BPF type information is not carried; close it first */
/* refused: pid 2 (refused-kernel) fd 8: a file system that is being configured is not carried; try again */
/* refused: pid 2 (refused-kernel) fd 9: a landlock rule set is not carried; close it first */
#include "tests/victims/victim.h"

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/perf_event.h>

#define ACCESS_FS_EXECUTE 1ULL /* of landlock */

static int bpf(int what, union bpf_attr *attr)
{
	return syscall(SYS_bpf, what, attr, sizeof(*attr));
}

static int counter(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_PAGE_FAULTS,
					.exclude_kernel = 1 };

	return CHECK_SYS(syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

static int map(void)
{
	uint64_t value = 42;
	uint32_t key = 1;
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 2 };
	union bpf_attr set = { .key = (uintptr_t)&key, .value = (uintptr_t)&value };
	int fd = CHECK_SYS(bpf(BPF_MAP_CREATE, &attr));

	set.map_fd = fd;
	CHECK_SYS(bpf(BPF_MAP_UPDATE_ELEM, &set));
	return fd;
}

/* Lets every connection find its socket as usual. */
static int program(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SK_LOOKUP,
				.expected_attach_type = BPF_SK_LOOKUP,
				.insns = (uintptr_t)code,
				.insn_cnt = 2,
				.license = (uintptr_t) "Apache-2.0" };

	return CHECK_SYS(bpf(BPF_PROG_LOAD, &attr));
}

static int attach(int program)
{
	union bpf_attr attr = { .link_create = { .prog_fd = program, .attach_type = BPF_SK_LOOKUP } };
	int net = CHECK_SYS(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)), link;

	attr.link_create.target_fd = net;
	link = CHECK_SYS(bpf(BPF_LINK_CREATE, &attr));
	CHECK_SYS(close(net));
	return CHECK_SYS(dup2(link, net)) == net && close(link) == 0 ? net : -1;
}

/* One type: int. */
static int types(void)
{
	struct {
		struct btf_header header;
		struct btf_type type;
		uint32_t bits;
		char names[8];
	} btf = {
		.header = { .magic = BTF_MAGIC, .version = 1, .hdr_len = sizeof(btf.header),
			    .type_len = sizeof(btf.type) + 4, .str_off = sizeof(btf.type) + 4, .str_len = 8 },
		.type = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 },
		.bits = 32,
		.names = "\0number",
	};
	union bpf_attr attr = { .btf = (uintptr_t)&btf, .btf_size = sizeof(btf) };

	return CHECK_SYS(bpf(BPF_BTF_LOAD, &attr));
}

int main(void)
{
	uint64_t rules[1] = { ACCESS_FS_EXECUTE }, value;
	uint32_t key = 1;
	union bpf_attr get = { .map_fd = 4, .key = (uintptr_t)&key, .value = (uintptr_t)&value };

	CHECK_EQ(counter(), 3);
	CHECK_EQ(map(), 4);
	CHECK_EQ(program(), 5);
	CHECK_EQ(attach(5), 6);
	CHECK_EQ(types(), 7);
	CHECK_EQ(CHECK_SYS(syscall(SYS_fsopen, "tmpfs", 1)), 8);
	CHECK_EQ(CHECK_SYS(syscall(SYS_landlock_create_ruleset, rules, sizeof(rules), 0)), 9);
	victim_ready();
	CHECK_EQ(read(3, &value, sizeof(value)), 8);
	CHECK(value > 0);
	CHECK_SYS(bpf(BPF_MAP_LOOKUP_ELEM, &get));
	CHECK_EQ(value, 42);
	victim_pass();
}
