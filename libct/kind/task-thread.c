/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of a thread: its name, personality, the addresses it gave to the kernel (tid address,
 * robust futex list, restartable sequences), time stamp counter and CPUID access, machine check
 * policy, speculation: man 2 prctl, set_tid_address, get_robust_list, rseq, personality.
 *
 * A thread that was stopped within a restartable sequence has been moved to the sequence's abort
 * handler by then, as any preemption would have done: libct/task/rseq.c.
 */
#include <elf.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "libct/base/sys.h"
#include "libct/kind.h"
#include "libct/task/rseq.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif
#define FLAGS_IO_FLUSHER 0x00180000U /* PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE in /proc/PID/stat */
#define ARCH_GET_CPUID 0x1011
#define ARCH_SET_CPUID 0x1012
#define NT_IOPERM 0x201 /* NT_386_IOPERM */
#define ROBUST_LIST_SIZE 24 /* sizeof(struct robust_list_head): the kernel takes no other */

enum { ASK_TID_ADDRESS, ASK_TSC, ASK_MCE, ASK_CPUID, ASK_SPECULATION };
enum { AT_TID_ADDRESS = 0, AT_TSC = 16 };

static const struct {
	const char *name;
	unsigned long which;
} speculation[] = {
	{ "store_bypass", PR_SPEC_STORE_BYPASS },
	{ "indirect_branch", PR_SPEC_INDIRECT_BRANCH },
	{ "l1d_flush", PR_SPEC_L1D_FLUSH },
};
#define N_SPECULATION (sizeof(speculation) / sizeof(speculation[0]))
#define SPEC_MODES (PR_SPEC_ENABLE | PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC)

static int thread_ask(struct dump *d, struct dump_thread *t, struct tape *tape)
{
	tape_call(tape, SYS_prctl, PR_GET_TID_ADDRESS, tape_room(tape, 16), 0, 0, 0, 0);
	tape_call(tape, SYS_prctl, PR_GET_TSC, tape_room(tape, 16), 0, 0, 0, 0);
	tape_call(tape, SYS_prctl, PR_MCE_KILL_GET, 0, 0, 0, 0, 0);
	tape_call(tape, SYS_arch_prctl, ARCH_GET_CPUID, 0, 0, 0, 0, 0);
	for (size_t i = 0; i < N_SPECULATION; i++)
		tape_call(tape, SYS_prctl, PR_GET_SPECULATION_CTRL, speculation[i].which, 0, 0, 0, 0);
	return 0;
}

static int put_addresses(struct dump_thread *t, struct node *n, struct ct_error *err)
{
	struct rseq_registration rseq;
	uint64_t robust = 0;
	size_t len = 0;
	int r = SYS_RET(syscall(SYS_get_robust_list, t->t.tid, &robust, &len));

	if (r < 0)
		return error_errno(err, r, "get_robust_list");
	node_put_hex(n, "robust_list", robust);
	r = rseq_read(&t->t, &rseq);
	if (r < 0)
		return error_errno(err, r, "read the rseq registration");
	if (rseq.address) {
		struct node *one = node_put_object(n, "rseq");

		node_put_hex(one, "address", rseq.address);
		node_put_u64(one, "size", rseq.size);
		node_put_hex(one, "signature", rseq.signature);
	}
	return 0;
}

static int thread_dump(struct dump *d, struct dump_thread *t, const struct tape *tape,
		       struct tape_mark mark, struct node *n, struct ct_error *err)
{
	const struct tape_entry *asked = &tape->entries[mark.entry];
	cleanup_free char *personality = NULL;
	uint8_t ports[8192];
	struct iovec io = { ports, sizeof(ports) };
	struct proc_stat stat;
	uint64_t tid_address;
	ssize_t len;
	int tsc, r = proc_stat(d->proc, t->process->pid, t->t.tid, &stat);

	if (r < 0)
		return error_errno(err, r, "read 'stat'");
	len = proc_read(d->proc, t->t.tid, "personality", &personality);
	if (len < 0)
		return error_errno(err, (int)len, "read 'personality'");
	if (ptrace(PTRACE_GETREGSET, t->t.tid, NT_IOPERM, &io) == 0)
		return error_set(err, -EOPNOTSUPP, "it has access to I/O ports, which is not carried");
	memcpy(&tid_address, tape_at(tape, mark.data + AT_TID_ADDRESS), sizeof(tid_address));
	memcpy(&tsc, tape_at(tape, mark.data + AT_TSC), sizeof(tsc));
	node_put_str(n, "name", stat.comm);
	node_put_hex(n, "personality", strtoull(personality, NULL, 16));
	node_put_hex(n, "tid_address", tid_address);
	r = put_addresses(t, n, err);
	if (r < 0)
		return r;
	if ((stat.flags & FLAGS_IO_FLUSHER) == FLAGS_IO_FLUSHER)
		node_put_bool(n, "io_flusher", true);
	if (asked[ASK_TSC].result == 0 && tsc == PR_TSC_SIGSEGV)
		node_put_bool(n, "tsc_faults", true);
	if (asked[ASK_CPUID].result == 0)
		node_put_bool(n, "cpuid_faults", true);
	if (asked[ASK_MCE].result == PR_MCE_KILL_EARLY || asked[ASK_MCE].result == PR_MCE_KILL_LATE)
		node_put_bool(n, "machine_check_early", asked[ASK_MCE].result == PR_MCE_KILL_EARLY);
	for (size_t i = 0; i < N_SPECULATION; i++) {
		int64_t v = asked[ASK_SPECULATION + i].result;

		if (v > 0 && v & PR_SPEC_PRCTL && v & SPEC_MODES & ~PR_SPEC_ENABLE)
			node_put_hex(n, speculation[i].name, (uint64_t)(v & SPEC_MODES));
	}
	return 0;
}

