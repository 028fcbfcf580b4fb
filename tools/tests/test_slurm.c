// SPDX-License-Identifier: GPL-2.0
/*
 * What Slurm's commands print, and what jobs and cgroups are called; the talk
 * between coordinator and agents; the small files of a user's jobs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job/deadline.h"
#include "job/drain.h"
#include "job/registry.h"
#include "job/slurm.h"
#include "job/steps.h"
#include "job/talk.h"
#include "job/environ.h"
#include "job/tasks.h"
#include "out.h"
#include "synthetic.h"
#include "tap.h"

/* "scontrol -o show job" and "scontrol -o show step", as they were printed for a job with
 * quotes and blanks in its name, and more of these in its comment. */
static const char job_22_05[] =
	"JobId=1 JobName=twowords here UserId=user(1000) GroupId=user(1000) MCS_label=N/A Pri"
	"ority=4294901759 Nice=0 Account=(null) QOS=(null) JobState=RUNNING Reason=None Depen"
	"dency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0 RunTime=00:00:03"
	" TimeLimit=UNLIMITED TimeMin=N/A SubmitTime=2026-11-26T15:42:29 EligibleTime=2026-11"
	"-26T15:42:29 AccrueTime=2026-11-26T15:42:29 StartTime=2026-11-26T15:42:30 EndTime=Un"
	"known Deadline=N/A PreemptEligibleTime=2026-11-26T15:42:30 PreemptTime=None SuspendT"
	"ime=None SecsPreSuspend=0 LastSchedEval=2026-11-26T15:42:30 Scheduler=Main Partition"
	"=p AllocNode:Sid=node0:210 ReqNodeList=(null) ExcNodeList=(null) NodeList=node[0-1] "
	"BatchHost=node0 NumNodes=2 NumCPUs=4 NumTasks=4 CPUs/Task=1 ReqB:S:C:T=0:0:*:* TRES="
	"cpu=4,node=2,billing=4 Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=* MinCPUsNode="
	"1 MinMemoryNode=0 MinTmpDiskNode=0 Features=(null) DelayBoot=00:00:00 OverSubscribe="
	"OK Contiguous=0 Licenses=(null) Network=(null) Command=/share/home/user/w/job.sh Wor"
	"kDir=/share/home/user/w Comment=a b=c  d  StdErr=/share/home/user/w/slurm-1.out StdI"
	"n=/dev/null StdOut=/share/home/user/w/slurm-1.out Power= \n";

static const char steps_22_05[] =
	"StepId=1.batch UserId=1000 StartTime=2026-11-26T15:42:30 TimeLimit=UNLIMITED State=R"
	"UNNING Partition=p NodeList=node0 Nodes=1 CPUs=0 Tasks=1 Name=batch Network=(null) T"
	"RES=(null) ResvPorts=(null) CPUFreqReq=Default SrunHost:Pid=(null):0\n"
	"StepId=1.0 UserId=1000 StartTime=2026-11-26T15:42:31 TimeLimit=UNLIMITED State=RUNNI"
	"NG Partition=p NodeList=node[0-1] Nodes=2 CPUs=4 Tasks=4 Name=bash Network=(null) TR"
	"ES=cpu=4,mem=0,node=2 ResvPorts=(null) CPUFreqReq=Default Dist=Block SrunHost:Pid=no"
	"de0:232\n"
	"StepId=1.1 UserId=1000 StartTime=2026-11-26T15:42:31 TimeLimit=UNLIMITED State=RUNNI"
	"NG Partition=p NodeList=node[0-1] Nodes=2 CPUs=4 Tasks=2 Name=sleep Network=(null) T"
	"RES=cpu=4,mem=0,node=2 ResvPorts=(null) CPUFreqReq=Default Dist=Cyclic SrunHost:Pid="
	"node0:233\n";

