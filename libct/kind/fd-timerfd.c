/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A timerfd: a clock, when it expires next, an interval, and how often it expired unread. man 2
 * timerfd_create.
 *
 * What remains is no good in an image: time passes while it is written and read. So the expiry is kept as
 * a time of the pod's own clock, which goes on from where it was, or of the wall clock for timers that
 * were set to a wall time. The restoring process is not in the pod's time namespace and reckons.
 */
#include <inttypes.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

#include "libct/base/cleanup.h"
#include "libct/kind.h"
#include "libct/kind/clock.h"
#include "libct/kind/fdinfo.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif
#define SETTIME_FLAGS (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)
#define MOST (INT64_MAX / 2)

static bool timerfd_is(const struct dump *d, const struct fd_view *v)
{
	return fdinfo_is(v->link, "[timerfd]");
}

/* The clock that the expiry is a time of: a span of wall time is measured by the monotonic clock. */
static clockid_t clock_of(int clock, int flags)
{
	if (clock == CLOCK_BOOTTIME || clock == CLOCK_BOOTTIME_ALARM)
		return CLOCK_BOOTTIME;
	if (clock != CLOCK_MONOTONIC && flags & TFD_TIMER_ABSTIME)
		return CLOCK_REALTIME;
	return CLOCK_MONOTONIC;
}

static struct timespec to_timespec(int64_t ns)
{
	return (struct timespec){ ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };
}

static int64_t from_timespec(const struct timespec *t)
{
	return t->tv_sec > MOST / NSEC_PER_SEC ? MOST : t->tv_sec * NSEC_PER_SEC + t->tv_nsec;
}

static int timerfd_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	cleanup_free char *info = NULL;
	struct itimerspec t = { 0 };
	uint64_t clock, flags, ticks;
	struct node *state;
	int64_t offset, remaining;
	char name[32];
	ssize_t len;
	int r;

	if (d->preflight)
		return 0;
	/* This also counts the expiries of an interval into the ticks, so fdinfo is read after it. */
	if (timerfd_gettime(v->dup, &t) < 0)
		return error_errno(err, -errno, "timerfd_gettime");
	snprintf(name, sizeof(name), "fdinfo/%d", v->dup);
	len = proc_read(d->proc, getpid(), name, &info);
	if (len < 0)
		return error_errno(err, (int)len, "read '%s'", name);
	if (!fdinfo_get(info, "clockid", 10, &clock) || !fdinfo_get(info, "ticks", 10, &ticks) ||
	    !fdinfo_get(info, "settime flags", 8, &flags))
		return error_set(err, -ENOSYS, "fdinfo shows no timer");
	node_put_u64(n, "clock", clock);
	node_put_hex(n, "settime_flags", flags);
	node_put_i64(n, "interval", from_timespec(&t.it_interval));
	/* A timer goes on during a restore. */
	state = node_put_object(n, "volatile");
	node_put_u64(state, "ticks", ticks);
	remaining = from_timespec(&t.it_value);
	if (!remaining)
		return 0;
	clock = (uint64_t)clock_of((int)clock, (int)flags);
	r = clock_offset(d->proc, d->pod->state.pid1, (clockid_t)clock, &offset, err);
	if (r < 0)
		return r;
	node_put_i64(state, "expires", clock_now((clockid_t)clock) + offset + remaining);
	return 0;
}

/* Where there are ticks that were not read, expiries since then are added to them by us: setting them would drop those the kernel counts. */
static void count_expiries(int64_t now, int64_t interval, int64_t *expires, uint64_t *ticks)
{
	uint64_t missed;

	if (!*ticks || !interval || *expires > now)
		return;
	missed = (uint64_t)((now - *expires) / interval) + 1;
	*ticks += missed;
	*expires += (int64_t)missed * interval;
}

static int arm(struct restore *r, const struct node *n, int fd, int clock, struct ct_error *err)
{
	int flags = (int)node_hex(n, "settime_flags");
	int64_t interval = node_i64(n, "interval", 0, MOST);
	const struct node *state = node_object(n, "volatile");
	uint64_t ticks = node_u64(state, "ticks", INT64_MAX);
	bool armed = node_has(state, "expires");
	int64_t expires = armed ? node_i64(state, "expires", 1, MOST + MOST / 2) : 0, offset, now;
	struct itimerspec t = { .it_interval = to_timespec(interval) };
	int e;

	if (flags & ~SETTIME_FLAGS)
		node_complain(n, "flags this version does not know");
	e = doc_check(r->doc, err);
	if (e == 0)
		e = clock_offset(r->proc, r->pod->state.pid1, clock_of(clock, flags), &offset, err);
	if (e < 0)
		return e;
	now = clock_now(clock_of(clock, flags));
	if (armed) {
		expires -= offset;
		count_expiries(now, interval, &expires, &ticks);
		if (!(flags & TFD_TIMER_ABSTIME))
			expires -= now;
		/* 0 would disarm it. */
		t.it_value = to_timespec(expires > 0 ? expires : 1);
	}
	if (timerfd_settime(fd, flags, &t, NULL) < 0)
		return error_errno(err, -errno, "timerfd_settime");
	if (ticks && ioctl(fd, TFD_IOC_SET_TICKS, &ticks) < 0)
		return error_errno(err, -errno,
				   "set the unread expiries of a timer (CONFIG_CHECKPOINT_RESTORE)");
	return 0;
}

static int timerfd_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			   struct ct_error *err)
{
	int clock = (int)node_u64(n, "clock", 15), e = doc_check(r->doc, err);

	if (e < 0)
		return e;
	/* These wake the host up. */
	if ((clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM) &&
	    !(r->pod->config.capabilities & 1ULL << CAP_WAKE_ALARM))
		return error_set(err, -EBADMSG, "a clock that the pod may not use");
	*ret_fd = timerfd_create(clock, TFD_CLOEXEC);
	if (*ret_fd < 0)
		return error_errno(err, -errno, "timerfd_create");
	return arm(r, n, *ret_fd, clock, err);
}

const struct kind kind_timerfd = {
	.name = "timerfd",
	.carries = "timerfd of every clock, absolute and relative, interval, expiries that were not read",
	.victims = "timerfd-once timerfd-interval timerfd-ticks timerfd-absolute",
	.fd_is = timerfd_is,
	.fd_dump = timerfd_dump,
	.fd_restore = timerfd_restore,
};
