/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault [-l LOG] [-w WHO] [-f CALL] [-p PLACE] [-n N [-s CALL] -e ERRNO | -n N -k] [-a PID | -- COMMAND...]
 *
 * Runs a command and lets one system call of it fail, or kills it there. The calls of one process (with its
 * threads) are counted, from the program's first instruction behind the dynamic loader on, or with -f from the
 * first call of that number on: the N-th returns ERRNO without having been made (with -s the first from there on
 * that has this number); with -k the process is killed before it. -w says which process: 0 the command, 1 and on
 * the processes that it and its children fork, in the order they do. All are left alone when they execute
 * another program. With -p only calls at that place are counted: how often others are made (while something is
 * waited for) does not matter then. -a counts the calls of a running process instead, until we get SIGTERM.
 *
 * LOG gets a line for each process ("process WHO PID COMM CALLS"), without -n one for each call of WHO
 * ("call N NUMBER THIRD-ARGUMENT PLACE COMM"), and "hit NUMBER COMM" when the fault has happened. PLACE is the same for
 * calls that come from the same place in the program by the same way (the innermost FRAMES of it). The exit code is
 * the command's; 128 and its number for a signal; 200 for trouble of our own.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TROUBLE 200
#define MAX_TASKS 256
#define MAX_TEXTS 4
#define FRAMES 5
#define STACK 512 /* words of it that are looked at */
#define OPTIONS                                                                                    \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |  \
	 PTRACE_O_TRACEEXEC)

struct task {
	pid_t tid;
	int who;
	bool inside;	 /* between entry and exit of a call */
	bool failing;	 /* of the call that is to fail */
	char comm[20];
};

/* The code of the program and of its library, in memory. */
struct text {
	uint64_t start, end;
	unsigned char *code;
};

static struct text texts[MAX_TEXTS];
static size_t n_texts;
static struct task tasks[MAX_TASKS];
static size_t n_tasks;
static unsigned long counts[MAX_TASKS];
static int n_processes;
static FILE *out;
static int who;
static unsigned long when;
static int error;
static bool kills, begun, done;
static int only = -1, first = -1;
static uint64_t at; /* this place alone */
static volatile sig_atomic_t enough;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fprintf(stderr, "fault: ");
	vfprintf(stderr, format, ap);
	fprintf(stderr, ": %s\n", strerror(errno));
	va_end(ap);
	exit(TROUBLE);
}

static void read_comm(struct task *t)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", t->tid);
	f = fopen(path, "re");
	if (f && fgets(t->comm, sizeof(t->comm), f))
		t->comm[strcspn(t->comm, "\n")] = '\0';
	if (f)
		fclose(f);
}

static struct task *task_find(pid_t tid)
{
	for (size_t i = 0; i < n_tasks; i++)
		if (tasks[i].tid == tid)
			return &tasks[i];
	return NULL;
}

static struct task *task_new(pid_t tid, int of)
{
	struct task *t;

	if (n_tasks == MAX_TASKS)
		die("too many tasks");
	t = &tasks[n_tasks++];
	*t = (struct task){ .tid = tid, .who = of };
	read_comm(t);
	return t;
}

static void task_end(struct task *t)
{
	*t = tasks[--n_tasks];
}

static void tell_process(struct task *t)
{
	read_comm(t);
	if (out)
		fprintf(out, "process %d %d %s %lu\n", t->who, t->tid, t->comm, counts[t->who]);
}

/* Behind the fault nobody looks any more: two stops a call take longer than the call. */
static void go_on(struct task *t, int sig)
{
	bool watched = t->who == who && (!done || t->failing);
	enum __ptrace_request how = watched ? PTRACE_SYSCALL : PTRACE_CONT;

	if (ptrace(how, t->tid, 0, sig) < 0 && errno != ESRCH)
		die("ptrace %d", t->tid);
}

static pid_t tgid_of(pid_t tid)
{
	char path[64], line[128];
	int tgid = tid;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Tgid: %d", &tgid) == 1)
			break;
	if (f)
		fclose(f);
	return tgid;
}

/* A task that a traced one has made: seized by the kernel already, its first stop is to come or has come. */
static struct task *task_made(struct task *maker, pid_t tid)
{
	if (tgid_of(tid) != tid)
		return task_new(tid, maker->who);
	if (n_processes == MAX_TASKS)
		die("too many processes");
	return task_new(tid, n_processes++);
}

/* ---- places ---- */

static void text_add(int memory, uint64_t start, uint64_t end)
{
	struct text *t = &texts[n_texts];

	if (n_texts == MAX_TEXTS)
		return;
	*t = (struct text){ start, end, malloc(end - start) };
	if (!t->code || pread(memory, t->code, end - start, (off_t)start) != (ssize_t)(end - start))
		die("the program's code");
	n_texts++;
}

static void texts_read(pid_t pid)
{
	unsigned long start, end;
	char path[64], line[512];
	FILE *maps;
	int memory;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	if (memory < 0 || !maps)
		die("the program's areas");
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx r-xp", &start, &end) == 2 && strstr(line, " r-xp ") &&
		    (strstr(line, "podckpt\n") || strstr(line, "/libct.so")))
			text_add(memory, start, end);
	fclose(maps);
	close(memory);
}

