// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that an image does not have: slots, and the clients of job steps with
 * all below them.  This program executes itself as either; what is said of a
 * client is read as if it were frozen.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job/slot.h"
#include "no_contents.h"
#include "out.h"
#include "restart/restart.h"
#include "state/omit.h"
#include "state/proc.h"
#include "state/state.h"
#include "tap.h"

#define MAX	8

static char dir[] = "/tmp/ckpt-unit-XXXXXX";

/* ---- records ---- */

static struct ckpt_rec_relaunch rec;
static char tail[65536];
static size_t nr_relaunched, tail_len;
static unsigned int fds_put;		/* bits, by number */

int image_put(struct image_writer *w, uint32_t type, const void *head, size_t head_len,
	      const void *rest, size_t rest_len)
{
	const struct ckpt_rec_fd *fd = head;

	(void)w;
	if (type == CKPT_REC_FD)
		fds_put |= 1U << fd->fd;
	if (type != CKPT_REC_RELAUNCH || head_len != sizeof(rec) || rest_len > sizeof(tail))
		return CK_OK;
	memcpy(&rec, head, sizeof(rec));
	memcpy(tail, rest, rest_len);
	tail_len = rest_len;
	nr_relaunched++;
	return CK_OK;
}

/* ---- processes; each writes a byte to its standard input when it is what it is to be ---- */

