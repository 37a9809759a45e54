/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials of a thread: user and group IDs, supplementary groups, capability sets, securebits,
 * no_new_privs, and what every change of credentials resets: the parent-death signal and, for the
 * process, whether it is dumpable. man 7 credentials, capabilities; man 2 prctl.
 *
 * The kernel shows them in /proc/PID/status, but for securebits and the last two, which only the
 * thread itself can ask for. A security label (SELinux, AppArmor) is not carried: a restored process
 * has podckpt's own, as a new pod's has, and a process with another is refused.
 */
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "libct/base/io.h"
#include "libct/kind.h"

#define N_CAPS 64
#define MAX_GROUPS 65536
#define CAP_BIT(cap) (1ULL << (cap))

enum { ASK_SECUREBITS, ASK_DEATH_SIGNAL, ASK_DUMPABLE };

static const char *const uid_names[4] = { "uid", "euid", "suid", "fsuid" };
static const char *const gid_names[4] = { "gid", "egid", "sgid", "fsgid" };

/* ---- dump ---- */

static void process_check(struct dump *d, struct dump_process *p)
{
	cleanup_free char *theirs = NULL, *own = NULL;

	/* Without a security module of that kind both reads fail. */
	if (proc_read(d->proc, p->pid, "attr/current", &theirs) < 0 ||
	    proc_read(d->proc, getpid(), "attr/current", &own) < 0)
		return;
	theirs[strcspn(theirs, "\n")] = '\0';
	own[strcspn(own, "\n")] = '\0';
	if (strcmp(theirs, own))
		dump_refuse_process(d, p, "its security label '%s' is not podckpt's own ('%s'), which is "
					  "not carried; run the pod without a profile", theirs, own);
}

static int thread_ask(struct dump *d, struct dump_thread *t, struct tape *tape)
{
	tape_call(tape, SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0, 0);
	tape_call(tape, SYS_prctl, PR_GET_PDEATHSIG, tape_room(tape, sizeof(int)), 0, 0, 0, 0);
	tape_call(tape, SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0, 0);
	return 0;
}

static int thread_dump(struct dump *d, struct dump_thread *t, const struct tape *tape,
		       struct tape_mark mark, struct node *n, struct ct_error *err)
{
	const struct tape_entry *asked = &tape->entries[mark.entry];
	const struct proc_status *s = &t->status;
	struct node *groups;
	int death_signal;

	for (int i = 0; i < 3; i++)
		if (asked[i].result < 0)
			return error_errno(err, (int)asked[i].result, "ask for its credentials");
	memcpy(&death_signal, tape_at(tape, mark.data), sizeof(death_signal));
	for (int i = 0; i < 4; i++)
		node_put_u64(n, uid_names[i], s->uid[i]);
	for (int i = 0; i < 4; i++)
		node_put_u64(n, gid_names[i], s->gid[i]);
	groups = node_put_array(n, "groups");
	for (size_t i = 0; i < s->n_groups; i++)
		node_put_u64(groups, NULL, s->groups[i]);
	node_put_hex(n, "inheritable", s->cap_inheritable);
	node_put_hex(n, "permitted", s->cap_permitted);
	node_put_hex(n, "effective", s->cap_effective);
	node_put_hex(n, "bounding", s->cap_bounding);
	node_put_hex(n, "ambient", s->cap_ambient);
	node_put_hex(n, "securebits", (uint64_t)asked[ASK_SECUREBITS].result);
	node_put_bool(n, "no_new_privs", s->no_new_privs);
	node_put_i64(n, "death_signal", death_signal);
	if (t == &t->process->threads[0])
		node_put_i64(n, "dumpable", asked[ASK_DUMPABLE].result);
	return 0;
}

/* ---- restore ---- */

struct credentials {
	uint32_t uid[4], gid[4]; /* real, effective, saved, file system */
	uint64_t inheritable, permitted, effective, bounding, ambient;
	uint64_t securebits;
};

static void get_credentials(struct restore *r, const struct node *n, struct credentials *c)
{
	for (int i = 0; i < 4; i++)
		c->uid[i] = (uint32_t)node_u64(n, uid_names[i], UINT32_MAX - 1);
	for (int i = 0; i < 4; i++)
		c->gid[i] = (uint32_t)node_u64(n, gid_names[i], UINT32_MAX - 1);
	c->inheritable = node_hex(n, "inheritable");
	c->permitted = node_hex(n, "permitted");
	c->effective = node_hex(n, "effective");
	c->bounding = node_hex(n, "bounding");
	c->ambient = node_hex(n, "ambient");
	c->securebits = node_hex(n, "securebits");
	if (c->effective & ~c->permitted || c->ambient & ~(c->permitted & c->inheritable))
		node_complain(n, "capability sets that no thread can have");
	/* What the pod was configured with is all that its processes can have; grants.c has looked at that. */
	if ((c->permitted | c->bounding | c->inheritable) & ~r->pod->config.capabilities)
		node_complain(n, "capabilities that the pod does not have");
	if (c->securebits & ~(uint64_t)(SECURE_ALL_BITS | SECURE_ALL_LOCKS))
		node_complain(n, "securebits that this version does not know");
}

static void thread_asks(struct restore *r, struct restore_thread *t, const struct node *n)
{
	struct credentials c;

	get_credentials(r, n, &c);
}

static void tape_capset(struct tape *tape, uint64_t permitted, uint64_t effective,
			uint64_t inheritable)
{
	const struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	const struct __user_cap_data_struct data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
		  (uint32_t)(inheritable >> 32) },
	};

	tape_must(tape, "capset", SYS_capset, tape_data(tape, &header, sizeof(header)),
		  tape_data(tape, data, sizeof(data)), 0, 0, 0, 0);
}