/* Behind a call instruction, direct or not? */
static bool follows_call(const unsigned char *p)
{
	return p[-5] == 0xe8 || (p[-2] == 0xff && (p[-1] & 0x38) == 0x10) ||
	       (p[-3] == 0xff && (p[-2] & 0x38) == 0x10) || (p[-6] == 0xff && (p[-5] & 0x38) == 0x10);
}

static void place_add(uint64_t *place, uint64_t n)
{
	*place = (*place ^ n) * 0x100000001b3; /* FNV-1a, a word at a time */
}

/* What looks like a return address is taken for one: without frame pointers there is nothing better. Some are of
 * functions that have returned already; then one place counts as several. */
static uint64_t place_of(pid_t tid, const struct user_regs_struct *regs)
{
	uint64_t place = 0xcbf29ce484222325, stack[STACK];
	struct iovec here = { stack, sizeof(stack) }, there = { (void *)regs->rsp, sizeof(stack) };
	ssize_t n;
	int frames = 0;

	/* Near its end less of it is there. */
	while ((n = process_vm_readv(tid, &here, 1, &there, 1, 0)) < 0 && here.iov_len > sizeof(uint64_t))
		here.iov_len = there.iov_len = here.iov_len / 2;
	place_add(&place, regs->orig_rax);
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(uint64_t) && frames < FRAMES; i++)
		for (size_t k = 0; k < n_texts; k++) {
			struct text *t = &texts[k];

			if (stack[i] < t->start + 8 || stack[i] >= t->end ||
			    !follows_call(t->code + (stack[i] - t->start)))
				continue;
			place_add(&place, k << 32 | (stack[i] - t->start));
			frames++;
		}
	return place;
}

/* ---- the fault ---- */

/* Calls whose effect must happen all the same: a descriptor is closed whatever close(2) says. */
static bool happens(uint64_t nr)
{
	return nr == SYS_close;
}

static void enter(struct task *t)
{
	struct user_regs_struct regs;

	t->inside = true;
	if (ptrace(PTRACE_GETREGS, t->tid, 0, &regs) < 0)
		return;
	if (!begun && first >= 0 && first != (int)regs.orig_rax)
		return;
	begun = true;
	if (at && !done && ((only >= 0 && only != (int)regs.orig_rax) || at != place_of(t->tid, &regs)))
		return;
	counts[t->who]++;
	if (!when && out)
		fprintf(out, "call %lu %llu %llu %016lx %s\n", counts[t->who], regs.orig_rax, regs.rdx,
			place_of(t->tid, &regs), t->comm);
	if (!when || done || counts[t->who] < when || (only >= 0 && only != (int)regs.orig_rax))
		return;
	done = true;
	read_comm(t);
	if (out) {
		fprintf(out, "hit %llu %s\n", regs.orig_rax, t->comm);
		fflush(out);
	}
	if (kills) {
		kill(t->tid, SIGKILL);
		return;
	}
	t->failing = true;
	if (happens(regs.orig_rax))
		return;
	/* brk(2) fails by saying where the end still is. */
	if (regs.orig_rax == SYS_brk)
		error = 0;
	regs.orig_rax = (unsigned long long)-1;
	ptrace(PTRACE_SETREGS, t->tid, 0, &regs);
}

static void leave(struct task *t)
{
	struct user_regs_struct regs;

	t->inside = false;
	if (!t->failing || ptrace(PTRACE_GETREGS, t->tid, 0, &regs) < 0)
		return;
	t->failing = false;
	regs.rax = (unsigned long long)-(long long)error;
	ptrace(PTRACE_SETREGS, t->tid, 0, &regs);
}

/* ---- stops ---- */

static void executed(struct task *t)
{
	/* Another program than the one that is looked at. */
	tell_process(t);
	ptrace(PTRACE_DETACH, t->tid, 0, 0);
	task_end(t);
}

static void stopped(struct task *t, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	unsigned long child;

	switch (event) {
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		if (ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &child) == 0 && !task_find((pid_t)child)) {
			task_made(t, (pid_t)child);
		}
		go_on(t, 0);
		return;
	case PTRACE_EVENT_EXEC:
		executed(t);
		return;
	case PTRACE_EVENT_STOP:
		if (sig == SIGTRAP)
			go_on(t, 0); /* its first stop */
		else
			ptrace(PTRACE_LISTEN, t->tid, 0, 0);
		return;
	}
	if (sig == (SIGTRAP | 0x80)) {
		if (t->inside)
			leave(t);
		else
			enter(t);
		go_on(t, 0);
		return;
	}
	go_on(t, sig);
}

