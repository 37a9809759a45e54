/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault [-l LOG] [-w WHO] [-f CALL] [-n N [-s CALL] -e ERRNO | -n N -k] [-a PID | -- COMMAND...]
 *
 * Runs a command and lets one system call of it fail, or kills it there. The calls of one process (with its
 * threads) are counted, from the program's first instruction behind the dynamic loader on, or with -f from the
 * first call of that number on: the N-th returns ERRNO without having been made (with -s the first from there on
 * that has this number); with -k the process is killed before it. -w says which process: 0 the command, 1 and on
 * the processes that it and its children fork, in the order they do. All are left alone when they execute
 * another program. -a counts the calls of a running process instead, until we get SIGTERM.
 *
 * LOG gets a line for each process ("process WHO PID COMM CALLS"), without -n one for each call of WHO
 * ("call N NUMBER THIRD-ARGUMENT COMM"), and "hit NUMBER COMM" when the fault has happened. The exit code is the
 * command's; 128 and its number for a signal; 200 for trouble of our own.
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

static struct task tasks[MAX_TASKS];
static size_t n_tasks;
static unsigned long counts[MAX_TASKS];
static int n_processes;
static FILE *out;
static int who;
static unsigned long when;
static int error;
static bool kills, done;
static int only = -1, first = -1;
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

static void go_on(struct task *t, int sig)
{
	enum __ptrace_request how = t->who == who ? PTRACE_SYSCALL : PTRACE_CONT;

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
	if (!counts[t->who] && first >= 0 && first != (int)regs.orig_rax)
		return;
	counts[t->who]++;
	if (!when && out)
		fprintf(out, "call %lu %llu %llu %s\n", counts[t->who], regs.orig_rax, regs.rdx, t->comm);
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
	task_new(pid, n_processes++);
	puts("attached");
	fflush(stdout);
	return pid;
}

int main(int argc, char **argv)
{
	pid_t pid = 0;
	int c, code;

	while ((c = getopt(argc, argv, "+l:w:f:n:s:e:ka:")) >= 0) {
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