/* ---- restore ---- */

static void restore_speculation(const struct node *n, struct tape *tape)
{
	for (size_t i = 0; i < N_SPECULATION; i++) {
		unsigned long which = speculation[i].which;
		uint64_t mode;
		int here;

		if (!node_has(n, speculation[i].name))
			continue;
		mode = node_hex(n, speculation[i].name);
		if (mode & ~(uint64_t)SPEC_MODES || mode & (mode - 1))
			node_complain(n, "a mode of speculation that this version does not know");
		/* Where the host leaves programs no choice, because it is immune or decided for all, so be it. */
		here = prctl(PR_GET_SPECULATION_CTRL, which, 0, 0, 0);
		if (here > 0 && here & PR_SPEC_PRCTL)
			tape_must(tape, "prctl(PR_SET_SPECULATION_CTRL)", SYS_prctl,
				  PR_SET_SPECULATION_CTRL, which, mode, 0, 0, 0);
	}
}

static void restore_addresses(const struct node *n, struct tape *tape)
{
	uint64_t robust = node_hex(n, "robust_list");

	tape_must(tape, "set_tid_address", SYS_set_tid_address, node_hex(n, "tid_address"), 0, 0, 0, 0,
		  0);
	if (robust)
		tape_must(tape, "set_robust_list", SYS_set_robust_list, robust, ROBUST_LIST_SIZE, 0, 0,
			  0, 0);
	if (node_has(n, "rseq")) {
		const struct node *rseq = node_object(n, "rseq");

		tape_must(tape, "rseq", SYS_rseq, node_hex(rseq, "address"),
			  node_u64(rseq, "size", 65536), 0, node_hex(rseq, "signature"), 0, 0);
	}
}

static int thread_restore(struct restore *r, struct restore_thread *t, const struct node *n,
			  struct tape *tape, struct ct_error *err)
{
	const char *name = node_str(n, "name");
	char comm[16] = { 0 };

	if (strlen(name) >= sizeof(comm))
		node_complain(n, "a name of %zu bytes", strlen(name));
	memcpy(comm, name, strnlen(name, sizeof(comm) - 1));
	tape_must(tape, "prctl(PR_SET_NAME)", SYS_prctl, PR_SET_NAME,
		  tape_data(tape, comm, sizeof(comm)), 0, 0, 0, 0);
	tape_must(tape, "personality", SYS_personality, node_hex(n, "personality") & UINT32_MAX, 0, 0, 0,
		  0, 0);
	restore_addresses(n, tape);
	if (node_has(n, "io_flusher") && node_bool(n, "io_flusher"))
		tape_must(tape, "prctl(PR_SET_IO_FLUSHER) (it needs CAP_SYS_RESOURCE)", SYS_prctl,
			  PR_SET_IO_FLUSHER, 1, 0, 0, 0, 0);
	if (node_has(n, "tsc_faults") && node_bool(n, "tsc_faults"))
		tape_must(tape, "prctl(PR_SET_TSC)", SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0, 0);
	if (node_has(n, "cpuid_faults") && node_bool(n, "cpuid_faults"))
		tape_must(tape, "make cpuid fault (this host's CPU cannot)", SYS_arch_prctl,
			  ARCH_SET_CPUID, 0, 0, 0, 0, 0);
	if (node_has(n, "machine_check_early"))
		tape_must(tape, "prctl(PR_MCE_KILL)", SYS_prctl, PR_MCE_KILL, PR_MCE_KILL_SET,
			  node_bool(n, "machine_check_early") ? PR_MCE_KILL_EARLY : PR_MCE_KILL_LATE, 0,
			  0, 0);
	restore_speculation(n, tape);
	return 0;
}

const struct kind kind_thread = {
	.name = "thread",
	.carries = "name, personality, tid address, robust futex list, restartable sequences, TSC and "
		   "CPUID faulting, machine check policy and speculation control of each thread",
	.refuses = "access to I/O ports",
	.victims = "thread-names thread-addresses thread-rseq thread-rseq-abort thread-personality",
	.thread_ask = thread_ask,
	.thread_dump = thread_dump,
	.thread_restore = thread_restore,
};