/*
 * The capability sets but for the last capset. While securebits say that user IDs and capabilities
 * have nothing to do with each other, everything stays permitted until then.
 */
static void tape_capabilities(const struct credentials *c, const struct proc_status *now,
			      struct tape *tape)
{
	tape_must(tape, "prctl(PR_SET_SECUREBITS)", SYS_prctl, PR_SET_SECUREBITS,
		  SECBIT_NO_SETUID_FIXUP, 0, 0, 0, 0);
	/* Only what is in the bounding set can become inheritable, so before that shrinks. */
	tape_capset(tape, now->cap_permitted, now->cap_permitted, c->inheritable);
	for (unsigned long cap = 0; cap < N_CAPS; cap++)
		if (now->cap_bounding & ~c->bounding & CAP_BIT(cap))
			tape_must(tape, "prctl(PR_CAPBSET_DROP)", SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0,
				  0, 0);
	for (unsigned long cap = 0; cap < N_CAPS; cap++)
		if (c->ambient & CAP_BIT(cap))
			tape_must(tape, "prctl(PR_CAP_AMBIENT_RAISE)", SYS_prctl, PR_CAP_AMBIENT,
				  PR_CAP_AMBIENT_RAISE, cap, 0, 0, 0);
}

static void tape_ids(const struct credentials *c, struct tape *tape)
{
	tape_must(tape, "setresgid", SYS_setresgid, c->gid[0], c->gid[1], c->gid[2], 0, 0, 0);
	tape_must(tape, "setresuid", SYS_setresuid, c->uid[0], c->uid[1], c->uid[2], 0, 0, 0);
	/* These return what was before and never fail for whom everything is permitted. */
	tape_must(tape, "setfsgid", SYS_setfsgid, c->gid[3], 0, 0, 0, 0, 0);
	tape_must(tape, "setfsuid", SYS_setfsuid, c->uid[3], 0, 0, 0, 0, 0);
}

static int tape_groups(struct restore *r, const struct node *n, struct tape *tape,
		       struct ct_error *err)
{
	const struct node *list = node_array(n, "groups");
	size_t len = node_count(list);
	cleanup_free uint32_t *groups = NULL;

	if (len > MAX_GROUPS)
		node_complain(n, "%zu groups", len);
	if (doc_check(r->doc, err) < 0)
		return -EBADMSG;
	groups = calloc(len + 1, sizeof(*groups));
	if (!groups)
		return error_errno(err, -ENOMEM, "groups");
	for (size_t i = 0; i < len; i++)
		groups[i] = (uint32_t)node_at_u64(list, i, UINT32_MAX - 1);
	tape_must(tape, "setgroups", SYS_setgroups, len, tape_data(tape, groups, len * sizeof(*groups)),
		  0, 0, 0, 0);
	return 0;
}

/*
 * 0 and 1 a process may choose. 2 comes from the host's fs.suid_dumpable when credentials change:
 * so they are changed, and it is what this host's says.
 */
static void tape_dumpable(int64_t dumpable, struct tape *tape)
{
	if (dumpable < 2)
		tape_must(tape, "prctl(PR_SET_DUMPABLE)", SYS_prctl, PR_SET_DUMPABLE, (uint64_t)dumpable,
			  0, 0, 0, 0);
}

static int thread_restore(struct restore *r, struct restore_thread *t, const struct node *n,
			  struct tape *tape, struct ct_error *err)
{
	__cleanup(proc_status_release) struct proc_status now = { 0 };
	bool leader = t == &t->process->threads[0];
	int64_t dumpable = leader ? node_i64(n, "dumpable", 0, 2) : 0;
	struct credentials c;
	int e;

	get_credentials(r, n, &c);
	/* Unlike tape_need(), which would run the tape in the main thread. */
	if (tape->data_len + node_count(node_array(n, "groups")) * 4 + 4096 > tape->data_max) {
		e = restore_run_thread(t, tape, err);
		if (e < 0)
			return e;
	}
	e = proc_status(r->proc, t->t.pid, t->t.tid, &now);
	if (e < 0)
		return error_errno(err, e, "read 'status'");
	e = tape_groups(r, n, tape, err);
	if (e < 0)
		return e;
	tape_capabilities(&c, &now, tape);
	if (leader && dumpable == 2) {
		tape_call(tape, SYS_setfsuid, 1, 0, 0, 0, 0, 0);
		tape_call(tape, SYS_setfsuid, 0, 0, 0, 0, 0, 0);
	}
	tape_ids(&c, tape);
	tape_must(tape, "prctl(PR_SET_SECUREBITS)", SYS_prctl, PR_SET_SECUREBITS, c.securebits, 0, 0, 0,
		  0);
	tape_capset(tape, c.permitted, c.effective, c.inheritable);
	if (node_bool(n, "no_new_privs"))
		tape_must(tape, "prctl(PR_SET_NO_NEW_PRIVS)", SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0,
			  0);
	tape_must(tape, "prctl(PR_SET_PDEATHSIG)", SYS_prctl, PR_SET_PDEATHSIG,
		  (uint64_t)node_i64(n, "death_signal", 0, 64), 0, 0, 0, 0);
	if (leader)
		tape_dumpable(dumpable, tape);
	return 0;
}

const struct kind kind_credentials = {
	.name = "credentials",
	.carries = "user and group IDs, groups, capability sets, securebits, no_new_privs, parent-death "
		   "signal, dumpable",
	.refuses = "security labels that are not podckpt's own",
	.victims = "credentials credentials-caps credentials-securebits process-death-signal",
	.process_check = process_check,
	.thread_ask = thread_ask,
	.thread_dump = thread_dump,
	.thread_asks = thread_asks,
	.thread_restore = thread_restore,
};
