/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a thread is scheduled: policy with its parameters, nice value, CPUs, I/O priority, timer
 * slack, NUMA memory policy: man 7 sched, numa, man 2 sched_setattr, sched_setaffinity, ioprio_set,
 * set_mempolicy, PR_SET_TIMERSLACK. But for the memory policy all of it is read and set from outside.
 *
 * A thread that may run on every CPU of the host may run on every CPU of the next one; a narrower
 * choice is kept to the number, and refused where the host lacks one of them. What a thread's
 * timer slack falls back to after PR_SET_TIMERSLACK 0 cannot be read; it becomes its slack of now.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/kind.h"

#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62
#endif
#ifndef PR_SCHED_CORE_GET
#define PR_SCHED_CORE_GET 0
#endif

#define MAX_CPUS 8192
#define MAX_NODES 1024

/* struct sched_attr of <linux/sched/types.h>, which newer <sched.h> defines as well. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

enum {
	NORMAL = 0,
	FIFO = 1,
	RR = 2,
	BATCH = 3,
	IDLE = 5,
	DEADLINE = 6,
	FLAG_RESET_ON_FORK = 1,
	FLAG_RECLAIM = 2,
	FLAG_OVERRUN = 4,
	FLAG_UTIL_CLAMP = 0x60,
};

static const struct {
	const char *name;
	uint32_t policy;
} policies[] = {
	{ "other", NORMAL }, { "fifo", FIFO }, { "rr", RR },
	{ "batch", BATCH },  { "idle", IDLE }, { "deadline", DEADLINE },
};
#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

struct cpus {
	uint64_t word[MAX_CPUS / 64];
	size_t len; /* bytes */
};

static bool has_cpu(const struct cpus *c, unsigned int cpu)
{
	return cpu < MAX_CPUS && c->word[cpu / 64] >> (cpu % 64) & 1;
}

static int get_attr(pid_t tid, struct attr *ret)
{
	memset(ret, 0, sizeof(*ret));
	return SYS_RET(syscall(SYS_sched_getattr, tid, ret, sizeof(*ret), 0));
}

static int get_affinity(pid_t tid, struct cpus *ret)
{
	long n;

	memset(ret, 0, sizeof(*ret));
	n = SYS_RET(syscall(SYS_sched_getaffinity, tid, sizeof(ret->word), ret->word));
	return n < 0 ? (int)n : 0;
}

/* "0-3,7" into a set; false: it is no such list. */
static bool parse_cpus(const char *text, struct cpus *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (;;) {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (end == text || *text == '-')
			return false;
		if (*end == '-') {
			text = end + 1;
			last = strtoul(text, &end, 10);
			if (end == text)
				return false;
		}
		if (last >= MAX_CPUS || first > last)
			return false;
		for (; first <= last; first++)
			ret->word[first / 64] |= 1ULL << (first % 64);
		if (*end == '\0' || *end == '\n')
			return true;
		if (*end != ',')
			return false;
		text = end + 1;
	}
}

static void format_cpus(const struct cpus *c, char *text, size_t size)
{
	size_t n = 0;

	*text = '\0';
	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		unsigned int last = i;

		if (!has_cpu(c, i))
			continue;
		while (has_cpu(c, last + 1))
			last++;
		n += (size_t)snprintf(text + n, size - n, last > i ? "%s%u-%u" : "%s%u",
				      n ? "," : "", i, last);
		if (n >= size)
			return;
		i = last;
	}
}

/* Every CPU that is online on this host. */
static int online(struct cpus *ret)
{
	cleanup_free char *text = NULL;
	ssize_t r = io_read_file(AT_FDCWD, "/sys/devices/system/cpu/online", 65536, &text);

	if (r < 0)
		return (int)r;
	return parse_cpus(text, ret) ? 0 : -EBADMSG;
}

static bool all_of(const struct cpus *wanted, const struct cpus *c)
{
	for (size_t i = 0; i < MAX_CPUS / 64; i++)
		if (wanted->word[i] & ~c->word[i])
			return false;
	return true;
}

/* ---- dump ---- */

/*
 * Areas with a memory policy of their own (mbind(2)). To look for them takes as long as the process
 * is large, so only where there can be any. On a host with one node a policy does nothing, on the next it may.
 */
