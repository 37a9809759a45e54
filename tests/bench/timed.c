/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timed FILE COMMAND...: runs a command and writes to FILE how long it took, in microseconds, and the
 * most memory it had resident, in KB. Its exit code is that of the command.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	int64_t began = now_us();
	struct rusage usage;
	int status;
	FILE *out;
	pid_t pid;

	if (argc < 3)
		return 2;
	pid = vfork();
	if (!pid) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0) {
		perror(argv[2]);
		return 126;
	}
	began = now_us() - began;
	out = fopen(argv[1], "we");
	if (!out || fprintf(out, "%lld %ld\n", (long long)began, usage.ru_maxrss) < 0 || fclose(out)) {
		perror(argv[1]);
		return 126;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
