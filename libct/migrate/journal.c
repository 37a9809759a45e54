/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/migrate/journal.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/pod/proc.h"

#define ENTRY_MAX 65536

DEFINE_CLEANUP(struct doc *, doc_free)

static const char *const phase_names[] = {
	[JOURNAL_BUILDING] = "building",
	[JOURNAL_RUNNING] = "running",
};

static const char *const arrival_names[] = {
	[ARRIVAL_GONE] = "gone",     [ARRIVAL_BUILDING] = "building", [ARRIVAL_RUNNING] = "running",
	[ARRIVAL_ENDED] = "ended",   [ARRIVAL_UNKNOWN] = "unknown",
};

const char *arrival_name(enum arrival arrival)
{
	return arrival_names[arrival];
}

enum arrival arrival_of(const char *name)
{
	for (int i = 0; i <= ARRIVAL_UNKNOWN; i++)
		if (!strcmp(name, arrival_names[i]))
			return i;
	return ARRIVAL_UNKNOWN;
}

static int journal_open(struct ct *ct, struct ct_error *err)
{
	char path[PATH_MAX];
	int fd, r;

	snprintf(path, sizeof(path), "%s/migrations", ct->root);
	r = io_mkdir_p(path, 0700);
	if (r < 0)
		return error_errno(err, r, "mkdir '%s'", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, -errno, "open '%s'", path) : fd;
}

static int write_entry(int dirfd, const char *id, const char *text, size_t len)
{
	cleanup_fd int fd = -1;
	char name[64], temporary[64];
	int r;

	snprintf(name, sizeof(name), "%s.json", id);
	snprintf(temporary, sizeof(temporary), ".%s.%d", id, getpid());
	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = io_write_all(fd, text, len);
	if (r == 0 && (fsync(fd) < 0 || renameat(dirfd, temporary, dirfd, name) < 0 || fsync(dirfd) < 0))
		r = -errno;
	if (r < 0)
		unlinkat(dirfd, temporary, 0);
	return r;
}

int journal_write(struct ct *ct, const char *id, const struct pod *pod, enum journal_phase phase,
		  struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();
	cleanup_fd int dirfd = journal_open(ct, err);
	struct node *root = doc ? doc_root(doc) : NULL, *builder;
	cleanup_free char *text = NULL;
	size_t len;
	int r;

	if (dirfd < 0)
		return dirfd;
	if (!doc)
		return error_errno(err, -ENOMEM, "migration");
	node_put_str(root, "pod", pod->name);
	node_put_str(root, "cgroup", pod->state.cgroup);
	node_put_str(root, "phase", phase_names[phase]);
	builder = node_put_object(root, "builder");
	node_put_i64(builder, "pid", getpid());
	node_put_u64(builder, "started", proc_started(getpid()));
	r = doc_check(doc, err);
	if (r == 0)
		r = doc_format(doc, &text, &len, err);
	if (r < 0)
		return r;
	r = write_entry(dirfd, id, text, len);
	return r < 0 ? error_errno(err, r, "write '%s/migrations/%s.json'", ct->root, id) : 0;
}

int journal_remove(struct ct *ct, const char *id, struct ct_error *err)
{
	cleanup_fd int dirfd = journal_open(ct, err);
	char name[64];

	if (dirfd < 0)
		return dirfd;
	snprintf(name, sizeof(name), "%s.json", id);
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return error_errno(err, -errno, "remove '%s/migrations/%s'", ct->root, name);
	fsync(dirfd);
	return 0;
}

