/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V semaphore sets: ids, keys, owners, values. Who changed one last and when is not carried.
 * Adjustments for the end of a process (SEM_UNDO) are in task-undo.c.
 */
#include <sys/sem.h>

#include "libct/base/cleanup.h"
#include "libct/kind/ns-ipc.h"

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

static int put_set(struct node *list, int id, const struct semid_ds *ds, struct ct_error *err)
{
	cleanup_free unsigned short *values = calloc(ds->sem_nsems, sizeof(*values));
	struct node *n = node_put_object(list, NULL), *array;

	if (!values)
		return error_errno(err, -ENOMEM, "semaphores");
	ipc_put(n, id, &ds->sem_perm);
	if (semctl(id, 0, GETALL, values) < 0)
		return errno == EIDRM ? 0 : error_errno(err, -errno, "values of semaphore set %d", id);
	array = node_put_array(n, "values");
	for (unsigned int i = 0; i < ds->sem_nsems; i++)
		node_put_u64(array, NULL, values[i]);
	return 0;
}

static int sem_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	struct seminfo info;
	int last = semctl(0, 0, SEM_INFO, (union semun){ .info = &info });
	struct node *list = node_put_array(n, "sets");

	for (int i = 0; i <= last; i++) {
		struct semid_ds ds = { 0 };
		int id = semctl(i, 0, SEM_STAT, (union semun){ .buf = &ds }), r;

		if (id < 0)
			continue;
		r = put_set(list, id, &ds, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_set(const struct ipc_object *o, unsigned short *values, size_t count, struct ct_error *err)
{
	struct semid_ds ds = { 0 };
	int e = ipc_become_creator(o), id;

	if (e < 0)
		return error_errno(err, e, "become user %u", o->cuid);
	id = semget(o->key, (int)count, IPC_CREAT | IPC_EXCL | (int)o->mode);
	e = id < 0 ? -errno : 0;
	ipc_become_root();
	if (e == 0 && id != o->id)
		e = -EEXIST;
	if (e == 0 && semctl(id, 0, SETALL, values) < 0)
		e = -errno;
	ds.sem_perm.uid = o->uid;
	ds.sem_perm.gid = o->gid;
	ds.sem_perm.mode = (unsigned short)o->mode;
	if (e == 0 && semctl(id, 0, IPC_SET, (union semun){ .buf = &ds }) < 0)
		e = -errno;
	return e < 0 ? error_errno(err, e, "make semaphore set %d", o->id) : 0;
}

static int sem_restore(struct restore *r, const struct node *n, struct ct_error *err)
{
	const struct node *list = node_array(n, "sets");

	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *set = node_at(list, i), *array = node_array(set, "values");
		cleanup_free unsigned short *values = calloc(node_count(array) + 1, sizeof(*values));
		struct ipc_object o;
		int e;

		if (!values)
			return error_errno(err, -ENOMEM, "semaphores");
		ipc_get(set, &o);
		for (size_t k = 0; k < node_count(array); k++)
			values[k] = (unsigned short)node_at_u64(array, k, 32767);
		if (node_count(array) > INT16_MAX)
			node_complain(set, "more semaphores than a set can have");
		e = doc_check(r->doc, err);
		if (e == 0)
			e = ipc_next_id(r, "sem", o.id, err);
		if (e == 0)
			e = make_set(&o, values, node_count(array), err);
		if (e < 0)
			return e;
	}
	return 0;
}

const struct kind kind_sysv_sem = {
	.name = "sysv_sem",
	.carries = "System V semaphore sets",
	.victims = "sysv-sem",
	.pod_dump = sem_dump,
	.pod_restore = sem_restore,
};
