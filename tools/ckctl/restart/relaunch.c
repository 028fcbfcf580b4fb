// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that are started anew: skeletons that get what system calls can give
 * them, as all do, then wait for the restart's commit and execute their program.
 *
 * Until then their life hangs on the coordinator's, afterwards on nobody's.  A
 * death signal cannot do that: their parent may run, and end, before they have
 * cleared it.  So they read from a pipe of which only the coordinator has the
 * other end: a byte for each says go, its end that there will be none.
 */
#include "restart.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../job/environ.h"
#include "../out.h"

#define STEP_VARIABLE	"SLURM_RESTART_DIR="

extern const struct state_ops state_cred;

/* ---- the environment ---- */

/* "<step>" of "ckpt-step:<job>.<step>"; NULL for no such thing. */
static const char *step_of(const char *mark)
{
	const char *dot = strrchr(mark, '.');

	return dot && dot[1] && !dot[1 + strspn(dot + 1, "0123456789")] ? dot + 1 : NULL;
}

/*
 * Where the images of its step are: beside the directory that has this image.
 * NULL when there are none; what it returns is "NAME=VALUE".
 */
static char *step_images(const struct restart *r, const struct image_relaunch *relaunch)
{
	const char *step = step_of(relaunch->mark);
	char *path = step ? realpath(r->image->path, NULL) : NULL, *variable = NULL;
	struct stat st;

	if (path && asprintf(&variable, STEP_VARIABLE "%s/%s", dirname(dirname(path)), step) < 0)
		variable = NULL;
	free(path);
	if (variable && (stat(variable + sizeof(STEP_VARIABLE) - 1, &st) < 0 ||
			 !S_ISDIR(st.st_mode))) {
		free(variable);
		return NULL;
	}
	return variable;
}

/* "NAME=VALUE" as it is in the end; NULL for not at all. */
static char *in_this_launch(const struct restart *r, char *variable)
{
	char name[256], *text;
	const char *equals = strchr(variable, '='), *value;

	if (!equals || (size_t)(equals - variable) >= sizeof(name))
		return variable;
	snprintf(name, sizeof(name), "%.*s", (int)(equals - variable), variable);
	if (!environ_is_launch(name))
		return variable;
	value = environ_merge(name, equals + 1, environ_get(r->launched, r->launched_len, name),
			      getenv(name));
	if (!value || value == equals + 1)
		return value ? variable : NULL;
	return asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text;
}

static bool has_variable(char *const *env, const char *variable, size_t len)
{
	for (; *env; env++)
		if (strncmp(*env, variable, len) == 0 && (*env)[len] == '=')
			return true;
	return false;
}

/* Those that the former launch did not have. */
static size_t add_of_this_launch(const struct restart *r, char *const *saved, char **env, size_t n)
{
	char **own, name[256];

	for (own = environ; own && *own; own++) {
		size_t len = strcspn(*own, "=");

		snprintf(name, sizeof(name), "%.*s", (int)len, *own);
		if (len < sizeof(name) && environ_is_launch(name) && !has_variable(saved, *own, len) &&
		    environ_merge(name, NULL, environ_get(r->launched, r->launched_len, name),
				  *own + len))
			env[n++] = *own;
	}
	return n;
}

/* NULL is what clearenv() leaves. */
static size_t count(char *const *env)
{
	size_t nr = 0;

	while (env && env[nr])
		nr++;
	return nr;
}

char **relaunch_environment(const struct restart *r, const struct image_process *p)
{
	static char append[] = "SLURM_OPEN_MODE=append";
	char **saved = p->relaunch->envp, **env, **var;
	size_t n = 0;

	env = calloc(count(saved) + count(environ) + 3, sizeof(*env));
	if (!env)
		return NULL;
	for (var = saved; *var; var++) {
		/* What an earlier restart said of an earlier image. */
		if (strncmp(*var, STEP_VARIABLE, sizeof(STEP_VARIABLE) - 1) == 0)
			continue;
		env[n] = r->slot ? in_this_launch(r, *var) : *var;
		n += env[n] != NULL;
	}
	if (r->slot)
		n = add_of_this_launch(r, saved, env, n);
	env[n] = step_images(r, p->relaunch);
	/* The step's output goes on in its files. */
	if (env[n] && r->slot && !has_variable(env, append, strcspn(append, "=")))
		env[n + 1] = append;
	return env;
}

/* ---- the coordinator ---- */

int relaunch_open(struct restart *r)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(errno, "cannot make a pipe");
	r->go_wr = ends[1];
	r->go_rd = restore_keep_fd(&r->state, ends[0]);
	return r->go_rd < 0 ? fail_errno(errno, "cannot keep a pipe open") : CK_OK;
}

void relaunch_go(struct restart *r)
{
	size_t i;

	/* There is room for all, and somebody who could read it: we. */
	for (i = 0; i < r->image->nr_relaunched; i++)
		while (write(r->go_wr, "", 1) < 0 && errno == EINTR)
			;
}

void relaunch_close(struct restart *r)
{
	if (r->go_wr >= 0)
		close(r->go_wr);
	if (r->go_rd >= 0)
		close(r->go_rd);
	r->go_wr = -1;
	r->go_rd = -1;
}

/* ---- in the skeleton ---- */

/* All that is the coordinator's but these two. */
static void close_but(const struct restart *r, int a, int b)
{
	unsigned int low = (unsigned int)(a < b ? a : b), high = (unsigned int)(a < b ? b : a);
	unsigned int base = (unsigned int)r->state.fd_base;

	if (low > base)
		close_range(base, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

static void wait_for_commit(const struct restart *r, const struct image_process *p)
{
	ssize_t n;
	char word;

	close_but(r, r->go_rd, r->report_wr);
	prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
	report_send(r, REPORT_WAITING, p->rec->pid);
	close(r->report_wr);
	while ((n = read(r->go_rd, &word, 1)) < 0 && errno == EINTR)
		;
	if (n != 1)
		_exit(1);
	close(r->go_rd);
}

static void __attribute__((noreturn)) run(const struct image_process *p, char **env)
{
	const uint64_t blocked = p->relaunch->rec->blocked;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof(blocked));
	execve(p->exe, p->relaunch->argv, env);
	/* There is nobody left but whoever reads its standard error. */
	fail_capture(NULL, 0);
	fail_errno(errno, "cannot start %s anew as process %d", p->exe, p->rec->pid);
	_exit(127);
}

int relaunch_become(struct restart *r, const struct image_process *p)
{
	/* The image may have been named from where we are now. */
	char **env = relaunch_environment(r, p);
	int rc = env ? skeleton_rows(r, p) : fail(CK_FAILED, "out of memory"), fd;

	if (!rc && setpriority(PRIO_PROCESS, 0, p->relaunch->rec->nice) < 0 && errno != EPERM &&
	    errno != EACCES)
		rc = fail_errno(errno, "process %d (%.15s): cannot set its nice value", p->rec->pid,
				p->rec->comm);
	if (!rc)
		rc = state_cred.restore(&r->state, p);
	if (rc)
		return rc;
	/* Whatever its former self had done with them. */
	for (fd = 0; fd <= 2; fd++)
		fcntl(fd, F_SETFD, 0);
	wait_for_commit(r, p);
	run(p, env);
}
