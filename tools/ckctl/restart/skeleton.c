// SPDX-License-Identifier: GPL-2.0
/*
 * A skeleton: a clone of the coordinator that becomes one saved process, with
 * ordinary system calls as far as they go.  Its last one is RESTORE.
 */
#include "restart.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../out.h"
#include "../state/locks.h"
#include "../state/mm.h"
#include "../state/sched.h"
#include "../state/signals.h"
#include "../state/timers.h"

extern const struct state_ops state_cred;

int clone_failed(int err, const char *what, pid_t id, const char *comm)
{
	switch (err) {
	case EEXIST:
		return fail(CK_BUSY, "cannot give %s %d (%.15s) its id back: it is in use by another "
			    "process, process group or session", what, id, comm);
	case EPERM:
		return fail(CK_PERM, "cannot give %s %d (%.15s) its id back: ckctl lacks the capability "
			    "cap_checkpoint_restore", what, id, comm);
	case EAGAIN:
		return fail(CK_FAILED, "cannot make %s %d (%.15s): the limit of processes is reached",
			    what, id, comm);
	default:
		return fail_errno(err, "cannot make %s %d (%.15s)", what, id, comm);
	}
}

static int spawn_children(struct restart *r, const struct tree_node *node, bool early)
{
	int i, rc = CK_OK;

	for (i = node->first; i >= 0 && !rc; i = r->tree.nodes[i].next)
		if (r->tree.nodes[i].early == early)
			rc = skeleton_spawn(r, i);
	return rc;
}

static void gate_wait(uint32_t *step, uint32_t until)
{
	uint32_t now;

	while ((now = __atomic_load_n(step, __ATOMIC_ACQUIRE)) < until)
		syscall(SYS_futex, step, FUTEX_WAIT, now, NULL, NULL, 0);
}

