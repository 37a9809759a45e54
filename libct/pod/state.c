// SPDX-License-Identifier: Apache-2.0
/*
 * The directory of a pod: what is known of it, who may change it, and how its name comes and goes.
 *
 * Names are claimed and given up under a lock on the directory of all pods, by a rename: a pod is
 * either whole or not there.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "images/node.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/kernel.h"
#include "libct/base/sys.h"
#include "libct/pod/pod.h"
#include "libct/pod/proc.h"
#include "libct/pod/state.h"

#define DOCUMENT_MAX (16u << 20)
#define NAME_MAX_LEN 63
/* Seen from outside, a pod whose exit code nobody could keep was killed. */
#define EXIT_UNKNOWN (128 + 9)

DEFINE_CLEANUP(struct doc *, doc_free)
#define cleanup_doc __cleanup(doc_free_cleanup)

/* ---- the state directory ---- */

int ct_open(const char *root, struct ct **ret, struct ct_error *err)
{
	cleanup_free char *pods = NULL, *absolute = NULL;
	struct ct *ct;
	int r;

	if (geteuid() != 0)
		return error_set(err, -EPERM, "podckpt works with namespaces, cgroups and ptrace: run it as root");
	if (!root)
		root = getenv("PODCKPT_ROOT");
	if (!root || !*root)
		root = "/var/lib/podckpt";
	if (*root != '/') {
		cleanup_free char *here = getcwd(NULL, 0);

		if (!here || asprintf(&absolute, "%s/%s", here, root) < 0)
			return error_errno(err, -errno, "current directory");
		root = absolute;
	}
	if (asprintf(&pods, "%s/pods", root) < 0)
		return error_errno(err, -ENOMEM, "state directory '%s'", root);
	r = io_mkdir_p(pods, 0700);
	if (r < 0)
		return error_errno(err, r, "state directory '%s'", root);
	ct = calloc(1, sizeof(*ct));
	if (!ct)
		return error_errno(err, -ENOMEM, "state directory '%s'", root);
	ct->run_fd = -1;
	/* Resolved, because the monitor and overlay mounts use it from another current directory. */
	ct->root = realpath(root, NULL);
	if (!ct->root) {
		r = -errno;
		free(ct);
		return error_errno(err, r, "state directory '%s'", root);
	}
	*ret = ct;
	return 0;
}

void ct_close(struct ct *ct)
{
	if (!ct)
		return;
	fd_close(ct->run_fd);
	free(ct->run_name);
	free(ct->root);
	free(ct);
}

int pods_open(const struct ct *ct, bool lock, struct ct_error *err)
{
	char path[PATH_MAX];
	cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), "%s/pods", ct->root);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, -errno, "open '%s'", path);
	if (lock)
		while (flock(fd, LOCK_EX) < 0)
			if (errno != EINTR)
				return error_errno(err, -errno, "lock '%s'", path);
	return take_fd(&fd);
}

bool pod_name_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > NAME_MAX_LEN || strchr("_.-", name[0]))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n;
}

/* ---- documents ---- */

/*
 * Not by a rename over the old one, before which ext4 looks for room for the new one at once. Most of these are replaced
 * again before anything of them has to go to the disk.
 */
static int put_in_place(int dirfd, const char *temporary, const char *file)
{
	if (renameat2(dirfd, temporary, dirfd, file, RENAME_EXCHANGE) == 0) {
		/* It stands. What it was before goes with the pod at the latest. */
		unlinkat(dirfd, temporary, 0);
		return 0;
	}
	return renameat(dirfd, temporary, dirfd, file) < 0 ? -errno : 0;
}

static int document_write(struct pod *pod, const char *file, struct doc *doc, bool sync,
			  struct ct_error *err)
{
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	char temporary[64];
	size_t len;
	int r;

	r = doc_check(doc, err);
	if (r >= 0)
		r = doc_format(doc, &text, &len, err);
	if (r < 0)
		return error_prefix(err, r, "%s", file);
	/* The monitor writes its own; the name keeps it apart from another process's. */
	snprintf(temporary, sizeof(temporary), ".%s.%d", file, getpid());
	fd = openat(pod->dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, -errno, "write '%s/%s'", pod->dir, file);
	r = io_write_all(fd, text, len);
	if (r >= 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r >= 0)
		r = put_in_place(pod->dirfd, temporary, file);
	if (r < 0) {
		unlinkat(pod->dirfd, temporary, 0);
		return error_errno(err, r, "write '%s/%s'", pod->dir, file);
	}
	return 0;
}

