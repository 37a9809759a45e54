/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc says of a task: man 5 proc. Every function takes the host's /proc as a descriptor
 * (the caller may be in another mount namespace) and host PIDs.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libct/base/cleanup.h"
#include "libct/libct.h"

/* The numbers of /proc/PID/stat that are of use; indices are the manual's field numbers. */
struct proc_stat {
	char comm[64];
	char state;
	pid_t ppid, pgrp, session; /* as the reader's PID namespace sees them */
	int tty_nr;
	unsigned int flags;
	uint64_t f[53]; /* f[22] starttime ... f[52] exit_code; signed ones as their bit pattern */
};

/* Of the task PID (or of thread TID of it, tid != 0). -ESRCH: gone. */
int proc_stat(int proc, pid_t pid, pid_t tid, struct proc_stat *ret);

struct proc_status {
	char state;
	int umask;
	pid_t vpid, vtgid, vpgid, vsid; /* in the innermost PID namespace */
	unsigned int n_pid_levels;
	pid_t tgid, ppid, tracer;
	uint32_t uid[4], gid[4]; /* real, effective, saved, file system */
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	bool no_new_privs;
	unsigned int seccomp; /* 0 none, 1 strict, 2 filter */
	unsigned int n_threads;
	unsigned int fd_size; /* 0: its descriptors are gone, it is ending */
	uint64_t sig_pending, sig_shared_pending, sig_blocked, sig_ignored, sig_caught;
	uint32_t *groups; /* owned */
	size_t n_groups;
	bool shadow_stack; /* x86_Thread_features has shstk */
};
int proc_status(int proc, pid_t pid, pid_t tid, struct proc_status *ret);
void proc_status_release(struct proc_status *s);

/* A whole file /proc/PID/NAME; the caller frees. */
ssize_t proc_read(int proc, pid_t pid, const char *name, char **ret);
/* readlink(2) of /proc/PID/NAME; the caller frees. */
int proc_readlink(int proc, pid_t pid, const char *name, char **ret);
int proc_open(int proc, pid_t pid, const char *name, int flags);

/* The tids of a process, or its descriptors, ascending; the caller frees. Returns the count. */
ssize_t proc_numbers(int proc, pid_t pid, const char *name, int **ret);

/* One area of /proc/PID/smaps. */
struct vma {
	uint64_t start, end, offset;
	int prot;	   /* PROT_* */
	bool shared;	   /* MAP_SHARED */
	unsigned int major, minor;
	uint64_t inode;
	char *name;	   /* file name or "[heap]", "" for none; owned */
	uint32_t flags;	   /* VMA_*, from VmFlags */
	uint64_t kernel_page; /* bytes */
	uint64_t resident;    /* bytes, Rss */
};

enum {
	VMA_GROWSDOWN = 1 << 0,	 /* gd */
	VMA_LOCKED = 1 << 1,	 /* lo */
	VMA_DONTFORK = 1 << 2,	 /* dc */
	VMA_DONTDUMP = 1 << 3,	 /* dd */
	VMA_WIPEONFORK = 1 << 4, /* wf */
	VMA_HUGEPAGE = 1 << 5,	 /* hg */
	VMA_NOHUGEPAGE = 1 << 6, /* nh */
	VMA_MERGEABLE = 1 << 7,	 /* mg */
	VMA_RANDOM = 1 << 8,	 /* rr */
	VMA_SEQUENTIAL = 1 << 9, /* sr */
	VMA_HUGETLB = 1 << 10,	 /* ht */
	VMA_NORESERVE = 1 << 11, /* nr */
	VMA_MAYSHARE = 1 << 12,	 /* ms: MAP_SHARED, also of a file opened read-only */
	VMA_IO = 1 << 13,	 /* io or pf: device memory */
	VMA_UFFD = 1 << 14,	 /* um, uw: userfaultfd */
	VMA_SEALED = 1 << 15,	 /* sl */
	VMA_LOCKONFAULT = 1 << 16, /* lf: mlock2(MLOCK_ONFAULT) */
	VMA_MAYWRITE = 1 << 17,	 /* mw */
	VMA_ACCOUNT = 1 << 18,	 /* ac */
	VMA_DROPPABLE = 1 << 19, /* dp */
	VMA_SHADOW_STACK = 1 << 20, /* ss */
	VMA_KEY = 1 << 21,	 /* a protection key of its own: ProtectionKey */
	VMA_UNKNOWN = 1 << 30,	 /* a flag we do not know that changes behaviour */
};

struct vma_list {
	struct vma *v;
	size_t n;
};
/* Reads the areas in address order, [vsyscall] left out. */
int proc_areas(int proc, pid_t pid, struct vma_list *ret);
void vma_list_release(struct vma_list *list);
/* The kernel's two-letter names of flags ("gd lo"), and back; false: a name that is none of ours. */
void vma_flags_format(uint32_t flags, char text[64]);
bool vma_flags_parse(const char *text, uint32_t *ret);
/* The area that begins at, or holds, an address; NULL. */
const struct vma *vma_find(const struct vma_list *list, uint64_t address);
