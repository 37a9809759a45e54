/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own memory, to be read: for what it keeps and no call of it tells, such as a connection that waits to
 * be accepted. Nothing is ever written, so nothing of the pod is touched; what was read may have been changing meanwhile,
 * and the caller reads twice or checks what it can.
 *
 * How: BPF programs of a few instructions (man 2 bpf) list objects and copy bytes; the kernel's description of its types
 * (Documentation/bpf/btf.rst, /sys/kernel/btf/vmlinux) says where the fields are. A page is known by its `struct page`; where
 * that array and the memory that it describes lie is found out by means of a page of our own, and proved by reading it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libct/base/cleanup.h"

struct ct_error;
struct kernel;

/*
 * Needs CAP_BPF and CAP_PERFMON, and takes some 20 ms. -EOPNOTSUPP with words: this kernel describes itself not, or keeps
 * its memory to itself (man 7 kernel_lockdown).
 */
int kernel_open(struct kernel **ret, struct ct_error *err);
void kernel_close(struct kernel *k);
DEFINE_CLEANUP(struct kernel *, kernel_close)

/* Copies `len` bytes from an address of the kernel's. -EFAULT: there is nothing; *err may be NULL. */
int kernel_read(struct kernel *k, uint64_t address, void *buf, size_t len);
/*
 * The same for what may be changed or freed meanwhile: -EAGAIN with words where there is nothing. kernel_changed() is for the
 * caller who sees it by what was read.
 */
int kernel_fetch(struct kernel *k, uint64_t address, void *buf, size_t len, struct ct_error *err);
int kernel_changed(struct ct_error *err);
/* Where the memory of a `struct page` is. */
uint64_t kernel_page(const struct kernel *k, uint64_t page);

/* The size of a struct; -EOPNOTSUPP with words: there is none of this name, or it is larger than `max`, which there is room for. */
int kernel_size(struct kernel *k, const char *type, size_t max, size_t *ret, struct ct_error *err);

/* A field of a struct: its place in bits and its width, which is 0 where there is none of that name. */
struct kernel_field {
	uint32_t at, width;
};

/*
 * "tcp_sock.rx_opt.ts_recent", through structs without a name. -EOPNOTSUPP with words: there is no such field. `path` is
 * kept: the second time the answer is at hand.
 */
int kernel_field(struct kernel *k, const char *path, struct kernel_field *ret, struct ct_error *err);

/* Several at once. Where a path begins with "?", there need not be such a field. */
struct kernel_path {
	struct kernel_field *to;
	const char *path;
};
int kernel_fields(struct kernel *k, const struct kernel_path *list, size_t n, struct ct_error *err);
/* The number in it, of at most 64 bits; `object` is a copy of the whole struct. */
uint64_t kernel_get(const void *object, struct kernel_field f);
/* The same of an object at an address; errors as of kernel_fetch(). */
int kernel_get_at(struct kernel *k, uint64_t object, struct kernel_field f, uint64_t *ret, struct ct_error *err);

/* The addresses of all TCP sockets of the caller's network namespace (struct sock_common); the caller frees. */
int kernel_tcp_sockets(struct kernel *k, uint64_t **ret, size_t *ret_n, struct ct_error *err);

/* The address of what is behind a descriptor of ours: a struct socket, a struct pipe_inode_info, ... */
int kernel_file(struct kernel *k, int fd, uint64_t *ret, struct ct_error *err);

/* The address of a task (struct task_struct), by its host TID. -ESRCH: there is none. */
int kernel_task(struct kernel *k, pid_t tid, uint64_t *ret, struct ct_error *err);

/*
 * What is to be added to a pointer to something of which every CPU has a copy, for the copies of the first CPU, the next, ...;
 * k's. -EOPNOTSUPP with words: it cannot be found out.
 */
int kernel_per_cpu(struct kernel *k, const uint64_t **ret, size_t *ret_n, struct ct_error *err);