static int document_read(struct pod *pod, const char *file, struct doc **ret, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	ssize_t len = io_read_file(pod->dirfd, file, DOCUMENT_MAX, &text);
	int r;

	if (len < 0)
		return error_errno(err, (int)len, "read '%s/%s'", pod->dir, file);
	r = doc_parse(text, (size_t)len, ret, err);
	return r < 0 ? error_prefix(err, r, "'%s/%s'", pod->dir, file) : 0;
}

int pod_config_write(struct pod *pod, struct ct_error *err)
{
	cleanup_doc struct doc *doc = doc_new();

	if (!doc)
		return error_errno(err, -ENOMEM, "config.json");
	pod_config_put(&pod->config, doc_root(doc));
	return document_write(pod, "config.json", doc, false, err);
}

static int config_read(struct pod *pod, struct ct_error *err)
{
	cleanup_doc struct doc *doc = NULL;
	int r = document_read(pod, "config.json", &doc, err);

	if (r < 0)
		return r;
	r = pod_config_get(doc_root(doc), &pod->config, err);
	if (r >= 0)
		r = doc_check(doc, err);
	return r < 0 ? error_prefix(err, r, "'%s/config.json'", pod->dir) : 0;
}

void pod_state_put(const struct pod_state *s, struct node *to)
{
	struct node *part;

	node_put_str(to, "status", ct_status_name(s->status));
	part = node_put_object(to, "monitor");
	node_put_i64(part, "pid", s->monitor);
	node_put_u64(part, "started", s->monitor_started);
	part = node_put_object(to, "pid1");
	node_put_i64(part, "pid", s->pid1);
	node_put_u64(part, "started", s->pid1_started);
	node_put_i64(to, "exit_code", s->exit_code);
	node_put_i64(to, "main_vpid", s->main_vpid);
	node_put_u64(to, "created", s->created);
	node_put_str(to, "cgroup", s->cgroup);
	if (s->link[0])
		node_put_str(to, "link", s->link);
	part = node_put_array(to, "streams");
	for (int i = 0; i < 3; i++)
		node_put_u64(part, NULL, s->stream_inode[i]);
}

static void text_get(const struct node *from, const char *key, char *ret, size_t size)
{
	const char *text = node_str(from, key);

	if (strlen(text) >= size)
		node_complain(from, "%s is too long", key);
	else
		strcpy(ret, text);
}

static void state_get(const struct node *from, struct pod_state *ret)
{
	const char *status = node_str(from, "status");
	const struct node *part;
	int i = CT_CREATED;

	while (i < CT_EXITED && strcmp(status, ct_status_name(i)))
		i++;
	if (strcmp(status, ct_status_name(i)))
		node_complain(from, "unknown status '%s'", status);
	ret->status = i;
	part = node_object(from, "monitor");
	ret->monitor = (pid_t)node_i64(part, "pid", 0, INT_MAX);
	ret->monitor_started = node_u64(part, "started", UINT64_MAX);
	part = node_object(from, "pid1");
	ret->pid1 = (pid_t)node_i64(part, "pid", 0, INT_MAX);
	ret->pid1_started = node_u64(part, "started", UINT64_MAX);
	ret->exit_code = (int)node_i64(from, "exit_code", 0, 255);
	ret->main_vpid = (pid_t)node_i64(from, "main_vpid", -1, INT_MAX);
	ret->created = node_u64(from, "created", UINT64_MAX);
	text_get(from, "cgroup", ret->cgroup, sizeof(ret->cgroup));
	if (node_has(from, "link"))
		text_get(from, "link", ret->link, sizeof(ret->link));
	part = node_array(from, "streams");
	for (i = 0; i < 3; i++)
		ret->stream_inode[i] = node_at_u64(part, i, UINT64_MAX);
}

int pod_state_write(struct pod *pod, struct ct_error *err)
{
	cleanup_doc struct doc *doc = doc_new();

	if (!doc)
		return error_errno(err, -ENOMEM, "state.json");
	pod_state_put(&pod->state, doc_root(doc));
	/* After the move to another host is decided this is all that speaks against going on here. */
	return document_write(pod, "state.json", doc, pod->state.status == CT_MIGRATING, err);
}

