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
#include <poll.h>
#include <sched.h>
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
#define SETTLES 1000000 /* ns: an interrupt that was due has come by then */
#define TRIES 100	/* of a look at a timer that expires all the time */
#define CPUS 8192

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

/* What one look finds. */
struct timer_state {
	uint64_t clock, flags;
	int64_t interval, remaining; /* ns; remaining 0: nothing is to come, or it is due and not counted yet */
	uint64_t ticks;
};

static int read_fdinfo(const struct dump *d, int fd, struct timer_state *ret, struct ct_error *err)
{
	cleanup_free char *info = NULL;
	char name[32];
	ssize_t len;

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	len = proc_read(d->proc, getpid(), name, &info);
	if (len < 0)
		return error_errno(err, (int)len, "read '%s'", name);
	if (!fdinfo_get(info, "clockid", 10, &ret->clock) || !fdinfo_get(info, "ticks", 10, &ret->ticks) ||
	    !fdinfo_get(info, "settime flags", 8, &ret->flags))
		return error_set(err, -ENOSYS, "fdinfo shows no timer");
	return 0;
}

/*
 * On a virtual CPU that its host does not run just now an interrupt may be late by any time. Where we have run since, it
 * has come. CPUs that we may not run on are left out.
 */
static void visit_cpus(void)
{
	const size_t size = CPU_ALLOC_SIZE(CPUS);
	cpu_set_t *own = CPU_ALLOC(CPUS), *one = CPU_ALLOC(CPUS);

	if (own && one && sched_getaffinity(0, size, own) == 0) {
		for (size_t cpu = 0; cpu < CPUS; cpu++) {
			CPU_ZERO_S(size, one);
			CPU_SET_S(cpu, size, one);
			if (CPU_ISSET_S(cpu, size, own))
				sched_setaffinity(0, size, one);
		}
		sched_setaffinity(0, size, own);
	}
	CPU_FREE(own);
	CPU_FREE(one);
}

/*
 * The timer goes on while it is looked at: ticks and what remains belong together where the ticks are the
 * same before and after. timerfd_gettime() counts the expiries of an interval into the ticks; where it finds
 * nothing that remains of an interval, either the timer is not armed or the interrupt is still to come.
 */
static int look(const struct dump *d, int fd, struct timer_state *ret, struct ct_error *err)
{
	struct itimerspec t;
	uint64_t before;

	for (int i = 0; i < TRIES; i++) {
		int r = read_fdinfo(d, fd, ret, err);

		if (r < 0)
			return r;
		before = ret->ticks;
		if (timerfd_gettime(fd, &t) < 0)
			return error_errno(err, -errno, "timerfd_gettime");
		ret->interval = from_timespec(&t.it_interval);
		ret->remaining = from_timespec(&t.it_value);
		r = read_fdinfo(d, fd, ret, err);
		if (r < 0)
			return r;
		if (ret->ticks == before && (ret->remaining || !ret->interval))
			break;
		if (i == TRIES - 2)
			visit_cpus();
		if (ret->ticks == before)
			clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ 0, SETTLES / 10 }, NULL);
	}
	return 0;
}

static int timerfd_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct timer_state t;
	struct node *state;
	int64_t offset;
	int clock, r;

	if (d->preflight)
		return 0;
	r = look(d, v->dup, &t, err);
	if (r < 0)
		return r;
	node_put_u64(n, "clock", t.clock);
	node_put_hex(n, "settime_flags", t.flags);
	node_put_i64(n, "interval", t.interval);
	if (!t.remaining && !t.ticks && !t.interval)
		return 0; /* timerfd_link() looks again */
	/* A timer goes on during a restore. */
	state = node_put_object(n, "volatile");
	node_put_u64(state, "ticks", t.ticks);
	if (!t.remaining)
		return 0;
	clock = clock_of((int)t.clock, (int)t.flags);
	r = clock_offset(d->proc, d->pod->state.pid1, clock, &offset, err);
	if (r < 0)
		return r;
	node_put_i64(state, "expires", clock_now(clock) + offset + t.remaining);
	return 0;
}

/* A timer that was due when it was looked at looks like one that is not armed, until its interrupt has come. */
static int timerfd_link(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct timer_state t;
	int64_t wait;
	int r;

	if (d->preflight || node_has(n, "volatile"))
		return 0;
	/* Most have not been armed for long: all of them share one wait. */
	wait = d->descriptors_at + SETTLES - clock_now(CLOCK_MONOTONIC);
	if (wait > 0 && ppoll(&(struct pollfd){ v->dup, POLLIN, 0 }, 1,
			      &(struct timespec){ 0, wait }, NULL) < 0)
		return error_errno(err, -errno, "poll");
	r = read_fdinfo(d, v->dup, &t, err);
	if (r < 0)
		return r;
	node_put_u64(node_put_object(n, "volatile"), "ticks", t.ticks);
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
	.fd_link = timerfd_link,
	.fd_restore = timerfd_restore,
};