static void check_areas(struct dump *d, struct dump_process *p)
{
	cleanup_free char *text = NULL;
	const char *first = NULL;
	char *rest, *line;

	/* Whether the pod's filter lets mbind(2) pass. */
	if ((!strcmp(d->pod->config.seccomp, "default") && !(d->pod->config.capabilities >> CAP_SYS_NICE & 1)) ||
	    proc_read(d->proc, p->pid, "numa_maps", &text) < 0)
		return;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		/* "7f3c68000000 bind:0 anon=1 ...": the thread's policy where the area has none. */
		char *policy = strchr(line, ' ');

		if (!policy)
			continue;
		policy[1 + strcspn(policy + 1, " ")] = '\0';
		if (!first)
			first = policy;
		if (strcmp(policy, first)) {
			dump_refuse_process(d, p, "it has set the memory policy of an area (mbind), which is not "
						  "carried");
			return;
		}
	}
}

static void process_check(struct dump *d, struct dump_process *p)
{
	check_areas(d, p);
	for (size_t i = 0; i < p->n_threads; i++) {
		unsigned long cookie = 0;

		/* ENODEV or EINVAL: a kernel without it. */
		if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, p->threads[i].t.tid, 0, &cookie) == 0 &&
		    cookie) {
			dump_refuse_process(d, p, "it uses core scheduling, which is not carried");
			break;
		}
	}
}

static int dump_policy(struct dump_thread *t, struct node *n, struct ct_error *err)
{
	struct attr attr, own;
	const char *name = NULL;
	int r = get_attr(t->t.tid, &attr), nice;

	if (r == 0)
		r = get_attr(0, &own);
	if (r < 0)
		return error_errno(err, r, "sched_getattr");
	for (size_t i = 0; i < N_POLICIES; i++)
		if (policies[i].policy == attr.policy)
			name = policies[i].name;
	if (!name)
		return error_set(err, -EOPNOTSUPP, "its scheduling policy %u is not carried", attr.policy);
	errno = 0;
	nice = getpriority(PRIO_PROCESS, (id_t)t->t.tid);
	if (nice == -1 && errno)
		return error_errno(err, -errno, "getpriority");
	node_put_str(n, "policy", name);
	node_put_i64(n, "nice", nice);
	node_put_bool(n, "reset_on_fork", attr.flags & FLAG_RESET_ON_FORK);
	if (attr.policy == FIFO || attr.policy == RR)
		node_put_u64(n, "priority", attr.priority);
	if (attr.policy == DEADLINE) {
		node_put_u64(n, "runtime", attr.runtime);
		node_put_u64(n, "deadline", attr.deadline);
		node_put_u64(n, "period", attr.period);
		node_put_bool(n, "reclaim", attr.flags & FLAG_RECLAIM);
		node_put_bool(n, "overrun_signal", attr.flags & FLAG_OVERRUN);
	} else if (attr.policy != FIFO && attr.policy != RR && own.policy == NORMAL &&
		   attr.runtime != own.runtime) {
		/* A slice that it chose (Linux 6.12); the default one is the host's. */
		node_put_u64(n, "slice", attr.runtime);
	}
	if (attr.util_max && (attr.util_min != own.util_min || attr.util_max != own.util_max)) {
		node_put_u64(n, "utilization_min", attr.util_min);
		node_put_u64(n, "utilization_max", attr.util_max);
	}
	return 0;
}

static int thread_ask(struct dump *d, struct dump_thread *t, struct tape *tape)
{
	uint64_t mode = tape_room(tape, 16);

	tape_call(tape, SYS_get_mempolicy, mode, tape_room(tape, MAX_NODES / 8), MAX_NODES, 0, 0, 0);
	return 0;
}

static void put_memory_policy(const struct tape *tape, struct tape_mark mark, struct node *n)
{
	struct node *policy, *nodes;
	uint64_t mask[MAX_NODES / 64];
	int mode;

	/* A kernel without NUMA has no such call. */
	if (tape->entries[mark.entry].result < 0)
		return;
	memcpy(&mode, tape_at(tape, mark.data), sizeof(mode));
	memcpy(mask, tape_at(tape, mark.data + 16), sizeof(mask));
	if (!mode)
		return;
	policy = node_put_object(n, "memory_policy");
	node_put_hex(policy, "mode", (uint32_t)mode);
	nodes = node_put_array(policy, "nodes");
	for (unsigned int i = 0; i < MAX_NODES; i++)
		if (mask[i / 64] >> (i % 64) & 1)
			node_put_u64(nodes, NULL, i);
}