int pod_state_load(struct pod *pod, struct pod_state *ret, struct ct_error *err)
{
	cleanup_doc struct doc *doc = NULL;
	struct pod_state state = {};
	int r = document_read(pod, "state.json", &doc, err);

	if (r < 0)
		return r;
	state_get(doc_root(doc), &state);
	r = doc_check(doc, err);
	if (r < 0)
		return error_prefix(err, r, "'%s/state.json'", pod->dir);
	*ret = state;
	return 0;
}

/* 0; -EBUSY: another has it; -ENOENT: the pod was removed meanwhile. */
static int lock_take(struct pod *pod, bool wait)
{
	cleanup_fd int fd = openat(pod->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0)
		if (errno != EINTR)
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (fstat(fd, &st) < 0 || st.st_nlink == 0)
		return -ENOENT;
	pod->lockfd = take_fd(&fd);
	return 0;
}

/*
 * The monitor is gone and has not written how the pod ended: it was killed. What it would still
 * undo is undone here, unless somebody is at work on the pod, who then holds its lock. `idle`: it
 * is we who have the lock, and nothing was done yet. -ENOENT: there never was more than a name.
 */
static int state_correct(struct pod *pod, bool idle)
{
	struct pod_state *s = &pod->state;
	bool was_locked = pod->lockfd >= 0;
	bool ours = was_locked || lock_take(pod, false) == 0;

	/* Its maker was killed before there was a monitor: nothing ran and nobody was told of it. */
	if (s->status == CT_CREATED && s->pid1 == 0 && ours && !was_locked) {
		pod_destroy(pod, NULL);
		return -ENOENT;
	}
	s->monitor = 0;
	if (pod->pid1_pidfd < 0) {
		s->status = CT_EXITED;
		s->exit_code = EXIT_UNKNOWN;
		s->pid1 = 0;
	} else if (s->status == CT_CHECKPOINTING && ours && (idle || !was_locked)) {
		/* Else the checkpoint is our own and goes on without a guard. */
		cgroup_thaw(s->cgroup, NULL);
		if (s->link[0])
			net_unlock(s->link, NULL);
		s->status = CT_RUNNING;
	}
	if (ours)
		pod_state_write(pod, NULL);
	if (!was_locked)
		pod->lockfd = fd_close(pod->lockfd);
	return 0;
}

static int state_read(struct pod *pod, bool idle, struct ct_error *err)
{
	/* Twice: a monitor that ends between our reading and our looking has written the end first. */
	for (int attempt = 0; attempt < 2; attempt++) {
		struct pod_state *s = &pod->state;
		int r = pod_state_load(pod, s, err);

		if (r < 0)
			return r;
		pod->pid1_pidfd = fd_close(pod->pid1_pidfd);
		if (s->status == CT_EXITED)
			return 0;
		if (s->pid1 > 0)
			pod->pid1_pidfd = proc_pidfd(s->pid1, s->pid1_started);
		if (s->monitor > 0 && proc_alive(s->monitor, s->monitor_started))
			return 0;
		if (s->monitor == 0 && (s->status == CT_RUNNING || s->status == CT_MIGRATING) &&
		    pod->pid1_pidfd >= 0)
			return 0;
	}
	return state_correct(pod, idle);
}

int pod_state_read(struct pod *pod, struct ct_error *err)
{
	return state_read(pod, false, err);
}

/* ---- pods ---- */

int pod_new(struct ct *ct, const char *name, struct pod **ret, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = calloc(1, sizeof(*pod));

	if (!pod)
		return error_errno(err, -ENOMEM, "pod '%s'", name);
	pod->ct = ct;
	pod->dirfd = pod->lockfd = pod->pid1_pidfd = pod->monitor_fd = -1;
	pod->name = strdup(name);
	if (!pod->name || asprintf(&pod->dir, "%s/pods/%s", ct->root, name) < 0) {
		pod->dir = NULL;
		return error_errno(err, -ENOMEM, "pod '%s'", name);
	}
	*ret = take_ptr(pod);
	return 0;
}

void pod_free(struct pod *pod)
{
	if (!pod)
		return;
	if (pod->kernel)
		kernel_close(pod->kernel);
	fd_close(pod->monitor_fd);
	fd_close(pod->pid1_pidfd);
	fd_close(pod->lockfd);
	fd_close(pod->dirfd);
	pod_config_release(&pod->config);
	free(pod->dir);
	free(pod->name);
	free(pod);
}

int pod_kernel(struct pod *pod, struct kernel **ret, struct ct_error *err)
{
	int r = pod->kernel ? 0 : kernel_open(&pod->kernel, err);

	*ret = pod->kernel;
	return r;
}

