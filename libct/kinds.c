/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/kind.h"

#include <string.h>

extern const struct kind kind_aio;
extern const struct kind kind_cgroup;
extern const struct kind kind_controlling_terminal;
extern const struct kind kind_credentials;
extern const struct kind kind_epoll;
extern const struct kind kind_eventfd;
extern const struct kind kind_file;
extern const struct kind kind_fs;
extern const struct kind kind_inotify;
extern const struct kind kind_interrupted;
extern const struct kind kind_limits;
extern const struct kind kind_locks;
extern const struct kind kind_memory;
extern const struct kind kind_mounts;
extern const struct kind kind_net;
extern const struct kind kind_netlink;
extern const struct kind kind_mqueue;
extern const struct kind kind_pidfd;
extern const struct kind kind_pipe;
extern const struct kind kind_process;
extern const struct kind kind_refused;
extern const struct kind kind_scheduling;
extern const struct kind kind_seccomp;
extern const struct kind kind_signalfd;
extern const struct kind kind_signals;
extern const struct kind kind_socket;
extern const struct kind kind_stream;
extern const struct kind kind_tcp;
extern const struct kind kind_tcp_connection;
extern const struct kind kind_sysctl;
extern const struct kind kind_sysv_msg;
extern const struct kind kind_sysv_sem;
extern const struct kind kind_sysv_shm;
extern const struct kind kind_sysv_undo;
extern const struct kind kind_thread;
extern const struct kind kind_time;
extern const struct kind kind_timerfd;
extern const struct kind kind_timers;
extern const struct kind kind_tmpfs;
extern const struct kind kind_tty;
extern const struct kind kind_udp;
extern const struct kind kind_unix;
extern const struct kind kind_uts;

const struct kind *const kinds[] = {
	&kind_mounts,
	&kind_tmpfs, /* its files are opened by others */
	&kind_stream, /* before pipes: it is one that leads outside */
	&kind_file, /* before FIFOs and sockets: an O_PATH descriptor of one is but a name */
	&kind_pipe,
	&kind_tty,
	&kind_eventfd,
	&kind_timerfd,
	&kind_signalfd,
	&kind_pidfd,
	&kind_tcp,
	&kind_tcp_connection, /* behind what listens at their ports */
	&kind_udp,
	&kind_netlink,
	&kind_unix, /* before what may be under way in a queue and watches others */
	&kind_epoll,
	&kind_inotify,
	&kind_socket, /* after those that are carried */
	&kind_refused,
	&kind_aio,
	&kind_memory,
	&kind_time,
	&kind_uts,
	&kind_sysctl, /* before what its limits are for */
	&kind_sysv_shm,
	&kind_sysv_sem,
	&kind_sysv_msg,
	&kind_mqueue,
	&kind_cgroup,
	&kind_net,
	/* Attributes of processes and threads: of each, in this order. */
	&kind_process, /* first: with AMX tiles alternate stacks must be larger */
	&kind_controlling_terminal,
	&kind_thread,
	&kind_signals,
	&kind_sysv_undo,
	&kind_timers, /* after signals, which reads both together */
	&kind_fs,
	&kind_locks,
	&kind_scheduling,
	&kind_seccomp, /* before credentials: only who may administer installs a filter just so */
	&kind_interrupted,
	&kind_limits, /* after what they would limit */
	&kind_credentials, /* last: whoever has dropped a privilege can restore nothing that wants it */
	NULL,
};

const struct kind *kind_find(const char *name)
{
	for (size_t i = 0; kinds[i]; i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	return NULL;
}

bool ct_kind_info(size_t index, struct ct_kind_info *ret)
{
	if (index >= sizeof(kinds) / sizeof(kinds[0]) - 1)
		return false;
	*ret = (struct ct_kind_info){ kinds[index]->name, kinds[index]->carries,
				      kinds[index]->refuses, kinds[index]->victims };
	return true;
}