static const char job_24_11[] =
	"JobId=1 JobName=twowords here UserId=user(1000) GroupId=user(1000) MCS_label=N/A Pri"
	"ority=1 Nice=0 Account=(null) QOS=(null) JobState=RUNNING Reason=None Dependency=(nu"
	"ll) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0 RunTime=00:00:04 TimeLimi"
	"t=UNLIMITED TimeMin=N/A SubmitTime=2026-11-26T15:44:38 EligibleTime=2026-11-26T15:44"
	":38 AccrueTime=2026-11-26T15:44:38 StartTime=2026-11-26T15:44:40 EndTime=Unknown Dea"
	"dline=N/A PreemptEligibleTime=2026-11-26T15:44:40 PreemptTime=None SuspendTime=None "
	"SecsPreSuspend=0 LastSchedEval=2026-11-26T15:44:40 Scheduler=Main Partition=p AllocN"
	"ode:Sid=node0:325 ReqNodeList=(null) ExcNodeList=(null) NodeList=node[0-1] BatchHost"
	"=node0 NumNodes=2 NumCPUs=4 NumTasks=4 CPUs/Task=1 ReqB:S:C:T=0:0:*:* ReqTRES=cpu=4,"
	"mem=1.50G,node=2,billing=4 AllocTRES=cpu=4,node=2,billing=4 Socks/Node=* NtasksPerN:"
	"B:S:C=0:0:*:* CoreSpec=* MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0 Features=(nu"
	"ll) DelayBoot=00:00:00 OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null) "
	"Command=/share/home/user/w/job.sh WorkDir=/share/home/user/w Comment=a b=c  d  StdEr"
	"r=/share/home/user/w/slurm-1.out StdIn=/dev/null StdOut=/share/home/user/w/slurm-1.o"
	"ut \n";

static const char steps_24_11[] =
	"StepId=1.batch UserId=1000 StartTime=2026-11-26T15:44:40 TimeLimit=UNLIMITED State=R"
	"UNNING Partition=p NodeList=node0 Nodes=1 CPUs=0 Tasks=1 Name=batch Network=(null) T"
	"RES=(null) ResvPorts=(null) CPUFreqReq=Default SrunHost:Pid=(null):0\n"
	"StepId=1.0 UserId=1000 StartTime=2026-11-26T15:44:41 TimeLimit=UNLIMITED State=RUNNI"
	"NG Partition=p NodeList=node[0-1] Nodes=2 CPUs=4 Tasks=2 Name=sleep Network=(null) T"
	"RES=cpu=4,mem=0,node=2 ResvPorts=(null) CPUFreqReq=Default Dist=Cyclic SrunHost:Pid="
	"node0:359\n"
	"StepId=1.1 UserId=1000 StartTime=2026-11-26T15:44:41 TimeLimit=UNLIMITED State=RUNNI"
	"NG Partition=p NodeList=node[0-1] Nodes=2 CPUs=4 Tasks=4 Name=bash Network=(null) TR"
	"ES=cpu=4,mem=0,node=2 ResvPorts=(null) CPUFreqReq=Default Dist=Block SrunHost:Pid=no"
	"de0:358\n";

/* ---- Key=value ---- */

static bool is(const json_t *record, const char *key, const char *value)
{
	const char *text = slurm_field(record, key);
	bool good = value ? text && strcmp(text, value) == 0 : !text;

	if (!good)
		diag("%s is \"%s\"", key, text ? text : "(nothing)");
	return good;
}

static void job_text(const char *version, const char *text, const char *tres)
{
	json_t *list = slurm_parse(text), *job = json_array_get(list, 0);

	ok(json_array_size(list) == 1, "%s: one job", version);
	ok(is(job, "JobId", "1") && is(job, "UserId", "user(1000)") && is(job, "JobState", "RUNNING") &&
	   is(job, "BatchFlag", "1") && is(job, "BatchHost", "node0") &&
	   is(job, "NodeList", "node[0-1]") && is(job, "NumNodes", "2"), "%s: who and where", version);
	ok(is(job, "JobName", "twowords here") && is(job, "Comment", "a b=c  d") &&
	   is(job, "Command", "/share/home/user/w/job.sh") &&
	   is(job, "StdOut", "/share/home/user/w/slurm-1.out"), "%s: values with blanks", version);
	ok(is(job, tres, "cpu=4,node=2,billing=4") && is(job, "ReqB:S:C:T", "0:0:*:*") &&
	   is(job, "CPUs/Task", "1"), "%s: odd keys and values", version);
	ok(is(job, "Account", NULL) && is(job, "MCS_label", NULL) && is(job, "PreemptTime", NULL) &&
	   is(job, "EndTime", NULL) && is(job, "HetJobId", NULL), "%s: what is not there", version);
	json_decref(list);
}