static int no_such_pod(const struct ct *ct, struct ct_error *err)
{
	return error_set(err, -ENOENT, "no such pod in '%s'", ct->root);
}

int pod_open_unread(struct ct *ct, const char *name, struct pod **ret, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r;

	if (!pod_name_valid(name))
		return no_such_pod(ct, err);
	r = pod_new(ct, name, &pod, err);
	if (r < 0)
		return r;
	pod->dirfd = open(pod->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (pod->dirfd < 0)
		return errno == ENOENT ? no_such_pod(ct, err)
				       : error_errno(err, -errno, "open '%s'", pod->dir);
	*ret = take_ptr(pod);
	return 0;
}

int pod_open(struct ct *ct, const char *name, struct pod **ret, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r = pod_open_unread(ct, name, &pod, err);

	if (r < 0)
		return r;
	r = config_read(pod, err);
	if (r >= 0)
		r = pod_state_read(pod, err);
	if (r == -ENOENT) /* removed while we were reading */
		return no_such_pod(ct, err);
	if (r < 0)
		return r;
	*ret = take_ptr(pod);
	return 0;
}

/* Is the operation that holds the lock one that takes its time? */
static bool busy_for_long(struct pod *pod)
{
	struct pod_state now;

	return pod_state_load(pod, &now, NULL) < 0 || (now.status != CT_RUNNING && now.status != CT_EXITED);
}

static int lock(struct pod *pod, bool wait, struct ct_error *err)
{
	int r = lock_take(pod, wait);

	/* Another exec that starts, a stop that is about to end: not worth a failure. */
	for (int ms = 0; r == -EBUSY && ms < 2000 && !busy_for_long(pod); ms += 10) {
		poll(NULL, 0, 10);
		r = lock_take(pod, false);
	}
	if (r == -EBUSY)
		return error_set(err, r, "another operation on the pod is under way");
	if (r == -ENOENT)
		return no_such_pod(pod->ct, err);
	if (r < 0)
		return error_errno(err, r, "lock '%s/lock'", pod->dir);
	/* What was read before is old: the last holder of the lock may have changed it. */
	return state_read(pod, true, err);
}

int pod_lock(struct pod *pod, struct ct_error *err)
{
	return lock(pod, false, err);
}

int pod_lock_wait(struct pod *pod, struct ct_error *err)
{
	return lock(pod, true, err);
}

/* ---- names ---- */

/* Something to say and to type; `attempt` makes room when many are taken. */
static int name_make_up(unsigned int attempt, char *ret, size_t size)
{
	static const char first[][8] = { "amber", "brave", "bright", "calm", "clear", "cool", "deep",
		"early", "fair", "fresh", "glad", "grand", "green", "keen", "kind", "late", "light",
		"lucky", "merry", "mild", "neat", "noble", "plain", "proud", "quick", "quiet", "rapid",
		"royal", "sharp", "still", "sunny", "swift" };
	static const char second[][8] = { "alder", "aspen", "badger", "beech", "birch", "cedar",
		"crane", "dove", "eagle", "elm", "falcon", "fir", "fox", "hare", "hawk", "heron",
		"ibis", "jay", "larch", "lark", "lynx", "maple", "marten", "oak", "otter", "owl",
		"pine", "raven", "robin", "rowan", "swan", "wren" };
	uint32_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -errno;
	snprintf(ret, size, "%s-%s", first[number % 32], second[number / 32 % 32]);
	if (attempt >= 8)
		snprintf(ret + strlen(ret), size - strlen(ret), "-%u", number / 1024 % 100000);
	return 0;
}

/* Makes the directory with its lock held by us; the directory of all pods is locked. -EEXIST. */
static int name_claim(int podsfd, struct pod *pod)
{
	char state[80];
	int r;

	snprintf(state, sizeof(state), "%s/state.json", pod->name);
	if (mkdirat(podsfd, pod->name, 0700) < 0) {
		if (errno != EEXIST)
			return -errno;
		if (!faccessat(podsfd, state, F_OK, 0) || errno != ENOENT)
			return -EEXIST;
		/* A claimer was killed before there was anything behind the name. */
		if (io_remove_tree(podsfd, pod->name) < 0 || mkdirat(podsfd, pod->name, 0700) < 0)
			return -EEXIST;
	}
	pod->dirfd = openat(podsfd, pod->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = pod->dirfd < 0 ? -errno : lock_take(pod, false);
	if (r < 0)
		io_remove_tree(podsfd, pod->name);
	return r;
}

static int name_claim_any(struct ct *ct, int podsfd, const struct pod_config *config, bool may_choose,
			  struct pod **ret, struct ct_error *err)
{
	char made_up[NAME_MAX_LEN + 1];
	int r;

	for (unsigned int attempt = 0;; attempt++) {
		__cleanup(pod_free_cleanup) struct pod *pod = NULL;

		r = config->name ? 0 : name_make_up(attempt, made_up, sizeof(made_up));
		if (r >= 0)
			r = pod_new(ct, config->name ? config->name : made_up, &pod, err);
		if (r < 0)
			return r;
		r = name_claim(podsfd, pod);
		if (r >= 0) {
			*ret = take_ptr(pod);
			return 0;
		}
		if (r != -EEXIST)
			return error_errno(err, r, "make '%s'", pod->dir);
		if (config->name || attempt > 1000)
			return error_set(err, r, "the name '%s' is taken: %s", pod->name,
					 may_choose ? "choose another with --name, or remove that pod"
						    : "remove that pod first");
	}
}

static int names_complete(struct pod *pod, struct ct_error *err)
{
	struct pod_config *c = &pod->config;
	uint64_t unique;

	/* Known before they exist, so that whoever is killed on the way leaves nothing unknown. */
	if (getrandom(&unique, sizeof(unique), 0) != sizeof(unique))
		return error_errno(err, -errno, "random numbers");
	unique >>= 24;
	snprintf(pod->state.cgroup, sizeof(pod->state.cgroup), "/podckpt/%s-%010llx", pod->name,
		 (unsigned long long)unique);
	if (c->net == CT_NET_BRIDGE)
		snprintf(pod->state.link, sizeof(pod->state.link), "pck%010llx",
			 (unsigned long long)unique);

	if (!c->name)
		c->name = strdup(pod->name);
	if (!c->hostname)
		c->hostname = strdup(pod->name);
	return c->name && c->hostname ? 0 : error_errno(err, -ENOMEM, "pod '%s'", pod->name);
}

int pod_reserve(struct ct *ct, struct pod_config *config, bool may_choose, struct pod **ret, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	cleanup_fd int podsfd = -1;
	int r;

	if (config->name && !pod_name_valid(config->name))
		return error_set(err, -EINVAL,
				 "'%s' is no name for a pod: up to 63 letters, digits and '_.-', a letter or digit first",
				 config->name);
	/* A name whose claimer was killed is free: opening it finds that out. */
	if (config->name && pod_open(ct, config->name, &pod, NULL) == 0) {
		pod_free(pod);
		pod = NULL;
	}
	/* Locked until state.json stands: a directory without one belongs to nobody. */
	podsfd = pods_open(ct, true, err);
	if (podsfd < 0)
		return podsfd;
	pods_sweep(ct, podsfd);
	r = name_claim_any(ct, podsfd, config, may_choose, &pod, err);
	if (r < 0)
		return r;
	pod->config = *config;
	memset(config, 0, sizeof(*config));
	r = names_complete(pod, err);
	if (r >= 0)
		r = pod_config_write(pod, err);
	/* Until there is a monitor the claimer stands for it: with it the claim ends. */
	pod->state.status = CT_CREATED;
	pod->state.monitor = getpid();
	pod->state.monitor_started = proc_started(getpid());
	pod->state.created = (uint64_t)time(NULL);
	if (r >= 0)
		r = pod_state_write(pod, err);
	if (r < 0) {
		io_remove_tree(podsfd, pod->name);
		*config = pod->config;
		memset(&pod->config, 0, sizeof(pod->config));
		return r;
	}
	*ret = take_ptr(pod);
	return 0;
}

int pod_reconfigure(struct pod *pod, struct pod_config *config, struct ct_error *err)
{
	if (strcmp(config->name, pod->name) || config->net != pod->config.net)
		return error_set(err, -EBADMSG, "the image is of another pod than was announced");
	config->subnet = pod->config.subnet;
	config->address.asked = pod->config.address.asked &&
				config->address.ip.s_addr == pod->config.address.ip.s_addr &&
				!strcmp(config->address.bridge, pod->config.address.bridge);
	pod_config_release(&pod->config);
	pod->config = *config;
	memset(config, 0, sizeof(*config));
	return pod_config_write(pod, err);
}