/* Children, session and, once all processes exist, the process group. */
static int take_place(struct restart *r, const struct tree_node *node)
{
	pid_t pgid = node->pgid ? node->pgid : r->pgid;
	int rc;

	rc = spawn_children(r, node, true);
	if (rc)
		return rc;
	if (node->leads_session && setsid() < 0)
		return fail_errno(errno, "process %d: cannot found its session", node->pid);
	rc = spawn_children(r, node, false);
	if (rc)
		return rc;
	/* Behind them: those in the launcher's group, which may have no number here, inherit it. */
	if (!node->leads_session && pgid == node->pid && setpgid(0, 0) < 0)
		return fail_errno(errno, "process %d: cannot found its process group", node->pid);
	report_send(r, REPORT_READY, node->pid);
	gate_wait(&r->gate->exist, 1);
	if (getpgrp() != pgid && setpgid(0, pgid) < 0)
		return fail_errno(errno, "process %d: cannot join process group %d", node->pid, pgid);
	/* Only stand-ins wait for that. */
	if (__atomic_add_fetch(&r->gate->joined, 1, __ATOMIC_RELEASE) == r->tree.nr)
		syscall(SYS_futex, &r->gate->joined, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	return CK_OK;
}

void forget_signal(int sig)
{
	const uint64_t set = sig ? 1ULL << (sig - 1) : 0;
	const struct timespec now = { 0 };

	syscall(SYS_rt_sigtimedwait, &set, NULL, &now, sizeof(set));
}

int reap_stand_ins(const struct restart *r, int creator)
{
	size_t i;

	for (i = r->tree.nr_processes; i < r->tree.nr; i++) {
		int status;

		/* A session's is cloned by its parent, too. */
		if (r->tree.nodes[i].creator != creator || r->tree.nodes[i].zombie)
			continue;
		while (waitpid(r->tree.nodes[i].pid, &status, __WALL) < 0)
			if (errno != EINTR)
				return fail_errno(errno, "cannot wait for process %d",
						  r->tree.nodes[i].pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			return fail(CK_FAILED, "process %d was killed during the restart",
				    r->tree.nodes[i].pid);
		forget_signal(r->tree.nodes[i].exit_signal);
	}
	return CK_OK;
}

int skeleton_rows(struct restart *r, const struct image_process *p)
{
	const struct state_ops *const *ops;
	int rc = CK_OK;

	for (ops = state_table; *ops && !rc; ops++)
		if ((*ops)->restore && *ops != &state_cred)
			rc = (*ops)->restore(&r->state, p);
	return rc;
}

/* The leader's last steps: no way back to libc's clock, heap or rights. */
static int leave(struct restart *r, const struct image_process *p, struct ckpt_plan *plan,
		 int socket_fd)
{
	const struct ckpt_rec_process *rec = p->rec;
	struct vdso_place place;
	struct request req;
	int rc = vdso_old_place(&r->vdso_old, p, &r->vdso, &place);

	/* Needs rights, and threads would have inherited it. */
	if (!rc)
		rc = sched_settle(&r->state, &p->threads[0]);
	if (!rc)
		rc = state_cred.restore(&r->state, p);
	if (!rc)
		rc = timers_arm(p, &plan->timers_ns);
	if (!rc)
		rc = thread_settle(&p->threads[0]);
	if (rc)
		return rc;
	/* A change of ids took this away, too; 2 cannot be asked for and is no more open than 0. */
	if (prctl(PR_SET_DUMPABLE, p->mm->dumpable == 1, 0, 0, 0) < 0)
		return fail_errno(errno, "process %d (%.15s): cannot set whether it is dumpable",
				  rec->pid, rec->comm);
	plan->vdso_start = place.kept.start;
	plan->vdso_end = place.kept.end;
	request_make(&req, r, CKPT_CMD_RESTORE, plan);
	rc = vdso_move(&r->vdso, place.own);
	if (!rc)
		rc = vdso_old_put(&r->vdso_old, &place, place.own + (r->code.start - r->vdso.start));
	if (rc)
		return fail_errno(-rc, "process %d (%.15s): cannot map the vdso where it was",
				  rec->pid, rec->comm);
	rc = thread_personality(&p->threads[0]);
	if (!rc)
		rc = mm_set_fields(p);
	if (rc)
		return rc;
	request_send(r, socket_fd, &req, rec->pid);
	_exit(1);
}

static int become(struct restart *r, const struct image_process *p)
{
	struct ckpt_plan plan;
	char *stacks = NULL;
	int rc, socket_fd;

	/* What takes memory or descriptors of ours comes before the job's limits. */
	rc = request_socket(r, &socket_fd);
	if (!rc)
		rc = mm_plan(&r->state, p, &plan);
	if (!rc)
		rc = locks_plan(&r->state, p, &plan);
	if (!rc && p->nr_threads > 1) {
		stacks = mmap(NULL, (p->nr_threads - 1) * THREAD_STACK, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
		if (stacks == MAP_FAILED)
			rc = fail_errno(errno, "cannot get memory for the threads of process %d",
					p->rec->pid);
	}
	if (!rc)
		rc = skeleton_rows(r, p);
	if (!rc)
		rc = threads_spawn(r, p, socket_fd, stacks);
	if (!rc)
		rc = signals_queue(p);
	if (!rc)
		rc = signals_queue_thread(p, &p->threads[0]);
	if (!rc)
		rc = leave(r, p, &plan, socket_fd);
	return rc;
}

static void __attribute__((noreturn)) skeleton_main(struct restart *r, int index)
{
	const struct tree_node *node = &r->tree.nodes[index];
	int rc;

	report_capture();
	/* Inherited from who launched ckctl: what ends would not be left for its parent. */
	signal(SIGCHLD, SIG_DFL);
	/* Nobody who fails, or is killed, leaves descendants behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != (node->parent < 0 ? r->pid : r->tree.nodes[node->parent].pid))
		_exit(1);
	/* The coordinator's own descriptors: its socket in our hands would keep
	 * the session alive when it dies. */
	if (node->creator < 0) {
		close(nl_fd(r->nl));
		close(r->go_wr);
		close_range(0, (unsigned int)r->state.fd_base - 1, 0);
	}
	rc = take_place(r, node);
	if (!rc && !node->process) {
		gate_wait(&r->gate->joined, (uint32_t)r->tree.nr);
		if (!node->zombie)
			_exit(0);
	}
	if (!rc)
		rc = reap_stand_ins(r, index);
	if (!rc && node->zombie)
		zombie_end(r, node->zombie);
	if (!rc)
		rc = zombies_await(r, index);
	if (!rc)
		rc = node->process->relaunch ? relaunch_become(r, node->process) :
					       become(r, node->process);
	report_failure(r, node->pid, rc);
}

int skeleton_spawn(struct restart *r, int index)
{
	const struct tree_node *node = &r->tree.nodes[index];
	pid_t pid = node->pid;
	struct clone_args args = {
		.exit_signal = (uint64_t)node->exit_signal,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};
	long rc;

	if (node->creator < 0 && r->cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)r->cgroup_fd;
	} else if (node->creator >= 0 && node->parent != node->creator) {
		/* Beside a stand-in, which has the same exit signal; that is inherited. */
		args.flags |= CLONE_PARENT;
		args.exit_signal = 0;
	}
	rc = syscall(SYS_clone3, &args, sizeof(args));
	if (rc == 0)
		skeleton_main(r, index);
	if (rc < 0)
		return clone_failed(errno, "process", pid, node->comm);
	if (node->creator < 0) {
		r->nr_roots++;
		return watch_born(r, pid);
	}
	report_send(r, REPORT_BORN, pid);
	return CK_OK;
}
