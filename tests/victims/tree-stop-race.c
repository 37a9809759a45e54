/* SPDX-License-Identifier: Apache-2.0 */
/* build: -pthread */
/* A process with threads that is stopped and set going all the time, also while the pod is frozen. */
#include "victim.h"

#include <pthread.h>

static void *spin(void *arg)
{
	uint64_t *n = arg;

	for (;;)
		__atomic_fetch_add(n, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

int main(void)
{
	uint64_t *n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), then;
	pid_t child, driver;
	char path[256];
	int status;

	CHECK(n != MAP_FAILED);
	child = CHECK_SYS(fork());
	if (!child) {
		pthread_t thread;

		for (int i = 0; i < 2; i++)
			CHECK_EQ(pthread_create(&thread, NULL, spin, n), 0);
		spin(n);
	}
	driver = CHECK_SYS(fork());
	if (!driver) {
		while (access(victim_path(path, "victim.go"), F_OK) < 0)
			for (int i = 0; i < 100; i++) {
				CHECK_SYS(kill(child, i % 3 ? SIGSTOP : SIGTSTP));
				CHECK_SYS(kill(child, SIGCONT));
			}
		_exit(0);
	}
	victim_ready();
	victim_join(driver);
	then = __atomic_load_n(n, __ATOMIC_SEQ_CST);
	VICTIM_UNTIL(__atomic_load_n(n, __ATOMIC_SEQ_CST) > then + 1000);
	CHECK_SYS(kill(child, SIGSTOP));
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK(WIFSTOPPED(status));
	CHECK_SYS(kill(child, SIGKILL));
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, SIGKILL);
	victim_pass();
}
