/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V shared memory: segments with ids, keys, owners and contents. When and by whom a segment was
 * attached last is not carried.
 *
 * An attachment is a mapping of a file "/SYSV<key> (deleted)" whose inode number is the segment's id; the
 * bytes are carried like those of other files without a name (shared.c), through a descriptor that
 * /proc/PID/map_files gives. It is restored by shmat(2) and not by mmap(2): the kernel counts
 * attachments, and shmdt(2) wants them to be such.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "libct/base/cleanup.h"
#include "libct/kind/memory-restore.h"
#include "libct/kind/memory.h"
#include "libct/kind/ns-ipc.h"

#ifndef SHM_DEST
#define SHM_DEST 01000
#define SHM_LOCKED 02000
#endif
#define PAGE 4096UL

extern const struct kind kind_sysv_shm;

static bool shm_is(const struct dump *d, const struct fd_view *v)
{
	return (v->fstype == TMPFS_MAGIC || v->fstype == HUGETLBFS_MAGIC) &&
	       !strncmp(v->link, "/SYSV", 5) && strspn(v->link + 5, "0123456789abcdef") == 8 &&
	       !strcmp(v->link + 13, " (deleted)") && !(v->flags & O_PATH);
}

static int shm_fd_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	uint32_t first;
	int r;

	if (v->fstype == HUGETLBFS_MAGIC) {
		dump_refuse_fd(d, v, "shared memory of huge pages (SHM_HUGETLB) is not carried yet; close it first");
		return 0;
	}
	node_put_u64(n, "segment", v->st.st_ino);
	r = shared_dump(d, v, &first, err);
	if (r == 0 && first == v->id)
		node_put_u64(n, "size", (uint64_t)v->st.st_size);
	return r;
}

/* A descriptor of the segment's file, for its bytes. -errno. */
static int open_segment(int proc, int id, int flags, struct ct_error *err)
{
	char *at = shmat(id, NULL, flags == O_RDONLY ? SHM_RDONLY : 0);
	static const size_t pages[] = { PAGE, 2 << 20, 1 << 30 }; /* nothing else tells which it has */
	struct shmid_ds ds;
	char name[96];
	int fd = -1, e = 0;

	if (at == (char *)-1)
		return error_errno(err, -errno, "attach shared memory %d", id);
	if (shmctl(id, IPC_STAT, &ds) < 0)
		e = -errno;
	for (size_t i = 0; e == 0 && fd < 0 && i < sizeof(pages) / sizeof(pages[0]); i++) {
		snprintf(name, sizeof(name), "%d/map_files/%lx-%lx", getpid(), (unsigned long)at,
			 (unsigned long)at + ((ds.shm_segsz + pages[i] - 1) & ~(pages[i] - 1)));
		fd = openat(proc, name, flags | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT)
			e = -errno;
	}
	if (fd < 0 && e == 0)
		e = -ENOENT;
	shmdt(at);
	return e < 0 ? error_errno(err, e, "open the file of shared memory %d", id) : fd;
}

/* Does a description lead to it already? Then its bytes are taken care of. */
static bool is_known(struct dump *d, int id)
{
	struct node *n;

	for (uint32_t i = 0; (n = dump_descriptor_node(d, i)); i++)
		if (node_has(n, "kind") && !strcmp(node_str(n, "kind"), kind_sysv_shm.name) &&
		    node_has(n, "segment") && node_u64(n, "segment", UINT64_MAX) == (uint64_t)id)
			return true;
	return false;
}

static int put_segment(struct dump *d, struct node *list, int id, const struct shmid_ds *ds,
		       struct ct_error *err)
{
	struct node *n = node_put_object(list, NULL);
	cleanup_fd int fd = -1;
	uint32_t descriptor;
	struct statfs fs;

	ipc_put(n, id, &ds->shm_perm);
	node_put_u64(n, "size", ds->shm_segsz);
	node_put_bool(n, "removed", ds->shm_perm.mode & SHM_DEST);
	node_put_bool(n, "locked", ds->shm_perm.mode & SHM_LOCKED);
	if (d->preflight || is_known(d, id))
		return 0;
	fd = open_segment(d->proc, id, O_RDONLY, err);
	if (fd < 0)
		return fd;
	if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC) {
		dump_refuse(d, "System V shared memory %d consists of huge pages (SHM_HUGETLB), which is not carried "
			       "yet; remove it first", id);
		return 0;
	}
	return dump_descriptor(d, getpid(), fd, &descriptor, err);
}

