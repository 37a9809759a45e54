/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/task/proc.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include "libct/base/io.h"

#define PROC_FILE_MAX (512u << 20)

static int path_of(char buf[96], pid_t pid, pid_t tid, const char *name)
{
	if (tid)
		return snprintf(buf, 96, "%d/task/%d/%s", pid, tid, name);
	return snprintf(buf, 96, "%d/%s", pid, name);
}

static ssize_t read_task(int proc, pid_t pid, pid_t tid, const char *name, char **ret)
{
	char path[96];
	ssize_t n;

	path_of(path, pid, tid, name);
	n = io_read_file(proc, path, PROC_FILE_MAX, ret);
	return n == -ENOENT ? -ESRCH : n;
}

ssize_t proc_read(int proc, pid_t pid, const char *name, char **ret)
{
	return read_task(proc, pid, 0, name, ret);
}

int proc_readlink(int proc, pid_t pid, const char *name, char **ret)
{
	char path[96];

	path_of(path, pid, 0, name);
	return io_readlink(proc, path, ret);
}

int proc_open(int proc, pid_t pid, const char *name, int flags)
{
	char path[96];
	int fd;

	path_of(path, pid, 0, name);
	fd = openat(proc, path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int compare_int(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

/* A process may end before its directory is opened, or when it is open already. */
static int gone(int error)
{
	return error == ENOENT ? -ESRCH : -error;
}

ssize_t proc_numbers(int proc, pid_t pid, const char *name, int **ret)
{
	cleanup_free int *list = NULL;
	cleanup_dir DIR *dir = NULL;
	size_t n = 0, max = 0;
	struct dirent *e;
	int fd = proc_open(proc, pid, name, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return gone(-fd);
	dir = fdopendir(fd);
	if (!dir) {
		int r = gone(errno);

		fd_close(fd);
		return r;
	}
	while ((errno = 0, e = readdir(dir))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		if (n == max) {
			int *grown = realloc(list, sizeof(int) * (max = max ? max * 2 : 64));

			if (!grown)
				return -ENOMEM;
			list = grown;
		}
		list[n++] = atoi(e->d_name);
	}
	if (errno)
		return gone(errno);
	qsort(list, n, sizeof(int), compare_int);
	*ret = take_ptr(list);
	return (ssize_t)n;
}

int proc_stat(int proc, pid_t pid, pid_t tid, struct proc_stat *ret)
{
	cleanup_free char *text = NULL;
	ssize_t n = read_task(proc, pid, tid, "stat", &text);
	char *open, *close, *at;
	size_t len;

	if (n < 0)
		return (int)n;
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open)
		return -EIO;
	memset(ret, 0, sizeof(*ret));
	len = (size_t)(close - open - 1);
	if (len >= sizeof(ret->comm))
		len = sizeof(ret->comm) - 1;
	memcpy(ret->comm, open + 1, len);
	ret->state = close[2];
	at = close + 3;
	for (int i = 4; i <= 52; i++) {
		errno = 0;
		ret->f[i] = *at == ' ' && at[1] == '-' ? (uint64_t)strtoll(at, &at, 10)
						       : strtoull(at, &at, 10);
	}
	ret->ppid = (pid_t)ret->f[4];
	ret->pgrp = (pid_t)ret->f[5];
	ret->session = (pid_t)ret->f[6];
	ret->tty_nr = (int)ret->f[7];
	ret->flags = (unsigned int)ret->f[9];
	return 0;
}

void proc_status_release(struct proc_status *s)
{
	free(s->groups);
	s->groups = NULL;
}

/* The last number of a list such as NSpid's. */
static pid_t last_number(const char *text, unsigned int *ret_n)
{
	long v = 0;
	char *end;

	if (ret_n)
		*ret_n = 0;
	for (;;) {
		long x = strtol(text, &end, 10);

		if (end == text)
			return (pid_t)v;
		v = x;
		if (ret_n)
			(*ret_n)++;
		text = end;
	}
}

static void four_numbers(const char *text, uint32_t out[4])
{
	char *end;

	for (int i = 0; i < 4; i++) {
		out[i] = (uint32_t)strtoul(text, &end, 10);
		text = end;
	}
}

static int parse_groups(const char *text, struct proc_status *s)
{
	char *end;

	for (size_t max = 0;;) {
		unsigned long g = strtoul(text, &end, 10);

		if (end == text)
			return 0;
		if (s->n_groups == max) {
			uint32_t *grown = realloc(s->groups, 4 * (max = max ? max * 2 : 16));

			if (!grown)
				return -ENOMEM;
			s->groups = grown;
		}
		s->groups[s->n_groups++] = (uint32_t)g;
		text = end;
	}
}

/* One line "Key:\tvalue" of /proc/PID/status. */
static int parse_status_line(const char *key, const char *v, struct proc_status *s)
{
	const struct {
		const char *key;
		uint64_t *to;
	} masks[] = {
		{ "CapInh", &s->cap_inheritable }, { "CapPrm", &s->cap_permitted },
		{ "CapEff", &s->cap_effective },   { "CapBnd", &s->cap_bounding },
		{ "CapAmb", &s->cap_ambient },	   { "SigPnd", &s->sig_pending },
		{ "ShdPnd", &s->sig_shared_pending }, { "SigBlk", &s->sig_blocked },
		{ "SigIgn", &s->sig_ignored },	   { "SigCgt", &s->sig_caught },
	};
	const struct {
		const char *key;
		pid_t *to;
	} ids[] = {
		{ "Tgid", &s->tgid },	{ "PPid", &s->ppid },	{ "TracerPid", &s->tracer },
		{ "NStgid", &s->vtgid }, { "NSpgid", &s->vpgid }, { "NSsid", &s->vsid },
	};

	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++)
		if (!strcmp(key, masks[i].key)) {
			*masks[i].to = strtoull(v, NULL, 16);
			return 0;
		}
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (!strcmp(key, ids[i].key)) {
			*ids[i].to = last_number(v, NULL);
			return 0;
		}
	if (!strcmp(key, "NSpid"))
		s->vpid = last_number(v, &s->n_pid_levels);
	else if (!strcmp(key, "State"))
		s->state = v[strspn(v, "\t ")];
	else if (!strcmp(key, "Umask"))
		s->umask = (int)strtol(v, NULL, 8);
	else if (!strcmp(key, "Uid"))
		four_numbers(v, s->uid);
	else if (!strcmp(key, "Gid"))
		four_numbers(v, s->gid);
	else if (!strcmp(key, "NoNewPrivs"))
		s->no_new_privs = atoi(v);
	else if (!strcmp(key, "Seccomp"))
		s->seccomp = (unsigned int)atoi(v);
	else if (!strcmp(key, "FDSize"))
		s->fd_size = (unsigned int)atoi(v);
	else if (!strcmp(key, "Threads"))
		s->n_threads = (unsigned int)atoi(v);
	else if (!strcmp(key, "x86_Thread_features"))
		s->shadow_stack = strstr(v, "shstk");
	else if (!strcmp(key, "Groups"))
		return parse_groups(v, s);
	return 0;
}

int proc_status(int proc, pid_t pid, pid_t tid, struct proc_status *ret)
{
	cleanup_free char *text = NULL;
	ssize_t n = read_task(proc, pid, tid, "status", &text);
	char *save = NULL;

	if (n < 0)
		return (int)n;
	memset(ret, 0, sizeof(*ret));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':');
		int r;

		if (!colon)
			continue;
		*colon = '\0';
		r = parse_status_line(line, colon + 1, ret);
		if (r < 0) {
			proc_status_release(ret);
			return r;
		}
	}
	return 0;
}