static int thread_dump(struct dump *d, struct dump_thread *t, const struct tape *tape,
		       struct tape_mark mark, struct node *n, struct ct_error *err)
{
	cleanup_free char *slack = NULL;
	struct cpus cpus, all;
	long priority;
	int r = dump_policy(t, n, err);
	ssize_t len;

	if (r < 0)
		return r;
	r = get_affinity(t->t.tid, &cpus);
	if (r == 0)
		r = online(&all);
	if (r < 0)
		return error_errno(err, r, "read its CPUs");
	if (!all_of(&all, &cpus)) {
		char text[4096];

		format_cpus(&cpus, text, sizeof(text));
		node_put_str(n, "cpus", text);
	}
	priority = SYS_RET(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, t->t.tid));
	if (priority < 0)
		return error_errno(err, (int)priority, "ioprio_get");
	node_put_u64(n, "io_priority", (uint64_t)priority);
	len = proc_read(d->proc, t->t.tid, "timerslack_ns", &slack);
	if (len < 0)
		return error_errno(err, (int)len, "read 'timerslack_ns'");
	node_put_u64(n, "timer_slack", strtoull(slack, NULL, 10));
	put_memory_policy(tape, mark, n);
	return 0;
}

/* ---- restore ---- */

static void get_policy(const struct node *n, struct attr *attr)
{
	const char *name = node_str(n, "policy");
	bool known = false;

	*attr = (struct attr){ .size = sizeof(*attr) };
	for (size_t i = 0; i < N_POLICIES; i++)
		if (!strcmp(policies[i].name, name)) {
			attr->policy = policies[i].policy;
			known = true;
		}
	if (!known)
		node_complain(n, "a scheduling policy '%s' that this version does not know", name);
	attr->nice = (int32_t)node_i64(n, "nice", -20, 19);
	attr->flags = node_bool(n, "reset_on_fork") ? FLAG_RESET_ON_FORK : 0;
	if (attr->policy == FIFO || attr->policy == RR)
		attr->priority = (uint32_t)node_u64(n, "priority", 99);
	if (attr->policy == DEADLINE) {
		attr->runtime = node_u64(n, "runtime", INT64_MAX);
		attr->deadline = node_u64(n, "deadline", INT64_MAX);
		attr->period = node_u64(n, "period", INT64_MAX);
		if (node_bool(n, "reclaim"))
			attr->flags |= FLAG_RECLAIM;
		if (node_bool(n, "overrun_signal"))
			attr->flags |= FLAG_OVERRUN;
	} else if (node_has(n, "slice")) {
		attr->runtime = node_u64(n, "slice", INT64_MAX);
	}
	if (node_has(n, "utilization_min")) {
		attr->flags |= FLAG_UTIL_CLAMP;
		attr->util_min = (uint32_t)node_u64(n, "utilization_min", 1024);
		attr->util_max = (uint32_t)node_u64(n, "utilization_max", 1024);
	}
}

static void thread_asks(struct restore *r, struct restore_thread *t, const struct node *n)
{
	uint64_t priority = node_u64(n, "io_priority", UINT16_MAX);
	struct rlimit nice = { 0 }, rt = { 0 };
	const char *what = NULL;
	struct attr attr;

	get_policy(n, &attr);
	getrlimit(RLIMIT_NICE, &nice);
	getrlimit(RLIMIT_RTPRIO, &rt);
	if (r->grants.capabilities >> CAP_SYS_NICE & 1)
		return;
	if (attr.policy == DEADLINE ||
	    ((attr.policy == FIFO || attr.policy == RR) && attr.priority > rt.rlim_max))
		what = "a real-time scheduling policy";
	else if (attr.nice < getpriority(PRIO_PROCESS, 0) && 20 - attr.nice > (int64_t)nice.rlim_max)
		what = "a nice value below podckpt's own";
	else if (priority >> IOPRIO_CLASS_SHIFT == IOPRIO_CLASS_RT)
		what = "a real-time I/O priority";
	if (what)
		grants_refuse(&r->grants, "pid %d (%s): it has %s; grant that with --cap-add sys_nice",
			      t->process->vpid, t->process->name, what);
}

