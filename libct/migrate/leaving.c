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

int leaving_write(struct pod *pod, const struct ct_remote_options *remote, const char *id, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();
	cleanup_free char *text = NULL;
	size_t len;
	int r;

	if (!doc)
		return error_errno(err, -ENOMEM, "migration");
	node_put_str(doc_root(doc), "id", id);
	node_put_str(doc_root(doc), "host", remote->host);
	node_put_str(doc_root(doc), "rsh", remote->rsh);
	node_put_str(doc_root(doc), "remote_podckpt", remote->remote_podckpt);
	r = doc_check(doc, err);
	if (r == 0)
		r = doc_format(doc, &text, &len, err);
	if (r < 0)
		return r;
	r = write_note(pod, text, len);
	return r < 0 ? error_errno(err, r, "write '%s/migration.json'", pod->dir) : 0;
}

int leaving_read(struct pod *pod, struct doc **ret_doc, struct ct_remote_options *ret, const char **ret_id,
		 struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	cleanup_free char *text = NULL;
	ssize_t len = io_read_file(pod->dirfd, "migration.json", NOTE_MAX, &text);
	const struct node *root;
	int r;

	if (len < 0)
		return error_errno(err, (int)len, "read '%s/migration.json'", pod->dir);
	r = doc_parse(text, (size_t)len, &doc, err);
	if (r < 0)
		return r;
	root = doc_root(doc);
	*ret_id = node_str(root, "id");
	ret->host = node_str(root, "host");
	ret->rsh = node_has(root, "rsh") ? node_str(root, "rsh") : NULL;
	ret->remote_podckpt = node_has(root, "remote_podckpt") ? node_str(root, "remote_podckpt") : NULL;
	if (!migration_id_valid(*ret_id))
		node_complain(root, "not the name of a migration");
	r = doc_check(doc, err);
	if (r == 0)
		*ret_doc = take_ptr(doc);
	return r;
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