static int shm_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	struct node *list = node_put_array(n, "segments");
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)&info);

	for (int i = 0; i <= last; i++) {
		struct shmid_ds ds;
		int id = shmctl(i, SHM_STAT, &ds), r;

		if (id < 0)
			continue;
		r = put_segment(d, list, id, &ds, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- restore ---- */

static int make_segment(const struct ipc_object *o, size_t size, bool locked, struct ct_error *err)
{
	struct shmid_ds ds = { 0 };
	int e = ipc_become_creator(o), id;

	if (e < 0)
		return error_errno(err, e, "become user %u", o->cuid);
	id = shmget(o->key, size, IPC_CREAT | IPC_EXCL | (int)o->mode);
	e = id < 0 ? -errno : 0;
	ipc_become_root();
	if (e == 0 && id != o->id)
		e = -EEXIST;
	ds.shm_perm.uid = o->uid;
	ds.shm_perm.gid = o->gid;
	ds.shm_perm.mode = (unsigned short)o->mode;
	if (e == 0 && shmctl(id, IPC_SET, &ds) < 0)
		e = -errno;
	if (e == 0 && locked && shmctl(id, SHM_LOCK, NULL) < 0)
		e = -errno;
	return e < 0 ? error_errno(err, e, "make shared memory %d", o->id) : 0;
}

static int shm_restore(struct restore *r, const struct node *n, struct ct_error *err)
{
	const struct node *list = node_array(n, "segments");

	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *segment = node_at(list, i);
		uint64_t size = node_u64(segment, "size", INT64_MAX);
		bool locked = node_bool(segment, "locked");
		struct ipc_object o;
		int e;

		ipc_get(segment, &o);
		if (node_bool(segment, "removed") && o.key != IPC_PRIVATE)
			node_complain(segment, "removed and still with a key");
		e = doc_check(r->doc, err);
		if (e == 0)
			e = ipc_next_id(r, "shm", o.id, err);
		if (e == 0)
			e = make_segment(&o, size, locked, err);
		if (e < 0)
			return e;
	}
	return 0;
}

/* A removed segment lives as long as it is attached: now it is. */
static int shm_restore_late(struct restore *r, const struct node *n, struct ct_error *err)
{
	const struct node *list = node_array(n, "segments");

	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *segment = node_at(list, i);
		int id = (int)node_i64(segment, "id", 0, INT32_MAX);

		if (node_bool(segment, "removed") && shmctl(id, IPC_RMID, NULL) < 0)
			return error_errno(err, -errno, "remove shared memory %d", id);
	}
	return 0;
}

static int shm_fd_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			  struct ct_error *err)
{
	int segment = (int)node_u64(n, "segment", INT32_MAX), e = doc_check(r->doc, err);
	int flags = (int)node_hex(n, "flags") & O_ACCMODE;
	const struct shared_end as_it_is = { .modified.tv_nsec = UTIME_OMIT };
	cleanup_fd int content = -1;
	uint64_t size;
	struct stat st;

	if (e < 0)
		return e;
	*ret_fd = open_segment(r->proc, segment, flags, err);
	if (*ret_fd < 0)
		return *ret_fd;
	if (!node_has(n, "size"))
		return 0;
	size = node_u64(n, "size", INT64_MAX);
	if (fstat(*ret_fd, &st) < 0 || (uint64_t)st.st_size != size)
		return error_set(err, -EBADMSG, "shared memory %d is of another size", segment);
	content = open_segment(r->proc, segment, O_RDWR, err);
	return content < 0 ? content : shared_restore(r, id, content, size, &as_it_is, err);
}

bool shm_is_segment(struct restore *r, int64_t descriptor)
{
	const struct node *n = descriptor < 0 ? NULL : restore_ofd_node(r, (uint32_t)descriptor, r->root);

	return n && !strcmp(node_str(n, "kind"), kind_sysv_shm.name);
}

/* A place for the whole segment that is free in the process's old and new address space alike. */
static int find_gap(struct restore_process *p, const struct restore_area *areas, size_t n, uint64_t size,
		    uint64_t *ret)
{
	uint64_t at = 0x20000000000ULL;
	bool moved;

	do {
		moved = false;
		for (size_t i = 0; i < n; i++)
			if (at < areas[i].end && at + size > areas[i].start) {
				at = areas[i].end;
				moved = true;
			}
		if (at < p->restore->tape_area + TAPE_HOLE_SIZE && at + size > p->restore->tape_area) {
			at = p->restore->tape_area + TAPE_HOLE_SIZE;
			moved = true;
		}
	} while (moved && at < 1ULL << 46);
	*ret = at;
	return moved ? -ENOMEM : 0;
}

