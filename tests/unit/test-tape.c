/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promise of tape.h: whoever runs tapes in a live process may be killed at any instruction, and the process
 * goes on as if nothing had been. A process computes in every register and sits in system calls; tracers run
 * tapes in all of its threads and are killed at random moments.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/task/proc.h"
#include "libct/task/tape.h"
#include "tests/unit/unit.h"

#define ROUNDS 400
#define CALLS 200 /* of one tape: so that many are killed while it runs */

enum { VECTORS, REGISTERS, SLEEPER, READER, WAITER, STACK, WORKERS };
static const char *const names[WORKERS] = {
	"vector registers", "general registers and flags", "nanosleep", "read of a pipe", "epoll_wait", "deep stack",
};

static struct state {
	_Atomic uint64_t turns[WORKERS];
	_Atomic int broken[WORKERS];
	_Atomic bool over;
	_Atomic pid_t tids[WORKERS];
} *state;
static int to_target[2], from_target[2];

/* ---- the process that must not notice ---- */

__attribute__((target("avx"))) static void *vectors(void *arg)
{
	static const uint8_t in[512] = { 1, 2, 3, 4, 5, [100] = 7, [200] = 9, [511] = 11 };
	uint8_t out[512];

	while (!state->over) {
		uint64_t n = 20000;

		memset(out, 0, sizeof(out));
#define L(i) "vmovdqu " #i "*32(%[in]), %%ymm" #i "\n\t"
#define S(i) "vmovdqu %%ymm" #i ", " #i "*32(%[out])\n\t"
#define ALL(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14) x(15)
		__asm__ volatile(ALL(L) "1: dec %[n]\n\t jnz 1b\n\t" ALL(S) "vzeroupper\n\t"
				 : [n] "+r"(n) : [in] "r"(in), [out] "r"(out)
				 : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
				   "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
		if (memcmp(in, out, sizeof(out)))
			state->broken[VECTORS] = 1;
		state->turns[VECTORS]++;
	}
	return NULL;
}

/* Fifteen registers and the direction flag hold values of their own over a long loop; result in *wrong. */
static void *registers(void *arg)
{
	while (!state->over) {
		uint64_t wrong = 0;

		__asm__ volatile("push %%rbp\n\t"
				 "mov $1, %%rbx\n\t mov $2, %%rcx\n\t mov $3, %%rdx\n\t mov $4, %%rsi\n\t"
				 "mov $5, %%rdi\n\t mov $6, %%rbp\n\t mov $7, %%r8\n\t mov $8, %%r9\n\t"
				 "mov $9, %%r10\n\t mov $10, %%r11\n\t mov $11, %%r12\n\t mov $12, %%r13\n\t"
				 "mov $13, %%r14\n\t mov $14, %%r15\n\t std\n\t mov $20000, %%eax\n\t"
				 "1: dec %%rax\n\t jnz 1b\n\t"
				 "xor $1, %%rbx\n\t xor $2, %%rcx\n\t xor $3, %%rdx\n\t xor $4, %%rsi\n\t"
				 "xor $5, %%rdi\n\t xor $6, %%rbp\n\t xor $7, %%r8\n\t xor $8, %%r9\n\t"
				 "xor $9, %%r10\n\t xor $10, %%r11\n\t xor $11, %%r12\n\t xor $12, %%r13\n\t"
				 "xor $13, %%r14\n\t xor $14, %%r15\n\t"
				 "or %%rbx, %%rax\n\t or %%rcx, %%rax\n\t or %%rdx, %%rax\n\t or %%rsi, %%rax\n\t"
				 "or %%rdi, %%rax\n\t or %%rbp, %%rax\n\t or %%r8, %%rax\n\t or %%r9, %%rax\n\t"
				 "or %%r10, %%rax\n\t or %%r11, %%rax\n\t or %%r12, %%rax\n\t or %%r13, %%rax\n\t"
				 "or %%r14, %%rax\n\t or %%r15, %%rax\n\t"
				 "pushf\n\t pop %%rbx\n\t and $0x400, %%rbx\n\t xor $0x400, %%rbx\n\t"
				 "or %%rbx, %%rax\n\t cld\n\t pop %%rbp\n\t"
				 : "=a"(wrong) : : "memory", "cc", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9",
				 "r10", "r11", "r12", "r13", "r14", "r15");
		if (wrong)
			state->broken[REGISTERS] = 1;
		state->turns[REGISTERS]++;
	}
	return NULL;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void *sleeper(void *arg)
{
	while (!state->over) {
		struct timespec t = { .tv_nsec = 3000000 };
		uint64_t began = now_us();

		if (nanosleep(&t, NULL) < 0 || now_us() - began < 3000)
			state->broken[SLEEPER] = 1;
		state->turns[SLEEPER]++;
	}
	return NULL;
}

static void *reader(void *arg)
{
	char c;

	while (read(to_target[0], &c, 1) == 1 && write(from_target[1], &c, 1) == 1)
		state->turns[READER]++;
	if (!state->over)
		state->broken[READER] = errno;
	return NULL;
}

static void *waiter(void *arg)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	while (!state->over) {
		struct epoll_event event;

		/* A mere stop makes it return EINTR (man 7 signal), also under any debugger. */
		if (epoll_wait(epoll, &event, 1, 4) != 0 && errno != EINTR)
			state->broken[WAITER] = errno;
		state->turns[WAITER]++;
	}
	close(epoll);
	return NULL;
}

/* The main thread: goes up and down its stack, which lies above the tapes. */
static __attribute__((noinline)) int dig(int depth)
{
	volatile int room[100];

	for (int i = 0; i < 100; i++)
		room[i] = depth * 100 + i;
	if (depth && dig(depth - 1))
		return 1;
	for (int i = 0; i < 100; i++)
		if (room[i] != depth * 100 + i)
			return 1;
	return 0;
}

static void *named(void *arg)
{
	static void *(*const work[])(void *) = { vectors, registers, sleeper, reader, waiter };
	intptr_t who = (intptr_t)arg;

	state->tids[who] = (pid_t)syscall(SYS_gettid);
	return work[who](NULL);
}

static void target(void)
{
	pthread_t threads[STACK];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(to_target[1]);
	close(from_target[0]);
	for (intptr_t i = 0; i < STACK; i++)
		if (pthread_create(&threads[i], NULL, named, (void *)i))
			_exit(2);
	state->tids[STACK] = getpid();
	while (!state->over) {
		if (dig(200))
			state->broken[STACK] = 1;
		state->turns[STACK]++;
	}
	for (int i = 0; i < STACK; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* ---- the tracers ---- */

/* One pass as a dump does it: stop all, a tape in each, let go. */
static int pass(pid_t pid)
{
	struct tracee tracees[WORKERS] = { { 0 } };
	__cleanup(vma_list_release) struct vma_list areas = { 0 };
	struct tape_site site = { 0 };
	cleanup_fd int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int mem = proc_open(proc, pid, "mem", O_RDWR);
	cleanup_fd int pagemap = proc_open(proc, pid, "pagemap", O_RDONLY);
	struct ct_error err = { 0 };
	int r = 0;

	for (int i = 0; r == 0 && i < WORKERS; i++) {
		pid_t tid = state->tids[i];

		tracees[i] = (struct tracee){ .pid = pid, .tid = tid, .vpid = pid, .vtid = tid };
		r = tracee_seize(&tracees[i], 0, &err);
	}
	for (int i = 0; r == 0 && i < WORKERS; i++) {
		r = tracee_wait_stop(&tracees[i], &err);
		if (r == 0)
			r = tracee_read(&tracees[i], &err);
	}
	if (r == 0)
		r = proc_areas(proc, pid, &areas);
	if (r == 0)
		r = tape_site_find(&areas, mem, pagemap, &site, &err);
	for (int i = 0; r == 0 && i < WORKERS; i++) {
		struct tape tape;

		r = tape_init(&tape, &site, CALLS, &err);
		if (r < 0)
			break;
		for (int k = 0; k < CALLS; k++)
			tape_call(&tape, k % 10 == 5 ? SYS_sched_yield : SYS_gettid, 0, 0, 0, 0, 0, 0);
		r = tape_run(&tape, &tracees[i], NULL, NULL, &err);
		for (int k = 0; r == 0 && k < CALLS; k++)
			if (tape.entries[k].result != (k % 10 == 5 ? 0 : tracees[i].tid))
				r = error_set(&err, -EIO, "entry %d returned %lld", k,
					      (long long)tape.entries[k].result);
		tape_release(&tape);
		if (r == 0)
			r = tracee_put_back(&tracees[i], &err);
	}
	if (site.stub)
		tape_site_remove(&site, &tracees[STACK], pagemap);
	for (int i = 0; i < WORKERS; i++)
		tracee_release(&tracees[i]);
	if (r < 0)
		printf("# a tracer failed: %s (%d)\n", err.text, r);
	return r;
}

static pid_t start_tracer(pid_t pid, bool for_ever)
{
	pid_t tracer;

	fflush(stdout);
	tracer = fork();
	if (tracer)
		return tracer;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	do
		if (pass(pid) < 0)
			exit(1);
	while (for_ever);
	exit(0);
}

/* Does every thread go on? */
static bool alive(void)
{
	uint64_t before[WORKERS], end = now_us() + 120000000;
	char c = 'x';

	for (int i = 0; i < WORKERS; i++)
		before[i] = state->turns[i];
	if (write(to_target[1], &c, 1) != 1)
		return false;
	for (int i = 0; i < WORKERS; i++)
		while (state->turns[i] <= before[i] + (i != READER)) {
			struct timespec t = { .tv_nsec = 200000 };

			if (now_us() > end || state->broken[i]) {
				printf("# %s: %s\n", names[i],
				       state->broken[i] ? "harmed" : "does not go on");
				return false;
			}
			nanosleep(&t, NULL);
		}
	return read(from_target[0], &c, 1) == 1 && c == 'x';
}

int main(void)
{
	int failed = 0, status, killed = 0, harmed = 0;
	pid_t pid, tracer;

	if (!__builtin_cpu_supports("avx")) {
		printf("1..0 # SKIP the CPU has no AVX\n");
		return 77;
	}
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE("memory for the state", state != MAP_FAILED);
	REQUIRE("pipes", pipe2(to_target, O_CLOEXEC) == 0 && pipe2(from_target, O_CLOEXEC) == 0);
	fflush(stdout);
	pid = fork();
	if (!pid)
		target();
	for (int i = 0; i < WORKERS; i++)
		while (!state->tids[i])
			usleep(1000);
	REQUIRE("the process runs", alive());
	tracer = start_tracer(pid, false);
	waitpid(tracer, &status, 0);
	CHECK("tapes run in every thread", status == 0);
	REQUIRE("and it goes on", alive());

	srand(1);
	for (int i = 0; i < ROUNDS && !harmed; i++) {
		tracer = start_tracer(pid, true);
		usleep((useconds_t)(rand() % 6000));
		kill(tracer, SIGKILL);
		waitpid(tracer, &status, 0);
		if (WIFSIGNALED(status))
			killed++;
		else
			failed++;
		harmed = !alive();
	}
	printf("# %d tracers were killed\n", killed);
	CHECK("no tracer fails, whatever the one before has left", failed == 0);
	CHECK("a tracer killed at any moment leaves the process unharmed", !harmed);
	tracer = start_tracer(pid, false);
	waitpid(tracer, &status, 0);
	CHECK("tapes still run in every thread", status == 0);
	CHECK("and it still goes on", alive());

	state->over = true;
	close(to_target[1]);
	CHECK("the process ends well", waitpid(pid, &status, 0) == pid && status == 0);
	return UNIT_DONE();
}
