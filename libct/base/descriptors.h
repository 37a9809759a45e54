/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for descriptors: an operation on a pod holds one of ours for each of the pod's, and the usual soft
 * limit is there for programs that use select(2), which we do not.
 */
#pragma once
#include <stdbool.h>
#include <sys/resource.h>

struct descriptor_room {
	struct rlimit old;
	bool raised;
};

/* Raises the soft limit to the hard one; cleanup_descriptor_room puts it back. Failure is no error: later ones tell. */
static inline struct descriptor_room descriptor_room_make(void)
{
	struct descriptor_room room = { .raised = false };
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &room.old) < 0 || room.old.rlim_cur == room.old.rlim_max)
		return room;
	most = (struct rlimit){ room.old.rlim_max, room.old.rlim_max };
	room.raised = setrlimit(RLIMIT_NOFILE, &most) == 0;
	return room;
}

static inline void descriptor_room_release(struct descriptor_room *room)
{
	if (room->raised)
		setrlimit(RLIMIT_NOFILE, &room->old);
}
#define cleanup_descriptor_room __attribute__((cleanup(descriptor_room_release), unused))
