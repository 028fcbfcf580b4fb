// SPDX-License-Identifier: GPL-2.0
/*
 * timerfd_create(2): clock, time left, period, expirations not read yet, flags.
 * The time starts to run when the job does.
 *
 * A timer on the wall clock that was set to a time of day keeps that time,
 * others the time that was left.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "out.h"
#include "proc.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS	_IOW('T', 0, uint64_t)
#endif

#define NS	1000000000ULL

/* How often to look at a timer that seems not to run: the whole takes some 50 us. */
#define SETTLING	5

/* ---- check ---- */

/* "key: (seconds, nanoseconds)" */
static bool read_time(const char *info, const char *key, __u64 *ns)
{
	const char *text = proc_status(info, key);
	unsigned long long s, n;

	if (!text || sscanf(text, "(%llu, %llu)", &s, &n) != 2 || n >= NS || s > INT64_MAX / NS - 1)
		return false;
	*ns = s * NS + n;
	return true;
}

static bool read_info(const char *info, struct ckpt_rec_timerfd *rec)
{
	uint64_t clock, flags;

	if (!dump_info_number(info, "clockid", 10, &clock) ||
	    !dump_info_number(info, "ticks", 10, (uint64_t *)&rec->ticks) ||
	    !dump_info_number(info, "settime flags", 8, &flags) ||
	    !read_time(info, "it_value", &rec->value_ns) ||
	    !read_time(info, "it_interval", &rec->interval_ns))
		return false;
	rec->clock = (int32_t)clock;
	rec->flags = (uint32_t)flags;
	return true;
}

static bool on_wall_clock(const struct ckpt_rec_timerfd *rec)
{
	return rec->flags & TFD_TIMER_ABSTIME &&
	       (rec->clock == CLOCK_REALTIME || rec->clock == CLOCK_REALTIME_ALARM);
}

static int look_again(const struct dump_file *f, struct ckpt_rec_timerfd *rec)
{
	char info[4096];

	if (proc_fdinfo(f->proc, f->fd, info, sizeof(info)) < 0 || !read_info(info, rec))
		return fail_errno(errno, "pid %d: cannot look into timerfd %d", f->proc->pid, f->fd);
	return CK_OK;
}

/*
 * Nothing left and nothing expired is one that does not run; or the interrupt that
 * counts its expiration is about to come.
 */
static int settle(const struct dump_file *f, struct ckpt_rec_timerfd *rec)
{
	int i, rc = CK_OK;

	for (i = 0; i < SETTLING && !rc && !rec->value_ns && !rec->ticks; i++)
		rc = look_again(f, rec);
	return rc;
}

/* A periodic one that has expired does not run until it is read or asked. */
static int wind_up(struct dump_file *f, struct ckpt_rec_timerfd *rec)
{
	struct itimerspec its;
	int fd = dump_file_get(f), rc;

	if (fd < 0 || timerfd_gettime(fd, &its) < 0)
		rc = fail_errno(errno, "pid %d: cannot look into timerfd %d", f->proc->pid, f->fd);
	else
		rc = look_again(f, rec);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int check(struct dump *d, struct dump_file *f)
{
	struct ckpt_rec_timerfd *rec = dump_file_state(d, f, CKPT_FILE_TIMERFD, sizeof(*rec));
	struct timespec now;
	int rc;

	if (!rec)
		return CK_FAILED;
	if (!read_info(f->info, rec))
		return fail(CK_FAILED, "pid %d: the kernel does not tell the state of timerfd %d",
			    f->proc->pid, f->fd);
	rc = settle(f, rec);
	if (!rc && rec->interval_ns && rec->ticks && !rec->value_ns)
		rc = wind_up(f, rec);
	if (rc)
		return rc;
	/* It has expired again since, or is about to: it is due at once.  Nobody sets
	 * a period for one that shall not run. */
	if (rec->interval_ns && !rec->value_ns)
		rec->value_ns = 1;
	if (rec->value_ns && on_wall_clock(rec)) {
		clock_gettime(CLOCK_REALTIME, &now);
		rec->expiry_ns = (int64_t)((uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec +
					   rec->value_ns);
	}
	return CK_OK;
}

static int timerfd_check(struct dump *d)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->files->nr_files && !rc; i++)
		if (dump_file_is(d->files->files[i], "[timerfd]"))
			rc = check(d, d->files->files[i]);
	return rc;
}

static int timerfd_dump(struct dump *d)
{
	return dump_file_states(d, CKPT_FILE_TIMERFD, CKPT_REC_TIMERFD);
}

/* ---- restore ---- */

static int timerfd_prepare(struct restore *r)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_files && !rc; i++) {
		const struct ckpt_rec_timerfd *rec = r->image->files[i].state;
		int fd;

		if (r->image->files[i].rec->kind != CKPT_FILE_TIMERFD)
			continue;
		fd = timerfd_create(rec->clock, TFD_CLOEXEC);
		rc = fd < 0 ? fail_errno(errno, "cannot make a timerfd on clock %d", rec->clock) :
			      restore_file_is(r, i, fd);
	}
	return rc;
}

static struct timespec to_time(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS) };
}

static int arm(int fd, const struct ckpt_rec_timerfd *rec)
{
	struct itimerspec its = {
		.it_value = to_time(rec->value_ns), .it_interval = to_time(rec->interval_ns),
	};
	int flags = 0;

	if (rec->value_ns && on_wall_clock(rec)) {
		its.it_value = to_time((uint64_t)rec->expiry_ns);
		flags = (int)rec->flags & (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	}
	if (rec->value_ns && timerfd_settime(fd, flags, &its, NULL) < 0)
		return -1;
	return rec->ticks ? ioctl(fd, TFD_IOC_SET_TICKS, &rec->ticks) : 0;
}

static int timerfd_commit(struct restore *r)
{
	size_t i;

	for (i = 0; i < r->image->nr_files; i++)
		if (r->image->files[i].rec->kind == CKPT_FILE_TIMERFD && r->file_fds[i] >= 0 &&
		    arm(r->file_fds[i], r->image->files[i].state) < 0)
			return fail_errno(errno, "cannot set a timerfd");
	return CK_OK;
}

const struct state_ops state_timerfd = {
	.name = "timerfd",
	.saved = "clock, time left (of a time of day: that time), period, expirations, flags",
	.refused = "",
	.check = timerfd_check,
	.dump = timerfd_dump,
	.prepare = timerfd_prepare,
	.commit = timerfd_commit,
};
