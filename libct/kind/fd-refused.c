/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions that are known and not carried: what each is, and what would help. */
#include "libct/kind.h"
#include "libct/kind/fdinfo.h"

static const struct {
	const char *link; /* the beginning of what readlink(2) says */
	const char *text;
} refused[] = {
	{ "anon_inode:[io_uring]", "io_uring is not carried yet; start the program without it" },
	{ "anon_inode:[userfaultfd]",
	  "userfaultfd is not carried; start the program without it (of a virtual machine: without lazy memory)" },
	{ "anon_inode:[perf_event]", "perf counters are not carried; stop the measurement first" },
	{ "anon_inode:[fanotify]", "fanotify is not carried; start the program with inotify instead" },
	{ "anon_inode:bpf-", "BPF maps and programs are not carried; close them first" },
	{ "anon_inode:bpf_", "BPF links and iterators are not carried; close them first" },
	{ "anon_inode:btf", "BPF type information is not carried; close it first" },
	{ "anon_inode:seccomp notify",
	  "a listener of seccomp notifications is not carried; end the supervised program first" },
	{ "anon_inode:[fscontext]", "a file system that is being configured is not carried; try again" },
	{ "anon_inode:landlock", "a landlock rule set is not carried; close it first" },
	{ "anon_inode:[landlock", "a landlock rule set is not carried; close it first" },
	{ "anon_inode:kvm", "virtual machines (KVM) are not carried" },
	{ "anon_inode:[kvm", "virtual machines (KVM) are not carried" },
};

static const char *text_of(const struct fd_view *v)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (!strncmp(v->link, refused[i].link, strlen(refused[i].link)))
			return refused[i].text;
	return NULL;
}

static bool refused_is(const struct dump *d, const struct fd_view *v)
{
	return text_of(v);
}

static int refused_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	dump_refuse_fd(d, v, "%s", text_of(v));
	return 0;
}

const struct kind kind_refused = {
	.name = "refused",
	.carries = "nothing: what is known and not carried",
	.refuses = "io_uring, userfaultfd, perf, fanotify, BPF, seccomp listeners, landlock rule sets, KVM, system calls that a "
		   "program has sent to itself (PR_SET_SYSCALL_USER_DISPATCH; seen since Linux 6.4)",
	.victims = "refused-io-uring refused-userfaultfd refused-fanotify refused-dispatch refused-kernel refused-kvm",
	.fd_is = refused_is,
	.fd_dump = refused_dump,
};
