/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that SIGCONT has set going: whether the parent knows already is kept, and neither gets a signal
 * that was not there.
 */
/* build: -pthread */
#include "victim.h"

#include <pthread.h>
#include <sys/prctl.h>

/* How often a child got SIGCONT; shall they end? */
static volatile sig_atomic_t *conts, *over, *up, chlds;

static void on_cont(int sig)
{
	++*conts;
}

static void on_chld(int sig)
{
	chlds++;
}

static void *spin(void *arg)
{
	while (!*over)
		victim_sleep_ms(5);
	return NULL;
}

/* Two threads, one of them with a handler of SIGCONT. */
static void child(void *arg)
{
	struct sigaction act = { .sa_handler = on_cont, .sa_flags = SA_RESTART };
	pthread_t t;

	CHECK_SYS(prctl(PR_SET_PDEATHSIG, SIGKILL));
	CHECK_SYS(sigaction(SIGCONT, &act, NULL));
	CHECK_EQ(pthread_create(&t, NULL, spin, NULL), 0);
	++*up;
	spin(NULL);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static pid_t stopped_and_continued(void)
{
	int before = *conts, were = *up, status;
	pid_t pid = victim_fork(child, NULL);

	VICTIM_UNTIL(*up > were);
	CHECK_SYS(kill(pid, SIGSTOP));
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
	CHECK_SYS(kill(pid, SIGCONT));
	VICTIM_UNTIL(*conts > before);
	return pid;
}

int main(void)
{
	struct sigaction act = { .sa_handler = on_chld, .sa_flags = SA_RESTART };
	pid_t told, not_told;
	int status, before;

	conts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(conts != MAP_FAILED);
	over = conts + 1;
	up = conts + 2;
	told = stopped_and_continued();
	CHECK_EQ(waitpid(told, &status, WCONTINUED), told);
	CHECK(WIFCONTINUED(status));
	not_told = stopped_and_continued();
	CHECK_SYS(sigaction(SIGCHLD, &act, NULL));
	before = *conts;
	victim_ready();
	CHECK_EQ(*conts, before);
	CHECK_EQ(chlds, 0);
	CHECK_EQ(waitpid(told, &status, WCONTINUED | WNOHANG), 0);
	CHECK_EQ(waitpid(not_told, &status, WCONTINUED | WNOHANG), not_told);
	CHECK(WIFCONTINUED(status));
	*over = 1;
	victim_join(not_told);
	victim_join(told);
	CHECK_EQ(*conts, before);
	victim_pass();
}
