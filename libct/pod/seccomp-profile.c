/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles in the JSON form of container engines and of the OCI runtime specification:
 *
 *	{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
 *	  "syscalls": [ { "names": ["read", ...], "action": "SCMP_ACT_ALLOW", "errnoRet": 1,
 *			  "args": [ { "index": 0, "value": 1, "valueTwo": 0, "op": "SCMP_CMP_EQ" } ],
 *			  "includes": { "caps": [...], "arches": [...], "minKernel": "4.8" },
 *			  "excludes": { ... } } ] }
 *
 * "architectures" and "archMap" are not needed: a pod's programs are native, or 32-bit ones.
 */
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/utsname.h>

#include "images/node.h"
#include "libct/base/error.h"
#include "libct/pod/inside.h"
#include "libct/pod/seccomp-impl.h"

#define ARGS_MAX 6
#define ERRNO_MAX 4095

DEFINE_CLEANUP(struct doc *, doc_free)

struct profile {
	scmp_filter_ctx ctx;
	uint32_t default_action;
	uint64_t capabilities;
};

static uint32_t action(const struct node *n, const char *key, uint64_t code)
{
	static const struct {
		const char *name;
		uint32_t action;
	} actions[] = {
		{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
		{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
		{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
		{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
		{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
		{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
		{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) },
		{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) },
	};
	const char *name = node_str(n, key);

	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (strcmp(actions[i].name, name))
			continue;
		if (actions[i].action == SCMP_ACT_ERRNO(0))
			return SCMP_ACT_ERRNO(code);
		if (actions[i].action == SCMP_ACT_TRACE(0))
			return SCMP_ACT_TRACE(code);
		return actions[i].action;
	}
	node_complain(n, "action '%s' is not known", name);
	return SCMP_ACT_KILL_PROCESS;
}

static uint64_t errno_field(const struct node *n, const char *key)
{
	return node_has(n, key) ? node_u64(n, key, ERRNO_MAX) : EPERM;
}

static enum scmp_compare comparison(const struct node *n)
{
	static const char *const names[] = {
		[SCMP_CMP_NE] = "SCMP_CMP_NE", [SCMP_CMP_LT] = "SCMP_CMP_LT",
		[SCMP_CMP_LE] = "SCMP_CMP_LE", [SCMP_CMP_EQ] = "SCMP_CMP_EQ",
		[SCMP_CMP_GE] = "SCMP_CMP_GE", [SCMP_CMP_GT] = "SCMP_CMP_GT",
		[SCMP_CMP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
	};
	const char *op = node_str(n, "op");

	for (unsigned int i = 1; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(names[i], op))
			return (enum scmp_compare)i;
	node_complain(n, "comparison '%s' is not known", op);
	return SCMP_CMP_EQ;
}

/* Returns how many; `ret` has room for ARGS_MAX. *ret_repeated: an argument is compared twice. */
static unsigned int get_args(const struct node *rule, struct scmp_arg_cmp *ret, bool *ret_repeated)
{
	const struct node *args = node_has(rule, "args") ? node_array(rule, "args") : NULL;
	size_t n = node_count(args);
	unsigned int seen = 0;

	*ret_repeated = false;
	if (n > ARGS_MAX) {
		node_complain(args, "more than %d comparisons", ARGS_MAX);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		const struct node *a = node_at(args, i);
		enum scmp_compare op = comparison(a);
		uint64_t value = node_u64(a, "value", UINT64_MAX);
		uint64_t two = node_has(a, "valueTwo") ? node_u64(a, "valueTwo", UINT64_MAX) : 0;

		ret[i] = (struct scmp_arg_cmp){
			.arg = (unsigned int)node_u64(a, "index", ARGS_MAX - 1),
			.op = op,
			.datum_a = value,
			.datum_b = two,
		};
		*ret_repeated |= seen & 1u << ret[i].arg;
		seen |= 1u << ret[i].arg;
	}
	return (unsigned int)n;
}

/* ---- includes and excludes ---- */

static bool has_cap(const struct profile *p, const char *name)
{
	cap_value_t cap;

	/* A capability that this host does not know is one the pod does not have. */
	return cap_from_name(name, &cap) == 0 && cap < 64 && p->capabilities >> cap & 1;
}

static bool is_native(const char *arch)
{
	return !strcmp(arch, "amd64") || !strcmp(arch, "x86_64");
}

/* Is the running kernel at least "4.8"? */
static bool kernel_at_least(const char *version)
{
	unsigned int want_major = 0, want_minor = 0, major = 0, minor = 0;
	struct utsname uts;

	if (uname(&uts) < 0 || sscanf(uts.release, "%u.%u", &major, &minor) != 2)
		return false;
	sscanf(version, "%u.%u", &want_major, &want_minor);
	return major > want_major || (major == want_major && minor >= want_minor);
}

/* Engines' meaning: a rule counts if all of "includes" holds and nothing of "excludes". */
static bool rule_applies(const struct profile *p, const struct node *rule)
{
	const struct node *in = node_has(rule, "includes") ? node_object(rule, "includes") : NULL;
	const struct node *out = node_has(rule, "excludes") ? node_object(rule, "excludes") : NULL;
	const struct node *list;
	bool applies = true;

	list = node_has(in, "caps") ? node_array(in, "caps") : NULL;
	for (size_t i = 0; i < node_count(list); i++)
		applies &= has_cap(p, node_at_str(list, i));
	list = node_has(in, "arches") ? node_array(in, "arches") : NULL;
	if (node_count(list)) {
		bool any = false;

		for (size_t i = 0; i < node_count(list); i++)
			any |= is_native(node_at_str(list, i));
		applies &= any;
	}
	if (node_has(in, "minKernel"))
		applies &= kernel_at_least(node_str(in, "minKernel"));
	list = node_has(out, "caps") ? node_array(out, "caps") : NULL;
	for (size_t i = 0; i < node_count(list); i++)
		applies &= !has_cap(p, node_at_str(list, i));
	list = node_has(out, "arches") ? node_array(out, "arches") : NULL;
	for (size_t i = 0; i < node_count(list); i++)
		applies &= !is_native(node_at_str(list, i));
	if (node_has(out, "minKernel"))
		applies &= !kernel_at_least(node_str(out, "minKernel"));
	return applies;
}

/* ---- rules ---- */

static int add(struct profile *p, uint32_t act, const char *name, const struct scmp_arg_cmp *args,
	       unsigned int n, bool repeated)
{
	int nr = seccomp_syscall_resolve_name(name), r = 0;

	/* Profiles name the system calls of every architecture and of kernels to come. */
	if (nr == __NR_SCMP_ERROR || act == p->default_action)
		return 0;
	if (!repeated)
		return seccomp_rule_add_array(p->ctx, act, nr, n, args);
	/* One rule compares an argument once: engines take such a list as alternatives. */
	for (unsigned int i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add_array(p->ctx, act, nr, 1, &args[i]);
	return r;
}

static int add_rule(struct profile *p, const struct node *rule, struct ct_error *err)
{
	const struct node *names = node_has(rule, "names") ? node_array(rule, "names") : NULL;
	const char *single = node_has(rule, "name") ? node_str(rule, "name") : NULL;
	uint32_t act = action(rule, "action", errno_field(rule, "errnoRet"));
	struct scmp_arg_cmp args[ARGS_MAX];
	bool repeated;
	unsigned int n = get_args(rule, args, &repeated);
	int r = 0;

	if (!names && !single)
		node_complain(rule, "it names no system call");
	if (!rule_applies(p, rule))
		return 0;
	for (size_t i = 0; r == 0 && i < node_count(names); i++) {
		const char *name = node_at_str(names, i);

		r = add(p, act, name, args, n, repeated);
		if (r < 0)
			return error_errno(err, r, "rule for '%s'", name);
	}
	if (single && *single)
		r = add(p, act, single, args, n, repeated);
	return r < 0 ? error_errno(err, r, "rule for '%s'", single) : 0;
}

static int set_flags(struct profile *p, const struct node *root)
{
	const struct node *flags = node_has(root, "flags") ? node_array(root, "flags") : NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < node_count(flags); i++) {
		const char *flag = node_at_str(flags, i);

		if (!strcmp(flag, "SECCOMP_FILTER_FLAG_LOG"))
			r = seccomp_attr_set(p->ctx, SCMP_FLTATR_CTL_LOG, 1);
		else if (!strcmp(flag, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"))
			r = seccomp_attr_set(p->ctx, SCMP_FLTATR_CTL_SSB, 1);
		else if (strcmp(flag, "SECCOMP_FILTER_FLAG_TSYNC")) /* there is one thread */
			node_complain(flags, "flag '%s' is not known", flag);
	}
	return r;
}

static int read_profile(const struct node *root, uint64_t capabilities, scmp_filter_ctx *ret,
			struct ct_error *err)
{
	cleanup_seccomp scmp_filter_ctx ctx = NULL;
	struct profile p = { .capabilities = capabilities };
	const struct node *rules;
	int r;

	p.default_action = action(root, "defaultAction", errno_field(root, "defaultErrnoRet"));
	ctx = p.ctx = seccomp_new(p.default_action);
	if (!ctx)
		return error_errno(err, -ENOMEM, "build the system call filter");
	r = set_flags(&p, root);
	if (r < 0)
		return error_errno(err, r, "set the flags of the system call filter");
	rules = node_has(root, "syscalls") ? node_array(root, "syscalls") : NULL;
	for (size_t i = 0; r == 0 && i < node_count(rules); i++)
		r = add_rule(&p, node_at(rules, i), err);
	if (r == 0)
		*ret = take_ptr(ctx);
	return r;
}

int seccomp_profile(const char *text, uint64_t capabilities, scmp_filter_ctx *ret,
		    struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	cleanup_seccomp scmp_filter_ctx ctx = NULL;
	int r = doc_parse(text, strlen(text), &doc, err);

	if (r == 0)
		r = read_profile(doc_root(doc), capabilities, &ctx, err);
	if (doc && doc_check(doc, r == 0 ? err : NULL) < 0 && r == 0)
		r = -EINVAL; /* the words are the document's */
	if (r == -EBADMSG)
		r = -EINVAL; /* the user's file, not an image */
	if (r < 0)
		return error_prefix(err, r, "seccomp profile");
	*ret = take_ptr(ctx);
	return 0;
}