static void step_text(const char *version, const char *text, const char *dist)
{
	json_t *list = slurm_parse(text), *step = json_array_get(list, 1);

	ok(json_array_size(list) == 3 && is(json_array_get(list, 0), "StepId", "1.batch") &&
	   is(json_array_get(list, 0), "Name", "batch"), "%s: three steps", version);
	ok(is(step, "StepId", "1.0") && is(step, "State", "RUNNING") &&
	   is(step, "NodeList", "node[0-1]") && is(step, "Dist", dist), "%s: one of them", version);
	json_decref(list);
}

static void odd_texts(void)
{
	static const char comment[] =
		"JobId=7 JobName=x UserId=u(1) NodeList=n1 Comment=I say NodeList=n9 UserId=root(0)\n";
	json_t *list = slurm_parse(comment);

	ok(is(json_array_get(list, 0), "NodeList", "n1") && is(json_array_get(list, 0), "UserId", "u(1)"),
	   "a comment does not speak louder than Slurm");
	json_decref(list);
	list = slurm_parse("");
	ok(json_is_array(list) && !json_array_size(list), "nothing is no record");
	json_decref(list);
	list = slurm_parse("\n \nno fields here\n=\n x=1\n");
	ok(!json_array_size(list), "nor are lines without fields");
	json_decref(list);
	list = slurm_parse("noise JobId=3 A= B=\xff\xfe C=x");
	ok(is(json_array_get(list, 0), "JobId", "3") && is(json_array_get(list, 0), "A", NULL) &&
	   is(json_array_get(list, 0), "C", "x") && slurm_field(json_array_get(list, 0), "B"),
	   "noise, an empty value, bytes that are no text, and no end of line");
	json_decref(list);
}

static void split(const char *text, bool good, const char *job, const char *step)
{
	char a[32], b[16];
	bool got = slurm_split(text, a, sizeof(a), b, sizeof(b));

	ok(got == good && (!good || (strcmp(a, job) == 0 && strcmp(b, step) == 0)), "\"%s\" is %s", text,
	   good ? "a job or a step" : "none");
}

static void names(void)
{
	split("5", true, "5", "");
	split("5.0", true, "5", "0");
	split("5_3", true, "5_3", "");
	split("5_3.12", true, "5_3", "12");
	split("4294967295.4294967295", true, "4294967295", "4294967295");
	split("", false, "", "");
	split("0", false, "", "");
	split("x", false, "", "");
	split("5.", false, "", "");
	split("5_", false, "", "");
	split("5.batch", false, "", "");
	split("5.0.0", false, "", "");
	split("5.01", false, "", "");
	split("5+1", false, "", "");
	split(" 5", false, "", "");
	split("5 ", false, "", "");
	split("-5", false, "", "");
	split("5.00000000000000000000000000000000000000", false, "", "");
	split("99999999999999999999999999999999999999999999", false, "", "");
}

/* ---- cgroups ---- */

static void place(const char *cgroup, const char *job, const char *id, const char *step, bool user)
{
	struct steps_place p;
	bool found = steps_parse(cgroup, &p);

	ok(found == (job != NULL) && (!job || (strcmp(p.job, job) == 0 && strcmp(p.job_id, id) == 0 &&
	   strcmp(p.step, step) == 0 && p.user == user)), "%s", cgroup);
}

#define SCOPE "/sys/fs/cgroup/system.slice/slurmstepd.scope"

static void places(void)
{
	place(SCOPE "/job_12/step_batch/user/task_special", SCOPE "/job_12", "12", "batch", true);
	place(SCOPE "/job_12/step_0/user/task_3", SCOPE "/job_12", "12", "0", true);
	place(SCOPE "/job_12/step_0/slurm", SCOPE "/job_12", "12", "0", false);
	place(SCOPE "/job_12/step_extern/user", SCOPE "/job_12", "12", "extern", true);
	place(SCOPE "/sEKNKTV3WPV500/step_0/user/task_0", SCOPE "/sEKNKTV3WPV500", "", "0", true);
	place(SCOPE "/job_12/step_0/user/task_0/job_7/step_9/user", SCOPE "/job_12", "12", "0", true);
	place(SCOPE "/job_12/step_0", SCOPE "/job_12", "12", "0", false);
	place("/sys/fs/cgroup/user.slice/user-1000.slice", NULL, NULL, NULL, false);
	place(SCOPE "/system", NULL, NULL, NULL, false);
	place("", NULL, NULL, NULL, false);
	place("/step_0/user", NULL, NULL, NULL, false);
}

/* ---- the talk ---- */