/* The command's end as an exit code; -1: it goes on. */
static int ended(struct task *t, pid_t command, int status)
{
	pid_t tid = t->tid;

	if (tid == command || t->who != 0) {
		if (out && tgid_of(tid) == tid)
			fprintf(out, "process %d %d %s %lu\n", t->who, tid, t->comm, counts[t->who]);
	}
	task_end(t);
	if (tid != command)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int watch(pid_t command)
{
	int status;

	for (;;) {
		pid_t tid = waitpid(-1, &status, __WALL);
		struct task *t;
		int code;

		if (tid < 0 && errno == EINTR) {
			if (enough)
				return 0;
			continue;
		}
		if (tid < 0)
			return 0;
		t = task_find(tid);
		if (!t && WIFSTOPPED(status)) {
			/* A new task reports before its maker does. A thread's leader is known. */
			struct task *leader = task_find(tgid_of(tid));
			struct task nobody = { .who = leader ? leader->who : 0 };

			t = task_made(&nobody, tid);
		}
		if (!t)
			continue;
		if (WIFSTOPPED(status)) {
			stopped(t, status);
			continue;
		}
		code = ended(t, command, status);
		if (code >= 0)
			return code;
	}
}

/* ---- the command ---- */

static uint64_t entry_of(pid_t pid)
{
	Elf64_auxv_t a;
	char path[64];
	uint64_t entry = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	f = fopen(path, "re");
	while (f && fread(&a, sizeof(a), 1, f) == 1)
		if (a.a_type == AT_ENTRY)
			entry = a.a_un.a_val;
	if (f)
		fclose(f);
	return entry;
}

/* Lets the dynamic loader do its work: what fails there has nothing to do with the program. */
static int run_to_entry(pid_t pid)
{
	struct user_regs_struct regs;
	uint64_t entry = entry_of(pid);
	long word;
	int status;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, entry, 0);
	if (!entry || errno)
		die("the program's entry");
	if (ptrace(PTRACE_POKETEXT, pid, entry, (word & ~0xffL) | 0xcc) < 0 ||
	    ptrace(PTRACE_CONT, pid, 0, 0) < 0)
		die("to the program's entry");
	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			die("waitpid");
	if (!WIFSTOPPED(status))
		return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0 || WSTOPSIG(status) != SIGTRAP)
		die("not at the program's entry");
	regs.rip = entry;
	if (ptrace(PTRACE_SETREGS, pid, 0, &regs) < 0 ||
	    ptrace(PTRACE_POKETEXT, pid, entry, word) < 0)
		die("at the program's entry");
	return -1;
}

static pid_t start(char **argv)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		raise(SIGSTOP);
		execvp(argv[0], argv);
		die("execute '%s'", argv[0]);
	}
	if (waitpid(pid, &status, WUNTRACED) < 0 ||
	    ptrace(PTRACE_SEIZE, pid, 0, OPTIONS | PTRACE_O_EXITKILL) < 0)
		die("seize the command");
	kill(pid, SIGCONT);
	for (;;) {
		if (waitpid(pid, &status, __WALL) < 0)
			die("waitpid");
		if (!WIFSTOPPED(status))
			exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128);
		if (status >> 16 == PTRACE_EVENT_EXEC)
			break;
		ptrace(PTRACE_CONT, pid, 0, status >> 16 || WSTOPSIG(status) == SIGCONT ||
						    WSTOPSIG(status) == SIGSTOP
					    ? 0 : WSTOPSIG(status));
	}
	status = run_to_entry(pid);
	if (status >= 0)
		exit(status);
	/* What it forks outlives us. */
	if (ptrace(PTRACE_SETOPTIONS, pid, 0, OPTIONS) < 0)
		die("ptrace options");
	texts_read(pid);
	go_on(task_new(pid, n_processes++), 0);
	return pid;
}

static void on_term(int sig)
{
	enough = 1;
}

static pid_t attach(pid_t pid)
{
	struct sigaction sa = { .sa_handler = on_term };

	sigaction(SIGTERM, &sa, NULL);
	if (ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
		die("seize %d", pid);
	texts_read(pid);
	task_new(pid, n_processes++);
	puts("attached");
	fflush(stdout);
	return pid;
}

int main(int argc, char **argv)
{
	pid_t pid = 0;
	int c, code;

	while ((c = getopt(argc, argv, "+l:w:f:n:s:e:p:ka:")) >= 0) {
		switch (c) {
		case 'l':
			out = fopen(optarg, "we");
			if (!out)
				die("open '%s'", optarg);
			break;
		case 'w': who = atoi(optarg); break;
		case 'n': when = strtoul(optarg, NULL, 10); break;
		case 'f': first = atoi(optarg); break;
		case 's': only = atoi(optarg); break;
		case 'e': error = atoi(optarg); break;
		case 'p': at = strtoull(optarg, NULL, 16); break;
		case 'k': kills = true; break;
		case 'a': pid = atoi(optarg); break;
		default: return TROUBLE;
		}
	}
	if (!pid && optind == argc)
		return TROUBLE;
	pid = pid ? attach(pid) : start(argv + optind);
	code = watch(pid);
	for (size_t i = 0; i < n_tasks; i++)
		tell_process(&tasks[i]);
	if (out)
		fclose(out);
	return code;
}