/* -ENOENT: there is none. */
static int journal_read(struct ct *ct, const char *id, struct journal *ret, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	cleanup_fd int dirfd = journal_open(ct, err);
	const struct node *root, *builder;
	cleanup_free char *text = NULL;
	const char *phase;
	char name[64];
	ssize_t len;
	int r, i = 0;

	if (dirfd < 0)
		return dirfd;
	snprintf(name, sizeof(name), "%s.json", id);
	len = io_read_file(dirfd, name, ENTRY_MAX, &text);
	if (len < 0)
		return error_errno(err, (int)len, "read '%s/migrations/%s'", ct->root, name);
	r = doc_parse(text, (size_t)len, &doc, err);
	if (r < 0)
		return r;
	root = doc_root(doc);
	snprintf(ret->pod, sizeof(ret->pod), "%s", node_str(root, "pod"));
	snprintf(ret->cgroup, sizeof(ret->cgroup), "%s", node_str(root, "cgroup"));
	phase = node_str(root, "phase");
	while (i < JOURNAL_RUNNING && strcmp(phase, phase_names[i]))
		i++;
	if (strcmp(phase, phase_names[i]))
		node_complain(root, "unknown phase");
	ret->phase = i;
	builder = node_object(root, "builder");
	ret->builder = (pid_t)node_i64(builder, "pid", 0, INT_MAX);
	ret->builder_started = node_u64(builder, "started", UINT64_MAX);
	return doc_check(doc, err);
}

int journal_ask(struct ct *ct, const char *id, enum arrival *ret, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	struct journal j = { 0 };
	struct ct_error why = { 0 };
	bool there;
	int r = journal_read(ct, id, &j, err);

	if (r == -ENOENT) {
		*ret = ARRIVAL_GONE;
		return 0;
	}
	if (r < 0)
		return r;
	if (j.phase != JOURNAL_RUNNING && proc_alive(j.builder, j.builder_started)) {
		*ret = ARRIVAL_BUILDING;
		return 0;
	}
	r = pod_open(ct, j.pod, &pod, &why);
	if (r < 0 && r != -ENOENT)
		return error_lines(err, r, why.text);
	there = r == 0 && !strcmp(pod->state.cgroup, j.cgroup);
	/* Its monitor was killed before it had taken it over. */
	if (there && pod->state.status == CT_EXITED && !pod->state.main_vpid)
		there = false;
	if (there && pod->state.status == CT_EXITED)
		*ret = ARRIVAL_ENDED;
	else if (there && (pod->state.status == CT_CREATED || pod->state.status == CT_RESTORING))
		*ret = ARRIVAL_BUILDING; /* its monitor is about to remove it */
	else if (there)
		*ret = ARRIVAL_RUNNING;
	else
		*ret = j.phase == JOURNAL_RUNNING ? ARRIVAL_ENDED : ARRIVAL_GONE;
	return *ret == ARRIVAL_GONE ? journal_remove(ct, id, err) : 0;
}

/* ".ID.PID", which is written by that process. */
static bool is_abandoned(const char *name)
{
	const char *pid = strrchr(name, '.');

	return name[0] == '.' && pid > name && atoi(pid + 1) > 0 && kill(atoi(pid + 1), 0) < 0 && errno == ESRCH;
}

static void sweep_entry(struct ct *ct, int dirfd, const char *name)
{
	char id[MIGRATION_ID_SIZE];
	enum arrival arrival;
	struct stat st;

	if (is_abandoned(name))
		unlinkat(dirfd, name, 0);
	if (strlen(name) != sizeof(id) - 1 + strlen(".json") || strcmp(name + sizeof(id) - 1, ".json"))
		return;
	memcpy(id, name, sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	/* Asking removes what is gone. */
	if (!migration_id_valid(id) || journal_ask(ct, id, &arrival, NULL) < 0 || arrival == ARRIVAL_BUILDING)
		return;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    time(NULL) - st.st_mtime > JOURNAL_DAYS_KEPT * 86400L)
		unlinkat(dirfd, name, 0);
}

void journal_sweep(struct ct *ct)
{
	cleanup_fd int dirfd = journal_open(ct, NULL);
	cleanup_dir DIR *dir = dirfd < 0 ? NULL : io_open_dir(dirfd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		sweep_entry(ct, dirfd, entry->d_name);
}