static void round_trip(size_t len)
{
	char *text = calloc(1, len + 1), *line;
	struct talk_lines lines = { 0 };
	struct talk_message m = { 0 };
	json_t *got = NULL;
	bool good = true;
	size_t nr = 0;
	int fds[2];
	pid_t pid;

	memset(text, 'a', len);
	if (len > 3)
		memcpy(text + len / 2, "\\\n\"", 3);
	if (pipe(fds) < 0)
		return;
	pid = fork();
	if (pid == 0)
		_exit(talk_send(fds[1], json_pack("{s:s}", "text", text)) < 0);
	close(fds[1]);
	while (good && !got && talk_read(&lines, fds[0]) > 0)
		while (good && !got && (line = talk_next(&lines))) {
			good = strlen(line) <= TALK_LINE + 1 && talk_add(&m, line, &got);
			nr++;
		}
	ok(good && got && strcmp(json_string_value(json_object_get(got, "text")), text) == 0,
	   "a message of %zu bytes, in %zu lines", len, nr);
	json_decref(got);
	close(fds[0]);
	talk_lines_free(&lines);
	free(text);
}

static void bad_lines(void)
{
	static const char *const bad[] = { "", "x", "[]", "1", "{", "{}}", "{\"a\": 1, \"a\": 2}", "null" };
	struct talk_message m = { 0 };
	json_t *got;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!talk_add(&m, bad[i], &got) && !got, "\"%s\" is no message", bad[i]);
	ok(talk_add(&m, "{\\", &got) && !got && talk_add(&m, "}", &got) && got, "one after these is");
	json_decref(got);
}

/* ---- output on its way ---- */

static void address(const char *text, const char *want)
{
	char got[64] = "";
	bool good = drain_address(text, got, sizeof(got));

	ok(want ? good && strcmp(got, want) == 0 : !good, "address \"%s\"", text);
}

static void environments(void)
{
	static const char text[] = "A=1\0SLURM_PROCID=7\0SLURM_PROCID_X=8\0B";
	const char *value = environ_get(text, sizeof(text), "SLURM_PROCID");
	char *own;
	size_t len;

	ok(value && strcmp(value, "7") == 0 && !environ_get(text, sizeof(text), "B") &&
	   !environ_get(text, sizeof(text), "PROCID"), "variables of an environment");
	own = task_text(getpid(), "environ", &len);
	ok(own && strlen(own) <= len, "an environment");
	free(own);
	ok(!task_text(0, "environ", &len), "and none");
	ok(!task_script_arguments(getpid()), "a process that is no batch script");
	ok(task_parent(getpid()) == getppid() && task_parent(-1) == 0, "a parent");
}

/* ---- the registry ---- */

static void clean(void)
{
	static char longest[1024] = "SLURM_", odd[] = "SLURM_ODD", conf[] = "SLURM_CONF=/c",
		    job[] = "SLURM_JOB_ID=5", users[] = "SQUEUE_USERS=u", other[] = "SLURMS=1";
	char *vars[] = { longest, odd, conf, job, users, other, NULL }, **before = environ;
	bool good;

	memset(longest + 6, 'X', 900);
	strcat(longest, "=1");
	environ = vars;
	slurm_clean_environment();
	good = vars[0] == conf && vars[1] == other && !vars[2];
	environ = before;
	ok(good, "of Slurm's variables those are left that lead to it");
}

/* In a process of its own: there is no way back. */
static void become(void)
{
	int status = -1;
	pid_t pid;

	if (geteuid() != 0) {
		skip("not root");
		return;
	}
	setenv("SLURM_JWT", "root's", 1);
	pid = fork();
	if (pid == 0)
		_exit(slurm_become(65534, "5") || geteuid() != 65534 || getenv("SLURM_JWT") ||
		      !getenv("PATH") || !getenv("HOME"));
	waitpid(pid, &status, 0);
	unsetenv("SLURM_JWT");
	ok(status == 0, "of root's environment the user gets what is no secret");
}

