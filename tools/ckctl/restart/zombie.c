// SPDX-License-Identifier: GPL-2.0
/*
 * Dead children that their parent has not waited for: skeletons that end as
 * they did, once nobody needs them to lead a session or group any more.  Their
 * parent waits for that, without taking notice: the signals that it gets for
 * them are not the program's, whose own pending ones come after that.
 *
 * The resources that they used are lost, and whether they left a core dump.
 */
#include "restart.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../out.h"

/* Who could see the user id is only its parent; what runs as that user is this line. */
static void take_user(const struct restart *r, uid_t uid)
{
	if (geteuid() == 0 && setresuid(r->image->owner ? r->image->owner : uid, -1, -1) < 0)
		note("an ended process keeps another user id than it had");
}

void zombie_end(const struct restart *r, const struct ckpt_rec_zombie *rec)
{
	const struct rlimit none = { 0, 0 };
	int sig = (int)(rec->status & 0x7f);
	uint64_t mask = 0;

	prctl(PR_SET_NAME, rec->comm, 0, 0, 0);
	take_user(r, rec->uid);
	if (!sig)
		_exit((int)(rec->status >> 8));
	/* No core dump of ours. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(sig, SIG_DFL);
	syscall(SYS_tgkill, getpid(), getpid(), sig);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
	_exit(1);
}

static bool ended_as_saved(const siginfo_t *info, const struct ckpt_rec_zombie *rec)
{
	int sig = (int)(rec->status & 0x7f);

	return sig ? info->si_code == CLD_KILLED && info->si_status == sig :
		     info->si_code == CLD_EXITED && info->si_status == (int)(rec->status >> 8);
}

int zombies_await(const struct restart *r, int parent)
{
	size_t i;

	for (i = r->tree.nr_processes; i < r->tree.nr; i++) {
		const struct tree_node *node = &r->tree.nodes[i];
		siginfo_t info;

		if (!node->zombie || node->parent != parent)
			continue;
		while (waitid(P_PID, (id_t)node->pid, &info, WEXITED | WNOWAIT | __WALL) < 0)
			if (errno != EINTR)
				return fail_errno(errno, "cannot wait for process %d", node->pid);
		if (!ended_as_saved(&info, node->zombie))
			return fail(CK_FAILED, "process %d was killed during the restart", node->pid);
		forget_signal(node->exit_signal);
	}
	return CK_OK;
}