static void __attribute__((noreturn)) stay(void)
{
	if (write(STDIN_FILENO, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int client(void)
{
	int fd = open("data", O_RDONLY | O_CREAT, 0600);
	sigset_t set;
	int ends[2];

	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (setpriority(PRIO_PROCESS, 0, 7) < 0 || memfd_create("ckpt-step:17.3", MFD_CLOEXEC) < 0 ||
	    dup2(fd, 10) < 0 || dup3(fd, 11, O_CLOEXEC) < 0 ||
	    dup2(socket(AF_UNIX, SOCK_STREAM, 0), 12) < 0 || dup2(memfd_create("x", 0), 13) < 0 ||
	    dup2(open("/proc/self/status", O_RDONLY), 14) < 0 || pipe(ends) < 0 ||
	    dup2(ends[0], 15) < 0)
		return 1;
	close(ends[0]);
	/* The helper, which alone has the other end of that pipe. */
	if (fork() == 0)
		stay();
	close(ends[1]);
	stay();
}

static int ready_wr, ready_rd;

static pid_t start(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready_wr, STDIN_FILENO);
		close_range(3, ~0U, 0);
	}
	return pid;
}

static pid_t start_slot(bool ready)
{
	pid_t pid = start();
	int mark;

	if (pid)
		return pid;
	mark = slot_mark("17.0.3");
	if (mark < 0)
		_exit(1);
	if (ready)
		slot_ready(mark);
	/* What it has started, which executes something. */
	if (fork() == 0) {
		execl("other", "other", "stay", NULL);
		_exit(1);
	}
	stay();
}

static pid_t start_client(void)
{
	char *const argv[] = { "srun", "-n2", "", "a b", NULL }, *const env[] = { "A=b=c", "B=", NULL };
	pid_t pid = start();

	if (pid)
		return pid;
	execve("srun", argv, env);
	_exit(1);
}

static void wait_ready(int nr)
{
	char c;

	while (nr-- && read(ready_rd, &c, 1) == 1)
		;
}

static pid_t child_of(pid_t pid)
{
	char path[64], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return atoi(text);
}

/* ---- who is left out ---- */

static int by_pid(const void *a, const void *b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

static void dump_begin(struct dump *d, pid_t *pids, size_t nr)
{
	size_t i;

	*d = (struct dump){ .nr_procs = nr, .cgroup_fd = -1 };
	d->procs = calloc(nr, sizeof(*d->procs));
	qsort(pids, nr, sizeof(*pids), by_pid);
	for (i = 0; i < nr; i++)
		ok(!proc_open(&d->procs[i], pids[i]), "process %zu of the job", i);
}

static const struct proc *among(const struct proc *procs, size_t nr, pid_t pid)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (procs[i].pid == pid)
			return &procs[i];
	return NULL;
}

static void left_out(pid_t slot, pid_t below_slot, pid_t srun, pid_t helper)
{
	/* This process stands for the batch script. */
	pid_t pids[] = { getpid(), slot, below_slot, srun, helper };
	const struct proc *p;
	struct dump d;
	int turn;

	dump_begin(&d, pids, 5);
	for (turn = 0; turn < 2; turn++) {
		ok(omit_find(&d) == CK_OK && d.nr_obstacles == 0 && d.nr_procs == 3 && d.nr_omitted == 2,
		   "%zu stay, %zu are left out", d.nr_procs, d.nr_omitted);
		ok(among(d.omitted, d.nr_omitted, slot) && among(d.procs, d.nr_procs, below_slot),
		   "a slot is, but not what it has started");
		p = among(d.procs, d.nr_procs, srun);
		ok(p && p->relaunch && among(d.omitted, d.nr_omitted, helper),
		   "a client is marked, its helper left out");
		p = among(d.procs, d.nr_procs, getpid());
		ok(p && !p->relaunch && d.procs[0].pid < d.procs[1].pid, "others stay as they were");
		if (turn == 0) {
			omit_undo(&d);
			ok(d.nr_procs == 5 && d.nr_omitted == 0 && d.procs[0].pid == pids[0] &&
			   d.procs[4].pid == pids[4], "after a rehearsal all are there again");
			for (size_t i = 0; i < d.nr_procs; i++)
				d.procs[i].relaunch = false;
		}
	}
	dump_free(&d);
}

/* Its task would be lost. */
static void not_ready(pid_t slot)
{
	pid_t pids[] = { getpid(), slot };
	struct dump d;

	dump_begin(&d, pids, 2);
	ok(omit_find(&d) == CK_OK && d.nr_obstacles == 1 && strstr(d.obstacles[0], "still restarting"),
	   "a slot that is not ready: %s", d.nr_obstacles ? d.obstacles[0] : "no obstacle");
	dump_free(&d);
}

static void first_process(pid_t srun, pid_t helper)
{
	pid_t pids[] = { srun, helper };
	struct dump d;

	dump_begin(&d, pids, 2);
	ok(omit_find(&d) == CK_OK && d.nr_obstacles == 1 && strstr(d.obstacles[0], "first process"),
	   "a client that nobody of the job waits for: %s", d.nr_obstacles ? d.obstacles[0] : "");
	dump_free(&d);
}

/* ---- what is said of a client ---- */

static void told(pid_t srun, pid_t helper)
{
	static const char expected[] = "ckpt-step:17.3" "srun\0-n2\0\0a b\0" "A=b=c\0B=";
	pid_t pids[] = { getpid(), srun, helper };
	char exe[64];
	struct dump d;
	size_t i, len = (size_t)snprintf(exe, sizeof(exe), "%s/srun", dir);

	dump_begin(&d, pids, 3);
	ok(omit_find(&d) == CK_OK && state_check(&d) == CK_OK, "it is looked at");
	/* Those of this test itself are of no interest. */
	for (i = 0; i < d.nr_obstacles; i++)
		ok(!strstr(d.obstacles[i], "(srun)"), "no obstacle: %s", d.obstacles[i]);
	d.nr_procs = 2;
	fds_put = 0;
	ok(state_dump(&d) == CK_OK && nr_relaunched == 1, "and told of");
	ok(rec.pid == srun && rec.ppid == getpid() && rec.pgid == getpgrp() && rec.sid == getsid(0) &&
	   rec.exit_signal == SIGCHLD && rec.nice == 7 && strcmp(rec.comm, "srun") == 0,
	   "ids, nice value, name");
	ok(rec.blocked == 1ULL << (SIGUSR2 - 1) && rec.ignored & 1 << (SIGHUP - 1),
	   "signals blocked (%#llx) and ignored (%#llx)", (unsigned long long)rec.blocked,
	   (unsigned long long)rec.ignored);
	ok(rec.exe_len == len && memcmp(tail, exe, len) == 0 && rec.mark_len == 14 &&
	   rec.args_len == 14 && rec.env_len == 9 && tail_len == len + sizeof(expected) &&
	   memcmp(tail + len, expected, sizeof(expected)) == 0,
	   "program, mark, arguments, environment");
	dump_free(&d);
}

/* Its descriptors alone: those that a saved process has are kept in any case. */
static void told_descriptors(pid_t srun)
{
	extern const struct state_ops state_fds, state_objects, state_pipes;
	static const struct state_ops *const rows[] = { &state_fds, &state_objects, &state_pipes };
	pid_t pids[] = { srun };
	struct dump d;
	size_t i;

	dump_begin(&d, pids, 1);
	d.procs[0].relaunch = true;
	fds_put = 0;
	ok(!proc_read_all(&d), "its status");
	for (i = 0; i < 3; i++)
		ok(!rows[i]->check(&d), "%s: check", rows[i]->name);
	ok(d.nr_obstacles == 0, "nothing of that stands against it: %s",
	   d.nr_obstacles ? d.obstacles[0] : "");
	ok(!state_fds.dump(&d), "its descriptors");
	ok((fds_put & ~7U) == (1U << 3 | 1U << 10),
	   "of its own ones the file is there again, as exec would leave it: %#x", fds_put);
	dump_free(&d);
}

/* ---- where the images of a step are ---- */

static const char *restart_dir(const char *image_path, const char *mark)
{
	static char value[256];
	char *envp[] = { "A=b=c", "SLURM_RESTART_DIR=stale", "B=", NULL };
	struct image_relaunch relaunch = { .mark = (char *)mark, .envp = envp };
	struct image_process process = { .relaunch = &relaunch };
	struct image image = { .path = (char *)image_path };
	struct restart r = { .image = &image };
	char **env = relaunch_environment(&r, &process);

	if (!env || strcmp(env[0], "A=b=c") != 0 || strcmp(env[1], "B=") != 0 || (env[2] && env[3]))
		return "?";
	snprintf(value, sizeof(value), "%s", env[2] ? env[2] : "");
	free(env[2]);
	free(env);
	return value;
}

static void restart_dirs(void)
{
	static const char *const none[] = {
		"", "ckpt-step:17.4", "ckpt-step:17.5", "ckpt-step:17.", "ckpt-step:3", "ckpt-step:17./..",
		"ckpt-step:17.3/", "ckpt-step:17.3x", "ckpt-step:17.../gen-1/3",
	};
	char expected[256];
	size_t i;

	if (mkdir("gen-1", 0700) || mkdir("gen-1/batch", 0700) || mkdir("gen-1/batch/n.ckpt", 0700) ||
	    mkdir("gen-1/3", 0700) || close(open("gen-1/5", O_CREAT | O_WRONLY, 0600)))
		return;
	snprintf(expected, sizeof(expected), "SLURM_RESTART_DIR=%s/gen-1/3", dir);
	ok(strcmp(restart_dir("gen-1/batch/n.ckpt", "ckpt-step:17.3"), expected) == 0,
	   "beside the directory of the image: %s", restart_dir("gen-1/batch/n.ckpt", "ckpt-step:17.3"));
	ok(strcmp(restart_dir("gen-1/batch/../batch/n.ckpt/", "ckpt-step:1_2+0.3"), expected) == 0,
	   "however that is named");
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		ok(!*restart_dir("gen-1/batch/n.ckpt", none[i]), "none for \"%s\"", none[i]);
}

static void copy_self(const char *to)
{
	char command[128];

	snprintf(command, sizeof(command), "cp /proc/%d/exe %s", getpid(), to);
	if (system(command) != 0)
		exit(1);
}

int main(int argc, char **argv)
{
	pid_t slot, unready, srun;
	int ends[2];

	if (strcmp(argv[0], "srun") == 0)
		return client();
	if (argc == 2 && strcmp(argv[1], "stay") == 0)
		stay();
	out_quiet = true;
	close_range(3, ~0U, 0);
	if (!mkdtemp(dir) || chdir(dir) < 0 || pipe(ends) < 0)
		return 1;
	ready_rd = ends[0];
	ready_wr = ends[1];
	copy_self("srun");
	copy_self("other");
	slot = start_slot(true);
	unready = start_slot(false);
	srun = start_client();
	wait_ready(6);
	ok(child_of(slot) > 0 && child_of(srun) > 0, "a slot and a client, with a child each");
	left_out(slot, child_of(slot), srun, child_of(srun));
	not_ready(unready);
	first_process(srun, child_of(srun));
	told(srun, child_of(srun));
	told_descriptors(srun);
	restart_dirs();
	kill(child_of(srun), SIGKILL);
	kill(child_of(slot), SIGKILL);
	kill(srun, SIGKILL);
	kill(slot, SIGKILL);
	kill(child_of(unready), SIGKILL);
	kill(unready, SIGKILL);
	if (chdir("/") == 0 && system("rm -rf /tmp/ckpt-unit-??????") != 0)
		diag("%s is left behind", dir);
	return done();
}
