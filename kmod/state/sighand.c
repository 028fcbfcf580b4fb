// SPDX-License-Identifier: GPL-2.0
/*
 * SIGKILL ends a frozen task, too.  Its task_struct stays while we have a
 * reference, but signal handlers and kernel stack, with the registers, go.
 * Both need its siglock first: handlers when it is reaped, and the stack when
 * it wakes up in the freezer to find out that it has to die.  The kernel's own
 * helpers for this (lock_task_sighand, put_task_stack) are not exported.
 */
#include "state/sighand.h"
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include "compat/task.h"
#include "report.h"
#include "session.h"

/* How long a frozen task may be up, to look at a signal and sleep again. */
#define AWAKE_MS	1000

/**
 * ckpt_sighand_try_lock() - take the siglock of a task that may be gone
 * @t: the task, referenced or under RCU
 *
 * Return: its handlers, or NULL when it is gone.
 */
struct sighand_struct *ckpt_sighand_try_lock(struct task_struct *t)
{
	struct sighand_struct *sighand;

	rcu_read_lock();
	while ((sighand = rcu_dereference(t->sighand))) {
		/* Its memory may be another task's by now, but is always a sighand. */
		spin_lock_irq(&sighand->siglock);
		if (sighand == rcu_access_pointer(t->sighand)) {
			/* For sparse, which knows no lock that may be taken or not. */
			__release(&sighand->siglock);
			break;
		}
		spin_unlock_irq(&sighand->siglock);
	}
	rcu_read_unlock();
	return sighand;
}

static void vanished(struct ckpt_session *s, struct task_struct *t)
{
	ckpt_fail(s, -ESRCH, CKPT_REASON_VANISHED, t, "it was killed during the checkpoint");
}

/**
 * ckpt_sighand_lock() - take a task's siglock
 * @s: the session
 * @t: the task, referenced
 *
 * Return: its handlers, or NULL with a noted failure when it is gone.
 */
struct sighand_struct *ckpt_sighand_lock(struct ckpt_session *s, struct task_struct *t)
{
	struct sighand_struct *sighand = ckpt_sighand_try_lock(t);

	if (!sighand)
		vanished(s, t);
	return sighand;
}

/**
 * ckpt_sighand_lock_frozen() - take the siglock of a task that sleeps in the freezer
 * @s: the session
 * @t: the task, referenced
 *
 * Until the unlock its kernel stack stays and nothing on it changes.
 *
 * Return: its handlers, or NULL with a noted failure when it is gone.
 */
struct sighand_struct *ckpt_sighand_lock_frozen(struct ckpt_session *s, struct task_struct *t)
{
	unsigned long end = jiffies + msecs_to_jiffies(AWAKE_MS);
	struct sighand_struct *sighand;

	while ((sighand = ckpt_sighand_try_lock(t))) {
		bool frozen = t->frozen;

		if (frozen && ckpt_task_asleep(t))
			return sighand;
		ckpt_sighand_unlock(sighand);
		if (!frozen || time_after(jiffies, end))
			break;
		usleep_range(10, 50);
	}
	vanished(s, t);
	return NULL;
}

/**
 * ckpt_sighand_unlock() - the reverse of all three
 * @sighand: as returned
 */
void ckpt_sighand_unlock(struct sighand_struct *sighand)
{
	__acquire(&sighand->siglock);
	spin_unlock_irq(&sighand->siglock);
}