static void registry(void)
{
	struct registry_entry in = { .image_dir = "/some/where" }, out;
	char path[600], sentence[512];

	setenv("HOME", scratch(), 1);
	ok(registry_read("c", "5", &out) == CK_OK && !*out.image_dir, "nothing is known of a job");
	ok(registry_remove("c", "5") == CK_OK, "and nothing to forget");
	ok(registry_write("c", "5", &in) == CK_OK && registry_read("c", "5", &out) == CK_OK &&
	   strcmp(out.image_dir, "/some/where") == 0, "what was written is read");
	strcpy(in.image_dir, "/else");
	ok(registry_write("c", "5", &in) == CK_OK && registry_read("c", "5", &out) == CK_OK &&
	   strcmp(out.image_dir, "/else") == 0, "and replaced");
	ok(registry_read("d", "5", &out) == CK_OK && !*out.image_dir && registry_read("c", "6", &out) ==
	   CK_OK && !*out.image_dir, "another cluster's and another job's are others");
	snprintf(path, sizeof(path), "%s/.ckpt/jobs/c/5.json", scratch());
	chmod(path, 0666);
	ok(registry_read("c", "5", &out) == CK_OK && !*out.image_dir, "not when others may write it");
	chmod(path, 0600);
	ok(truncate(path, 5) == 0 && registry_read("c", "5", &out) == CK_OK && !*out.image_dir,
	   "nor when it is damaged");
	ok(unlink(path) == 0 && mkfifo(path, 0600) == 0 && registry_read("c", "5", &out) == CK_OK &&
	   !*out.image_dir, "nor when it is no file");
	fail_capture(sentence, sizeof(sentence));
	ok(registry_write("../c", "5", &in) != CK_OK && registry_write("c", "../5", &in) == CK_USAGE,
	   "names lead nowhere else");
	strcpy(in.image_dir, "/\xff");
	ok(registry_write("c", "5", &in) == CK_REFUSED, "what could not be read is not written: %s",
	   sentence);
	fail_capture(NULL, 0);
	ok(registry_remove("c", "5") == CK_OK && access(path, F_OK) < 0, "removed");
	setenv("HOME", "/nonexistent", 1);
	ok(registry_read("c", "5", &out) == CK_OK && !*out.image_dir, "no home");
}

/* ---- commands ---- */

static void commands(void)
{
	const char *const echo[] = { "echo", "hello", NULL };
	const char *const fails[] = { "sh", "-c", "echo some: error: it is so >&2; exit 3", NULL };
	const char *const absent[] = { "no-such-command-of-slurm", NULL };
	const char *const stat[] = { "sh", "-c", "cut -d' ' -f1,6,7 /proc/$$/stat", NULL };
	const char *const slow[] = { "sleep", "60", NULL };
	struct deadline d;
	char *out, sentence[512];
	int pid, session, tty;
	size_t len;

	deadline_begin(&d, "job 5", 0, -1);
	ok(slurm_run(&d, echo, &out, &len) == CK_OK && len == 6 && strcmp(out, "hello\n") == 0,
	   "what a command prints");
	free(out);
	ok(slurm_run(&d, stat, &out, NULL) == CK_OK && sscanf(out, "%d %d %d", &pid, &session, &tty) == 3 &&
	   pid == session && !tty, "it has no terminal");
	free(out);
	fail_capture(sentence, sizeof(sentence));
	ok(slurm_run(&d, fails, &out, NULL) == CK_FAILED && strcmp(sentence, "sh: it is so") == 0,
	   "what it says when it fails: %s", sentence);
	ok(slurm_run(&d, absent, &out, NULL) == CK_NOTFOUND, "one that is not there: %s", sentence);
	deadline_begin(&d, "job 5", 100, -1);
	ok(slurm_run(&d, slow, &out, NULL) == CK_TIMEOUT, "one that takes too long: %s", sentence);
	fail_capture(NULL, 0);
}

int main(void)
{
	job_text("22.05", job_22_05, "TRES");
	job_text("24.11", job_24_11, "AllocTRES");
	step_text("22.05", steps_22_05, "Block");
	step_text("24.11", steps_24_11, "Cyclic");
	odd_texts();
	names();
	places();
	round_trip(1);
	round_trip(TALK_LINE);
	round_trip(300000);
	bad_lines();
	address("0100007F:1F90", "0100007F:1F90");
	address("0000000000000000FFFF00000100007F:1F90", "0100007F:1F90");
	address("000080FE00000000FF005450B6AD1DFE:0016", "000080FE00000000FF005450B6AD1DFE:0016");
	address("0100007F", NULL);
	address("0100007F:", NULL);
	address("0100007F:1F9", NULL);
	address("local_address", NULL);
	environments();
	clean();
	become();
	registry();
	commands();
	scratch_remove();
	return done();
}
