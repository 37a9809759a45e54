// SPDX-License-Identifier: Apache-2.0
/* build: -static */
/* Something of most kinds in one pod, at once: what holds for each alone must hold for all together. */
#include "tests/victims/victim.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/xattr.h>

static int pipes[2], event, set, pair[2], timer, watch, listening, udp, deleted, memory, segment, queue;
static char *shared;
static volatile int in_thread;

static void *thread(void *unused)
{
	in_thread = 1;
	victim_wait();
	in_thread = 2;
	return NULL;
}

static void make_files(void)
{
	CHECK_SYS(mkdir("mixed", 0750));
	CHECK_SYS(symlink("../../../../etc/passwd", "mixed/link"));
	CHECK_SYS(mkfifo("mixed/fifo", 0600));
	deleted = CHECK_SYS(open("mixed/file", O_RDWR | O_CREAT, 0640));
	CHECK_EQ(write(deleted, "contents", 8), 8);
	CHECK_SYS(fsetxattr(deleted, "user.name", "value", 5, 0));
	CHECK_SYS(link("mixed/file", "mixed/second"));
	deleted = CHECK_SYS(open("gone", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(write(deleted, "deleted", 7), 7);
	CHECK_SYS(unlink("gone"));
	memory = CHECK_SYS(memfd_create("memory", 0));
	CHECK_SYS(ftruncate(memory, 8192));
	shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	CHECK(shared != MAP_FAILED);
	strcpy(shared, "shared");
}

static void make_sockets(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(4242),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/run/mixed.socket" };

	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_EQ(write(pair[0], "queued", 6), 6);
	listening = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_SYS(bind(listening, (struct sockaddr *)&in, sizeof(in)));
	CHECK_SYS(listen(listening, 7));
	udp = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_SYS(bind(udp, (struct sockaddr *)&in, sizeof(in)));
	listening = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_SYS(bind(listening, (struct sockaddr *)&un, sizeof(un)));
	CHECK_SYS(listen(listening, 3));
}

static void make_descriptors(void)
{
	struct epoll_event e = { EPOLLIN, { .u64 = 77 } };
	struct itimerspec far = { .it_value.tv_sec = 100000 };
	uint64_t v = 5;

	CHECK_SYS(pipe(pipes));
	CHECK_EQ(write(pipes[1], "in the pipe", 11), 11);
	event = CHECK_SYS(eventfd(0, EFD_NONBLOCK));
	CHECK_EQ(write(event, &v, sizeof(v)), 8);
	set = CHECK_SYS(epoll_create1(0));
	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, event, &e));
	timer = CHECK_SYS(timerfd_create(CLOCK_MONOTONIC, 0));
	CHECK_SYS(timerfd_settime(timer, 0, &far, NULL));
	watch = CHECK_SYS(inotify_init());
	CHECK_SYS(inotify_add_watch(watch, "mixed", IN_CREATE));
}

static void make_ipc(void)
{
	struct { long type; char text[8]; } message = { 3, "message" };

	segment = CHECK_SYS(shmget(0x1234, 4096, IPC_CREAT | 0600));
	strcpy(shmat(segment, NULL, 0), "segment");
	queue = CHECK_SYS(msgget(0x1236, IPC_CREAT | 0600));
	CHECK_SYS(msgsnd(queue, &message, sizeof(message.text), 0));
}

static void make_tasks(pid_t *child, pid_t *zombie, pthread_t *other)
{
	struct timespec far = { 100000, 0 };
	struct sigevent event_of = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	struct itimerspec alarm = { .it_value = far };
	sigset_t blocked;
	timer_t posix;

	*zombie = CHECK_SYS(fork());
	if (!*zombie)
		_exit(3);
	*child = CHECK_SYS(fork());
	if (!*child) {
		CHECK_SYS(setsid());
		victim_wait();
		_exit(memcmp(shared, "shared", 6) ? 1 : 0);
	}
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	CHECK_SYS(sigprocmask(SIG_BLOCK, &blocked, NULL));
	CHECK_SYS(raise(SIGUSR1));
	CHECK_SYS(timer_create(CLOCK_REALTIME, &event_of, &posix));
	CHECK_SYS(timer_settime(posix, 0, &alarm, NULL));
	CHECK_SYS(setpriority(PRIO_PROCESS, 0, 3));
	CHECK_EQ(pthread_create(other, NULL, thread, NULL), 0);
	while (!in_thread)
		usleep(1000);
}

static void check_all(void)
{
	struct { long type; char text[8]; } message;
	struct epoll_event e;
	char text[32];
	uint64_t v;

	CHECK_EQ(read(pipes[0], text, sizeof(text)), 11);
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 1);
	CHECK_EQ(e.data.u64, 77);
	CHECK_EQ(read(event, &v, sizeof(v)), 8);
	CHECK_EQ(v, 5);
	CHECK_EQ(read(pair[1], text, sizeof(text)), 6);
	CHECK_EQ(pread(deleted, text, sizeof(text), 0), 7);
	CHECK_STR(shared, "shared");
	CHECK_STR((char *)shmat(segment, NULL, 0), "segment");
	CHECK_EQ(msgrcv(queue, &message, sizeof(message.text), 3, IPC_NOWAIT), sizeof(message.text));
	CHECK_STR(message.text, "message");
	CHECK_SYS(close(CHECK_SYS(open("mixed/new", O_RDWR | O_CREAT, 0600))));
	CHECK(read(watch, text, sizeof(text)) > 0);
}

int main(void)
{
	pid_t child, zombie;
	pthread_t other;
	sigset_t pending;
	int status;

	make_files();
	make_sockets();
	make_descriptors();
	make_ipc();
	make_tasks(&child, &zombie, &other);
	victim_ready();
	check_all();
	CHECK_SYS(sigpending(&pending));
	CHECK(sigismember(&pending, SIGUSR1));
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 3);
	CHECK_EQ(pthread_join(other, NULL), 0);
	CHECK_EQ(in_thread, 2);
	CHECK_EQ(waitpid(zombie, &status, 0), zombie);
	CHECK_EQ(WEXITSTATUS(status), 3);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	victim_pass();
}