/* The two-letter flags of VmFlags (man 5 proc) that we act on or may ignore. */
static const struct {
	char name[3];
	uint32_t flag;
} vm_flag_names[] = {
	{ "mw", VMA_MAYWRITE }, { "ms", VMA_MAYSHARE }, { "gd", VMA_GROWSDOWN },
	{ "lo", VMA_LOCKED }, { "lf", VMA_LOCKONFAULT }, { "dc", VMA_DONTFORK },
	{ "dd", VMA_DONTDUMP }, { "wf", VMA_WIPEONFORK }, { "hg", VMA_HUGEPAGE },
	{ "nh", VMA_NOHUGEPAGE }, { "mg", VMA_MERGEABLE }, { "rr", VMA_RANDOM },
	{ "sr", VMA_SEQUENTIAL }, { "ht", VMA_HUGETLB }, { "nr", VMA_NORESERVE },
	{ "io", VMA_IO }, { "pf", VMA_IO }, { "um", VMA_UFFD }, { "uw", VMA_UFFD },
	{ "ui", VMA_UFFD }, { "sl", VMA_SEALED }, { "ac", VMA_ACCOUNT }, { "dp", VMA_DROPPABLE },
	{ "ss", VMA_SHADOW_STACK }, { "rd", 0 }, { "wr", 0 }, { "ex", 0 }, { "sh", 0 },
	{ "mr", 0 }, { "me", 0 }, { "sd", 0 }, { "de", 0 }, { "mm", 0 }, { "gu", 0 }, { "nl", 0 },
	{ "ar", 0 }, { "mt", 0 }, { "??", 0 },
};
#define N_VM_FLAGS (sizeof(vm_flag_names) / sizeof(vm_flag_names[0]))

static bool vm_flag(const char *text, uint32_t *flags)
{
	for (size_t i = 0; i < N_VM_FLAGS; i++)
		if (!memcmp(text, vm_flag_names[i].name, 2)) {
			*flags |= vm_flag_names[i].flag;
			return true;
		}
	return false;
}

static uint32_t vm_flags(const char *text)
{
	uint32_t flags = 0;

	for (;;) {
		text += strspn(text, " \t");
		if (!text[0] || !text[1])
			return flags;
		if (!vm_flag(text, &flags))
			flags |= VMA_UNKNOWN;
		text += 2;
	}
}

