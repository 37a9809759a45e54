/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes that a process has once: child subreaper, core dump filter, OOM score, membarrier
 * registrations, write-xor-execute, address masking and extended CPU state permissions: man 2 prctl,
 * membarrier, arch_prctl, man 5 proc.
 *
 * Not carried: the process's keyrings (a restored pod has an empty session keyring, like a new
 * one), autogroups, the audit login uid. Landlock restrictions cannot be seen from anywhere: the
 * default filter of pods does not let them be made, one that does loses them.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "libct/base/io.h"
#include "libct/kind.h"

#ifndef PR_SET_MDWE /* Linux 6.3 */
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#define MDWE_ALL 3 /* PR_MDWE_REFUSE_EXEC_GAIN, PR_MDWE_NO_INHERIT */
#ifndef MEMBARRIER_CMD_GET_REGISTRATIONS /* Linux 6.3 */
#define MEMBARRIER_CMD_GET_REGISTRATIONS (1 << 9)
#endif
#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED (1 << 4)
#define MEMBARRIER_REGISTER_ALL (1 << 2 | 1 << 4 | 1 << 6 | 1 << 8)

#define ARCH_GET_UNTAG_MASK 0x4001
#define ARCH_ENABLE_TAGGED_ADDR 0x4002
#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_TILE_DATA 18

/* The calls that ask, in this order, and the data of those that store something. */
enum { ASK_SUBREAPER, ASK_MDWE, ASK_MEMBARRIER, ASK_UNTAG, ASK_XCOMP, ASK_LDT };
enum { AT_SUBREAPER = 0, AT_UNTAG = 16, AT_XCOMP = 32, AT_LDT = 48 };

static int process_ask(struct dump *d, struct dump_process *p, struct tape *tape)
{
	tape_call(tape, SYS_prctl, PR_GET_CHILD_SUBREAPER, tape_room(tape, 16), 0, 0, 0, 0);
	tape_call(tape, SYS_prctl, PR_GET_MDWE, 0, 0, 0, 0, 0);
	tape_call(tape, SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0, 0, 0, 0);
	tape_call(tape, SYS_arch_prctl, ARCH_GET_UNTAG_MASK, tape_room(tape, 16), 0, 0, 0, 0);
	tape_call(tape, SYS_arch_prctl, ARCH_GET_XCOMP_PERM, tape_room(tape, 16), 0, 0, 0, 0);
	tape_call(tape, SYS_modify_ldt, 0, tape_room(tape, 16), 16, 0, 0, 0);
	return 0;
}

static int put_number(struct dump *d, struct dump_process *p, const char *file, int base,
		      const char *key, struct node *n, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	ssize_t len = proc_read(d->proc, p->pid, file, &text);

	if (len < 0)
		return error_errno(err, (int)len, "read '%s'", file);
	if (base == 16)
		node_put_hex(n, key, strtoull(text, NULL, 16));
	else
		node_put_i64(n, key, strtoll(text, NULL, base));
	return 0;
}

static int process_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
			struct tape_mark mark, struct node *n, struct ct_error *err)
{
	const struct tape_entry *asked = &tape->entries[mark.entry];
	int64_t registrations = asked[ASK_MEMBARRIER].result;
	uint64_t untag, xcomp;
	int subreaper, r;

	memcpy(&subreaper, tape_at(tape, mark.data + AT_SUBREAPER), sizeof(subreaper));
	memcpy(&untag, tape_at(tape, mark.data + AT_UNTAG), sizeof(untag));
	memcpy(&xcomp, tape_at(tape, mark.data + AT_XCOMP), sizeof(xcomp));
	if (asked[ASK_LDT].result > 0)
		return error_set(err, -EOPNOTSUPP, "it has a local descriptor table, which is not carried");
	node_put_bool(n, "child_subreaper", subreaper);
	/* Kernels that cannot tell: what C libraries and runtimes register does no harm to others. */
	node_put_hex(n, "membarrier",
		     registrations < 0 ? MEMBARRIER_REGISTER_PRIVATE_EXPEDITED : (uint64_t)registrations);
	if (asked[ASK_MDWE].result > 0)
		node_put_hex(n, "mdwe", (uint64_t)asked[ASK_MDWE].result);
	if (asked[ASK_UNTAG].result == 0 && untag != UINT64_MAX)
		node_put_hex(n, "untag_mask", untag);
	if (asked[ASK_XCOMP].result == 0 && xcomp >> XFEATURE_TILE_DATA & 1)
		node_put_bool(n, "tile_data", true);
	r = put_number(d, p, "coredump_filter", 16, "coredump_filter", n, err);
	return r < 0 ? r : put_number(d, p, "oom_score_adj", 10, "oom_score_adj", n, err);
}