static int restore_cpus(const struct node *n, pid_t tid, struct ct_error *err)
{
	const char *list = node_has(n, "cpus") ? node_str(n, "cpus") : NULL;
	struct cpus wanted, now;
	int e;

	memset(&wanted, 0xff, sizeof(wanted));
	if (list && !parse_cpus(list, &wanted))
		return error_set(err, -EBADMSG, "a list of CPUs '%s'", list);
	e = SYS_RET(syscall(SYS_sched_setaffinity, tid, sizeof(wanted.word), wanted.word));
	if (e < 0 && e != -EINVAL)
		return error_errno(err, e, "sched_setaffinity");
	if (!list)
		return 0;
	if (e == 0)
		e = get_affinity(tid, &now);
	if (e < 0 || !all_of(&wanted, &now))
		return error_set(err, -ENOSYS,
				 "it is bound to CPUs %s, which this host does not all have for it", list);
	return 0;
}

static int restore_slack(struct restore *r, pid_t tid, uint64_t slack, struct ct_error *err)
{
	char path[64], text[32];
	int e;

	snprintf(path, sizeof(path), "%d/timerslack_ns", tid);
	snprintf(text, sizeof(text), "%" PRIu64, slack);
	e = io_write_file(r->proc, path, text);
	return e < 0 ? error_errno(err, e, "set its timer slack") : 0;
}

static void restore_memory_policy(const struct node *n, struct tape *tape)
{
	const struct node *policy = node_object(n, "memory_policy"), *nodes = node_array(policy, "nodes");
	uint64_t mask[MAX_NODES / 64] = { 0 };

	for (size_t i = 0; i < node_count(nodes); i++) {
		uint64_t node = node_at_u64(nodes, i, MAX_NODES - 1);

		mask[node / 64] |= 1ULL << (node % 64);
	}
	tape_must(tape, "set_mempolicy (this host may lack the NUMA nodes)", SYS_set_mempolicy,
		  node_hex(policy, "mode"), tape_data(tape, mask, sizeof(mask)), MAX_NODES, 0, 0, 0);
}

static int thread_restore(struct restore *r, struct restore_thread *t, const struct node *n,
			  struct tape *tape, struct ct_error *err)
{
	uint64_t slack = node_u64(n, "timer_slack", UINT64_MAX);
	long priority = (long)node_u64(n, "io_priority", UINT16_MAX);
	pid_t tid = t->t.tid;
	struct attr attr;
	int e;

	get_policy(n, &attr);
	if (node_has(n, "memory_policy"))
		restore_memory_policy(n, tape);
	e = doc_check(r->doc, err);
	if (e == 0)
		e = restore_cpus(n, tid, err);
	/* Real-time policies set the slack to 0 by themselves, and 0 written means the default. */
	if (e == 0 && slack)
		e = restore_slack(r, tid, slack, err);
	if (e < 0)
		return e;
	/* Real-time threads have a nice value too, for when they leave that policy. */
	if (setpriority(PRIO_PROCESS, (id_t)tid, attr.nice) < 0)
		return error_errno(err, -errno, "set nice value %d", attr.nice);
	e = SYS_RET(syscall(SYS_sched_setattr, tid, &attr, 0));
	if (e < 0)
		return error_errno(err, e, "set scheduling policy '%s'", node_str(n, "policy"));
	if (SYS_RET(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid)) == priority)
		return 0;
	e = SYS_RET(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, priority));
	return e < 0 ? error_errno(err, e, "set I/O priority %ld", priority) : 0;
}

const struct kind kind_scheduling = {
	.name = "scheduling",
	.carries = "nice value, scheduling policy, CPU affinity, I/O priority, timer slack, NUMA policy of each "
		   "thread",
	.refuses = "core scheduling; NUMA policies of single areas; CPUs that the restoring host lacks",
	.victims = "sched-memory sched-memory-area sched-nice sched-policy sched-affinity sched-slack",
	.process_check = process_check,
	.thread_ask = thread_ask,
	.thread_dump = thread_dump,
	.thread_asks = thread_asks,
	.thread_restore = thread_restore,
};