void vma_flags_format(uint32_t flags, char text[64])
{
	char *at = text;

	*text = '\0';
	for (size_t i = 0; i < N_VM_FLAGS && at < text + 60; i++)
		if (vm_flag_names[i].flag & flags) {
			at += sprintf(at, "%s%s", at > text ? " " : "", vm_flag_names[i].name);
			flags &= ~vm_flag_names[i].flag;
		}
}

bool vma_flags_parse(const char *text, uint32_t *ret)
{
	*ret = 0;
	for (;; text += 2) {
		text += strspn(text, " ");
		if (!*text)
			return true;
		if (!text[1] || !vm_flag(text, ret))
			return false;
	}
}

void vma_list_release(struct vma_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i].name);
	free(list->v);
	list->v = NULL;
	list->n = 0;
}

/* /proc writes a newline in a file name as \012. */
static void unescape(char *name)
{
	char *to = name;

	for (; *name; name++) {
		if (!strncmp(name, "\\012", 4)) {
			*to++ = '\n';
			name += 3;
		} else {
			*to++ = *name;
		}
	}
	*to = '\0';
}

/* A header line of smaps: "start-end rwxp offset maj:min inode   name". */
static int parse_area(char *line, struct vma *v)
{
	char perms[5];
	int name_at = 0;

	memset(v, 0, sizeof(*v));
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &v->start,
		   &v->end, perms, &v->offset, &v->major, &v->minor, &v->inode, &name_at) < 7)
		return -EIO;
	v->prot = (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) |
		  (perms[2] == 'x' ? PROT_EXEC : 0);
	v->shared = perms[3] == 's';
	v->name = strdup(name_at ? line + name_at : "");
	if (!v->name)
		return -ENOMEM;
	unescape(v->name);
	return 0;
}

/* Does this kernel show MLOCK_ONFAULT in smaps ("lf")? Linux 6.1 does not. */
static bool shows_lock_on_fault(void)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cleanup_free char *text = NULL;
	bool shown;

	if (page == MAP_FAILED)
		return true;
	shown = mlock2(page, 4096, MLOCK_ONFAULT) < 0 ||
		io_read_file(AT_FDCWD, "/proc/self/smaps", 64 << 20, &text) < 0 ||
		strstr(text, " lf ");
	munmap(page, 4096);
	return shown;
}

/*
 * Where the kernel does not tell, areas that are locked and could be populated, but are not whole, count
 * as locked on fault: restored that way, what is not there stays away until it is touched.
 */
static void find_locks_on_fault(struct vma_list *list)
{
	for (size_t i = 0, asked = 0; i < list->n; i++) {
		struct vma *v = &list->v[i];

		if (!(v->flags & VMA_LOCKED) || v->flags & VMA_LOCKONFAULT || !v->prot ||
		    v->resident >= v->end - v->start)
			continue;
		if (!asked++ && shows_lock_on_fault())
			return;
		v->flags |= VMA_LOCKONFAULT;
	}
}

int proc_areas(int proc, pid_t pid, struct vma_list *ret)
{
	__cleanup(vma_list_release) struct vma_list list = { 0 };
	cleanup_free char *text = NULL;
	size_t max = 0;
	ssize_t n = proc_read(proc, pid, "smaps", &text);
	char *next;

	if (n < 0)
		return (int)n;
	for (char *line = text; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (isdigit((unsigned char)line[0]) || (line[0] >= 'a' && line[0] <= 'f')) {
			int r;

			if (list.n == max) {
				struct vma *grown = realloc(list.v, sizeof(*grown) *
								       (max = max ? max * 2 : 64));

				if (!grown)
					return -ENOMEM;
				list.v = grown;
			}
			r = parse_area(line, &list.v[list.n]);
			if (r < 0)
				return r;
			list.n++;
		} else if (list.n && !strncmp(line, "VmFlags:", 8)) {
			list.v[list.n - 1].flags |= vm_flags(line + 8);
		} else if (list.n && !strncmp(line, "ProtectionKey:", 14)) {
			/* The kernel gives what can only be executed a key by itself. */
			if (strtoul(line + 14, NULL, 10) && list.v[list.n - 1].prot != PROT_EXEC)
				list.v[list.n - 1].flags |= VMA_KEY;
		} else if (list.n && !strncmp(line, "Rss:", 4)) {
			list.v[list.n - 1].resident = strtoull(line + 4, NULL, 10) * 1024;
		} else if (list.n && !strncmp(line, "KernelPageSize:", 15)) {
			list.v[list.n - 1].kernel_page = strtoull(line + 15, NULL, 10) * 1024;
		}
	}
	if (list.n && !strcmp(list.v[list.n - 1].name, "[vsyscall]"))
		free(list.v[--list.n].name);
	find_locks_on_fault(&list);
	*ret = list;
	list = (struct vma_list){ 0 };
	return 0;
}

const struct vma *vma_find(const struct vma_list *list, uint64_t address)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (list->v[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low < list->n && list->v[low].start <= address ? &list->v[low] : NULL;
}