/* Two areas of one attachment: the same distance of address and offset. Something else may lie between them. */
static bool is_part(struct restore *r, const struct restore_area *first, const struct restore_area *a)
{
	const struct node *x, *y;

	if (a->start - a->offset != first->start - first->offset || !shm_is_segment(r, a->descriptor))
		return false;
	x = restore_ofd_node(r, (uint32_t)first->descriptor, r->root);
	y = restore_ofd_node(r, (uint32_t)a->descriptor, r->root);
	return node_u64(x, "segment", INT32_MAX) == node_u64(y, "segment", INT32_MAX);
}

/* What one attachment becomes: areas[at] and its other parts. */
struct attachment {
	struct restore_process *p;
	struct restore_area *areas;
	size_t at, n;
	uint64_t size, base;
	bool in_place; /* all of the segment, where it belongs */
	int prot;
};

/* -EBADMSG: a part that the segment does not have. */
static int measure(struct attachment *t)
{
	const struct restore_area *first = &t->areas[t->at];
	uint64_t covered = 0;

	for (size_t i = t->at; i < t->n; i++) {
		const struct restore_area *a = &t->areas[i];

		if (!is_part(t->p->restore, first, a))
			continue;
		if (a->offset % PAGE || a->offset >= t->size || a->end - a->start > t->size - a->offset)
			return -EBADMSG;
		covered += a->end - a->start;
	}
	t->in_place = covered == t->size;
	t->base = first->start - first->offset;
	return t->in_place ? 0 : find_gap(t->p, t->areas, t->n, t->size, &t->base);
}

static int put_parts(struct attachment *t, struct ct_error *err)
{
	struct tape *tape = &t->p->tape;

	for (size_t i = t->at; i < t->n; i++) {
		struct restore_area *a = &t->areas[i];
		uint64_t len = a->end - a->start;
		int e;

		if (!is_part(t->p->restore, &t->areas[t->at], a))
			continue;
		e = tape_need(tape, 2, 0, err);
		if (e < 0)
			return e;
		if (!t->in_place)
			tape_must(tape, "move shared memory", SYS_mremap, t->base + a->offset, len, len,
				  MREMAP_MAYMOVE | MREMAP_FIXED, a->start, 0);
		if (a->prot != t->prot)
			tape_must(tape, "protect shared memory", SYS_mprotect, a->start, len,
				  (uint64_t)a->prot, 0, 0, 0);
		a->attached = true;
	}
	return 0;
}

int shm_attach(struct restore_process *p, struct restore_area *areas, size_t at, size_t n,
	       struct ct_error *err)
{
	struct attachment t = { .p = p, .areas = areas, .at = at, .n = n };
	struct restore *r = p->restore;
	const struct node *node = restore_ofd_node(r, (uint32_t)areas[at].descriptor, r->root);
	int segment = (int)node_u64(node, "segment", INT32_MAX), fd, e;
	bool read_only = ((int)node_hex(node, "flags") & O_ACCMODE) == O_RDONLY;
	struct stat st;

	/* Its bytes come through this. */
	fd = restore_ofd(r, (uint32_t)areas[at].descriptor, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return error_errno(err, -errno, "shared memory %d", segment);
	t.prot = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	t.size = ((uint64_t)st.st_size + PAGE - 1) & ~(PAGE - 1);
	e = measure(&t);
	if (e < 0)
		return error_errno(err, e, "attach shared memory %d", segment);
	e = tape_need(&p->tape, 1, 0, err);
	if (e < 0)
		return e;
	tape_must(&p->tape, "attach shared memory", SYS_shmat, (uint64_t)segment, t.base,
		  read_only ? SHM_RDONLY : 0, 0, 0, 0);
	e = put_parts(&t, err);
	if (e == 0 && !t.in_place)
		e = tape_need(&p->tape, 1, 0, err);
	if (e == 0 && !t.in_place)
		tape_must(&p->tape, "detach the rest", SYS_munmap, t.base, t.size, 0, 0, 0, 0);
	return e;
}

const struct kind kind_sysv_shm = {
	.name = "sysv_shm",
	.carries = "System V shared memory, attached, unattached and removed segments",
	.refuses = "shared memory of huge pages",
	.victims = "sysv-shm sysv-shm-parts sysv-shm-removed refused-huge-shm refused-huge-shm-left",
	.fd_is = shm_is,
	.fd_dump = shm_fd_dump,
	.fd_restore = shm_fd_restore,
	.pod_dump = shm_dump,
	.pod_restore = shm_restore,
	.pod_restore_late = shm_restore_late,
};
