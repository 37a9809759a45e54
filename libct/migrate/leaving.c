/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/migrate/leaving.h"

#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "libct/base/error.h"
#include "libct/base/io.h"

#define NOTE_MAX 65536

DEFINE_CLEANUP(struct doc *, doc_free)

/* "Pss_Anon:   123 kB" */
static uint64_t field(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	uint64_t kb;

	return at && sscanf(at + strlen(name), " %" SCNu64, &kb) == 1 ? kb << 10 : 0;
}

/* Pages that several share count once, by their shares. */
uint64_t leaving_memory(const struct pod *pod)
{
	cleanup_free pid_t *pids = NULL;
	ssize_t n = cgroup_processes(pod->state.cgroup, &pids, NULL);
	uint64_t sum = 0;

	for (ssize_t i = 0; i < n; i++) {
		cleanup_free char *text = NULL;
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pids[i]);
		if (io_read_file(AT_FDCWD, path, 1 << 20, &text) < 0)
			continue;
		sum += field(text, "Pss_Anon:") + field(text, "Pss_Shmem:") + field(text, "SwapPss:");
	}
	return sum;
}

int leaving_disk(const struct pod *pod, uint64_t *ret, struct ids *ids, struct ct_error *err)
{
	cleanup_free char *upper = NULL;
	int r = 0;
	FTSENT *e;
	FTS *fts;

	*ret = 0;
	if (asprintf(&upper, "%s/upper", pod->dir) < 0) {
		upper = NULL;
		return error_errno(err, -ENOMEM, "files of the pod");
	}
	fts = fts_open((char *[]){ upper, NULL }, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	while (r == 0 && fts && (e = fts_read(fts))) {
		if (e->fts_info == FTS_F || e->fts_info == FTS_D)
			*ret += (uint64_t)e->fts_statp->st_blocks * 512;
		if (e->fts_info != FTS_DP && e->fts_info != FTS_NS && e->fts_info != FTS_ERR && e->fts_info != FTS_DNR)
			r = ids_add_owner(ids, e->fts_statp->st_uid, e->fts_statp->st_gid);
	}
	if (fts)
		fts_close(fts);
	return r < 0 ? error_errno(err, r, "files of the pod") : 0;
}

static int write_note(struct pod *pod, const char *text, size_t len)
{
	cleanup_fd int fd = openat(pod->dirfd, ".migration", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write_all(fd, text, len);
	if (r == 0 && (fsync(fd) < 0 || renameat(pod->dirfd, ".migration", pod->dirfd, "migration.json") < 0 ||
		       fsync(pod->dirfd) < 0))
		r = -errno;
	return r;
}

static int write_doc(struct pod *pod, const struct doc *doc, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	size_t len;
	int r = doc_check(doc, err);

	if (r == 0)
		r = doc_format(doc, &text, &len, err);
	if (r < 0)
		return r;
	r = write_note(pod, text, len);
	return r < 0 ? error_errno(err, r, "write '%s/migration.json'", pod->dir) : 0;
}

static void put_way(struct node *to, const struct ct_remote_options *remote, const char *id)
{
	node_put_str(to, "id", id);
	node_put_str(to, "host", remote->host);
	node_put_str(to, "rsh", remote->rsh);
	node_put_str(to, "remote_podckpt", remote->remote_podckpt);
}

int leaving_write(struct pod *pod, const struct ct_remote_options *remote, const char *const *names,
		  const char (*ids)[MIGRATION_ID_SIZE], size_t n, size_t i, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();
	struct node *with;

	if (!doc)
		return error_errno(err, -ENOMEM, "migration");
	put_way(doc_root(doc), remote, ids[i]);
	with = n > 1 ? node_put_array(doc_root(doc), "with") : NULL;
	for (size_t k = 0; k < n; k++) {
		struct node *other = k == i ? NULL : node_put_object(with, NULL);

		node_put_str(other, "pod", names[k]);
		node_put_str(other, "id", ids[k]);
	}
	return write_doc(pod, doc, err);
}

int leaving_resolve(struct pod *pod, const struct leaving *l, const char *resolved, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();

	if (!doc)
		return error_errno(err, -ENOMEM, "migration");
	put_way(doc_root(doc), &l->to, l->id);
	node_copy(doc_root(doc), "with", l->with);
	node_put_str(doc_root(doc), "resolved", resolved);
	return write_doc(pod, doc, err);
}

static void read_others(const struct node *root, struct leaving *l)
{
	l->with = node_has(root, "with") ? node_array(root, "with") : NULL;
	for (size_t i = 0; i < node_count(l->with); i++) {
		const struct node *other = node_at(l->with, i);

		if (!pod_name_valid(node_str(other, "pod")) || !migration_id_valid(node_str(other, "id")))
			node_complain(other, "not a pod that left");
	}
	l->resolved = node_has(root, "resolved") ? node_str(root, "resolved") : NULL;
	if (l->resolved && strcmp(l->resolved, "keep") && strcmp(l->resolved, "drop"))
		node_complain(root, "neither keep nor drop");
}

int leaving_read(struct pod *pod, struct leaving *ret, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	ssize_t len = io_read_file(pod->dirfd, "migration.json", NOTE_MAX, &text);
	const struct node *root;
	int r;

	*ret = LEAVING_NONE;
	ret->to.size = sizeof(ret->to);
	if (len < 0)
		return error_errno(err, (int)len, "read '%s/migration.json'", pod->dir);
	r = doc_parse(text, (size_t)len, &ret->doc, err);
	if (r < 0)
		return r;
	root = doc_root(ret->doc);
	ret->id = node_str(root, "id");
	ret->to.host = node_str(root, "host");
	ret->to.rsh = node_has(root, "rsh") ? node_str(root, "rsh") : NULL;
	ret->to.remote_podckpt = node_has(root, "remote_podckpt") ? node_str(root, "remote_podckpt") : NULL;
	if (!migration_id_valid(ret->id))
		node_complain(root, "not the name of a migration");
	read_others(root, ret);
	return doc_check(ret->doc, err);
}

void leaving_release(struct leaving *l)
{
	doc_free(l->doc);
	*l = LEAVING_NONE;
}

unsigned int leaving_days(const struct pod *pod)
{
	struct stat st;

	if (fstatat(pod->dirfd, "migration.json", &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mtime > time(NULL))
		return 0;
	return (unsigned int)((time(NULL) - st.st_mtime) / 86400);
}

void leaving_forget(struct pod *pod)
{
	unlinkat(pod->dirfd, "migration.json", 0);
	unlinkat(pod->dirfd, ".migration", 0);
}