/* ---- restore ---- */

static int write_number(struct restore *r, struct restore_process *p, const char *file, int64_t value,
			struct ct_error *err)
{
	char path[64], text[32];
	int e;

	snprintf(path, sizeof(path), "%d/%s", p->pid, file);
	snprintf(text, sizeof(text), "%lld", (long long)value);
	e = io_write_file(r->proc, path, text);
	if (e == -EACCES)
		return error_set(err, e,
				 "%s %lld is lower than podckpt may set it here (it needs "
				 "CAP_SYS_RESOURCE, or to be started with a lower one)",
				 file, (long long)value);
	return e < 0 ? error_errno(err, e, "write '%s'", file) : 0;
}

static void tape_address_masking(const struct node *n, struct tape *tape)
{
	uint64_t mask = node_hex(n, "untag_mask"), bits = 0;

	/* 6 bits from 57 on, or 15 from 48 on. */
	if (mask == ~(0x3fULL << 57))
		bits = 6;
	else if (mask == ~(0x7fffULL << 48))
		bits = 15;
	else
		node_complain(n, "an address mask that no processor has");
	tape_must(tape, "enable tagged addresses (this host's CPU or kernel lacks them)", SYS_arch_prctl,
		  ARCH_ENABLE_TAGGED_ADDR, bits, 0, 0, 0, 0);
}

static void process_asks(struct restore *r, struct restore_process *p, const struct node *n)
{
	int64_t score = node_i64(n, "oom_score_adj", -1000, 1000);
	cleanup_free char *own = NULL;

	if (r->grants.capabilities >> CAP_SYS_RESOURCE & 1 ||
	    proc_read(r->proc, getpid(), "oom_score_adj", &own) < 0 || score >= strtoll(own, NULL, 10))
		return;
	grants_refuse(&r->grants, "pid %d (%s): its oom_score_adj %lld is below podckpt's own; start podckpt with "
				  "that, or grant it with --cap-add sys_resource",
		      p->vpid, p->name, (long long)score);
}

static int process_restore(struct restore *r, struct restore_process *p, const struct node *n,
			   struct tape *tape, struct ct_error *err)
{
	uint64_t registrations = node_hex(n, "membarrier"), filter = node_hex(n, "coredump_filter");
	int64_t score = node_i64(n, "oom_score_adj", -1000, 1000);
	uint64_t mdwe = node_has(n, "mdwe") ? node_hex(n, "mdwe") : 0;
	int e = tape_need(tape, 16, 0, err);

	if (e < 0)
		return e;
	if (registrations & ~(uint64_t)MEMBARRIER_REGISTER_ALL)
		node_complain(n, "membarrier registrations that this version does not know");
	if (mdwe & ~(uint64_t)MDWE_ALL)
		node_complain(n, "write-xor-execute flags that this version does not know");
	if (node_has(n, "untag_mask"))
		tape_address_masking(n, tape);
	if (node_has(n, "tile_data") && node_bool(n, "tile_data"))
		tape_must(tape, "ask for AMX tiles (this host's CPU or kernel lacks them)",
			  SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA, 0, 0, 0, 0);
	if (node_bool(n, "child_subreaper"))
		tape_must(tape, "prctl(PR_SET_CHILD_SUBREAPER)", SYS_prctl, PR_SET_CHILD_SUBREAPER, 1,
			  0, 0, 0, 0);
	for (int bit = 0; bit < 16; bit++)
		if (registrations >> bit & 1)
			tape_must(tape, "membarrier", SYS_membarrier, 1ULL << bit, 0, 0, 0, 0, 0);
	/* Nothing is mapped any more from here on but by the program. */
	if (mdwe)
		tape_must(tape, "prctl(PR_SET_MDWE)", SYS_prctl, PR_SET_MDWE, mdwe, 0, 0, 0, 0);
	e = doc_check(r->doc, err);
	if (e == 0)
		e = write_number(r, p, "coredump_filter", (int64_t)filter, err);
	return e < 0 ? e : write_number(r, p, "oom_score_adj", score, err);
}

const struct kind kind_process = {
	.name = "process",
	.carries = "child subreaper, core dump filter, OOM score adjustment, membarrier registrations, "
		   "write-xor-execute, permission for AMX tiles",
	.refuses = "local descriptor tables; where a filter other than the default one lets a program restrict itself with "
		   "landlock, or choose among sockets of one port by BPF, nothing shows it and it is lost",
	.victims = "process-attributes process-subreaper process-membarrier",
	.process_ask = process_ask,
	.process_dump = process_dump,
	.process_asks = process_asks,
	.process_restore = process_restore,
};
