/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that job control has stopped: by SIGSTOP and by SIGTSTP, told to the parent already or
 * not; SIGCONT makes them go on.
 */
#include "victim.h"

static int *runs;

static pid_t child(int i, int sig)
{
	pid_t pid = CHECK_SYS(fork());

	if (pid) {
		VICTIM_UNTIL(__atomic_load_n(&runs[i], __ATOMIC_SEQ_CST));
		return pid;
	}
	/* A group of its own, or it would be one without a shell, which SIGTSTP does not stop. */
	CHECK_SYS(setpgid(0, 0));
	__atomic_store_n(&runs[i], 1, __ATOMIC_SEQ_CST);
	raise(sig);
	__atomic_store_n(&runs[i], 2, __ATOMIC_SEQ_CST);
	_exit(i);
}

static bool is_stopped(pid_t pid)
{
	char path[64], line[512];
	FILE *f;
	bool r;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	CHECK(f && fgets(line, sizeof(line), f));
	fclose(f);
	r = strrchr(line, ')')[2] == 'T';
	return r;
}

int main(void)
{
	pid_t stop, tstp, told;
	siginfo_t info;
	int status;

	runs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(runs != MAP_FAILED);
	stop = child(0, SIGSTOP);
	tstp = child(1, SIGTSTP);
	told = child(2, SIGSTOP);
	VICTIM_UNTIL(is_stopped(stop) && is_stopped(tstp));
	CHECK_EQ(waitpid(told, &status, WUNTRACED), told);
	CHECK(WIFSTOPPED(status));
	victim_ready();

	CHECK(is_stopped(stop));
	CHECK(is_stopped(tstp));
	CHECK(is_stopped(told));
	memset(&info, 0, sizeof(info));
	CHECK_SYS(waitid(P_PID, stop, &info, WSTOPPED | WNOHANG));
	CHECK_EQ(info.si_pid, stop);
	CHECK_EQ(info.si_code, CLD_STOPPED);
	CHECK_EQ(info.si_status, SIGSTOP);
	memset(&info, 0, sizeof(info));
	CHECK_SYS(waitid(P_PID, tstp, &info, WSTOPPED | WNOHANG));
	CHECK_EQ(info.si_pid, tstp);
	CHECK_EQ(info.si_status, SIGTSTP);
	memset(&info, 0, sizeof(info));
	CHECK_SYS(waitid(P_PID, told, &info, WSTOPPED | WNOHANG));
	CHECK_EQ(info.si_pid, 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(__atomic_load_n(&runs[i], __ATOMIC_SEQ_CST), 1);
	CHECK_SYS(kill(stop, SIGCONT));
	CHECK_SYS(kill(tstp, SIGCONT));
	CHECK_SYS(kill(told, SIGCONT));
	CHECK_EQ(waitpid(stop, &status, 0), stop);
	CHECK_EQ(status, 0);
	CHECK_EQ(waitpid(tstp, &status, 0), tstp);
	CHECK_EQ(status, 1 << 8);
	CHECK_EQ(waitpid(told, &status, 0), told);
	CHECK_EQ(status, 2 << 8);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(runs[i], 2);
	victim_pass();
}
