// SPDX-License-Identifier: Apache-2.0
/* Calls that wait without a limit: each goes on waiting, and ends as it should, none with EINTR. */
#include "tests/victims/victim.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>

#define N 13

static int go[2], sock[2], listener, *up;
static struct sockaddr_un name = { AF_UNIX, "/run/victim.sock" };

static void nothing(int sig)
{
	(void)sig;
}

static void child(void *arg)
{
	struct pollfd p = { go[0], POLLIN, 0 };
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t set;
	fd_set read_set;
	siginfo_t info;
	pid_t pid;
	char c;
	int ep, fd, status;

	signal(SIGUSR1, nothing);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	FD_ZERO(&read_set);
	FD_SET(go[0], &read_set);
	ep = CHECK_SYS(epoll_create1(0));
	CHECK_SYS(epoll_ctl(ep, EPOLL_CTL_ADD, go[0], &event));
	__atomic_add_fetch(up, 1, __ATOMIC_SEQ_CST);
	switch ((intptr_t)arg) {
	case 0:
		CHECK_EQ(syscall(SYS_poll, &p, 1, -1), 1);
		break;
	case 1:
		CHECK_EQ(select(go[0] + 1, &read_set, NULL, NULL, NULL), 1);
		break;
	case 2:
		CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
		break;
	case 3:
		CHECK_EQ(read(sock[0], &c, 1), 1);
		break;
	case 4:
		fd = CHECK_SYS(accept(listener, NULL, NULL));
		CHECK_SYS(close(fd));
		break;
	case 5:
		CHECK_EQ(recv(sock[1], &c, 1, 0), 1);
		break;
	case 6:
		CHECK_ERRNO(pause(), EINTR); /* by the signal, which has a handler */
		break;
	case 7:
		sigprocmask(SIG_BLOCK, &set, NULL);
		CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
		break;
	case 8:
		sigprocmask(SIG_BLOCK, &set, NULL);
		sigemptyset(&set);
		CHECK_ERRNO(sigsuspend(&set), EINTR);
		sigprocmask(SIG_BLOCK, NULL, &set);
		CHECK(sigismember(&set, SIGUSR1));
		break;
	case 9:
		pid = CHECK_SYS(fork());
		if (!pid) {
			victim_wait();
			_exit(5);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(WEXITSTATUS(status), 5);
		break;
	case 10:
		fd = CHECK_SYS(open("/run/victim.lock", O_RDWR));
		CHECK_SYS(flock(fd, LOCK_EX));
		break;
	case 11:
		sigemptyset(&set);
		CHECK_EQ(epoll_pwait(ep, &event, 1, -1, &set), 1);
		break;
	case 12:
		sigprocmask(SIG_BLOCK, &set, NULL);
		sigemptyset(&set);
		CHECK_ERRNO(ppoll(NULL, 0, NULL, &set), EINTR);
		sigprocmask(SIG_BLOCK, NULL, &set);
		CHECK(sigismember(&set, SIGUSR1));
		break;
	}
}

int main(void)
{
	pid_t pids[N];
	int lock;

	up = CHECK_SYS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	CHECK_SYS(pipe(go));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	listener = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_SYS(bind(listener, (struct sockaddr *)&name, sizeof(name)));
	CHECK_SYS(listen(listener, 1));
	lock = CHECK_SYS(open("/run/victim.lock", O_RDWR | O_CREAT, 0600));
	CHECK_SYS(flock(lock, LOCK_EX));
	for (intptr_t i = 0; i < N; i++)
		pids[i] = victim_fork(child, (void *)i);
	VICTIM_UNTIL(*up == N);
	victim_sleep_ms(50);
	victim_ready();
	/* None has ended. */
	victim_sleep_ms(100);
	for (int i = 0; i < N; i++)
		if (i != 9)
			CHECK_EQ(waitpid(pids[i], NULL, WNOHANG), 0);
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EQ(write(sock[1], "x", 1), 1);
	CHECK_EQ(write(sock[0], "x", 1), 1);
	CHECK_SYS(flock(lock, LOCK_UN));
	CHECK_SYS(connect(CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&name,
			  sizeof(name)));
	CHECK_SYS(kill(pids[6], SIGUSR1));
	CHECK_SYS(kill(pids[7], SIGUSR1));
	CHECK_SYS(kill(pids[8], SIGUSR1));
	CHECK_SYS(kill(pids[12], SIGUSR1));
	for (int i = 0; i < N; i++)
		victim_join(pids[i]);
	victim_pass();
}
