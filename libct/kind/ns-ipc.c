/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/kind/ns-ipc.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libct/base/io.h"

void ipc_put(struct node *n, int id, const struct ipc_perm *perm)
{
	node_put_i64(n, "id", id);
	node_put_hex(n, "key", (uint32_t)perm->__key);
	node_put_u64(n, "uid", perm->uid);
	node_put_u64(n, "gid", perm->gid);
	node_put_u64(n, "creator_uid", perm->cuid);
	node_put_u64(n, "creator_gid", perm->cgid);
	node_put_u64(n, "mode", perm->mode & 0777);
}

void ipc_get(const struct node *n, struct ipc_object *ret)
{
	uint64_t key = node_hex(n, "key");

	if (key > UINT32_MAX)
		node_complain(n, "a key of more than 32 bits");
	*ret = (struct ipc_object){
		.id = (int)node_i64(n, "id", 0, INT32_MAX),
		.key = (key_t)key,
		.uid = (uid_t)node_u64(n, "uid", UINT32_MAX - 1),
		.gid = (gid_t)node_u64(n, "gid", UINT32_MAX - 1),
		.cuid = (uid_t)node_u64(n, "creator_uid", UINT32_MAX - 1),
		.cgid = (gid_t)node_u64(n, "creator_gid", UINT32_MAX - 1),
		.mode = (unsigned int)node_u64(n, "mode", 0777),
	};
}

int ipc_next_id(struct restore *r, const char *what, int id, struct ct_error *err)
{
	char path[64], text[16];
	int e;

	snprintf(path, sizeof(path), "sys/kernel/%s_next_id", what);
	snprintf(text, sizeof(text), "%d", id);
	e = io_write_file(r->proc, path, text);
	if (e == -ENOENT)
		return error_set(err, -ENOSYS, "this kernel cannot give a System V object its old id "
					       "(CONFIG_CHECKPOINT_RESTORE)");
	return e < 0 ? error_errno(err, e, "write '%s'", path) : 0;
}

/* The system calls themselves: glibc's change every thread. */
int ipc_become_creator(const struct ipc_object *o)
{
	if ((o->cgid && syscall(SYS_setresgid, -1, o->cgid, -1) < 0) ||
	    (o->cuid && syscall(SYS_setresuid, -1, o->cuid, -1) < 0)) {
		int e = -errno;

		ipc_become_root();
		return e;
	}
	return 0;
}

void ipc_become_root(void)
{
	syscall(SYS_setresuid, -1, 0, -1);
	syscall(SYS_setresgid, -1, 0, -1);
}
