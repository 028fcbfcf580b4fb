// SPDX-License-Identifier: GPL-2.0
/* When a job has to end, by what a scontrol says that is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/deadline.h"
#include "job/outlook.h"
#include "tap.h"

static char dir[] = "/tmp/ckpt-test-XXXXXX";

/* What it answers: to "show config", "show partition", "show job" and "show step". */
static void scontrol(const char *type, const char *partition, const char *job, const char *step)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/scontrol", dir);
	file = fopen(path, "w");
	if (!file)
		return;
	fprintf(file, "#!/bin/sh\ncase $* in\n"
		"*config) printf 'Configuration data\\nPreemptMode             = REQUEUE\\n"
		"PreemptType             = %s\\nPreemptExemptTime       = 00:00:00\\n' ;;\n"
		"*partition*) echo PartitionName=p GraceTime=%s ;;\n"
		"*' job '*) echo JobId=7 Partition=p %s ;;\n*) echo StepId=7.0 %s ;;\nesac\n",
		type, partition, job, step);
	fchmod(fileno(file), 0755);
	fclose(file);
}

static struct outlook_source source;

static struct outlook look(void)
{
	static struct deadline d;
	struct outlook o;

	deadline_begin(&d, "job 7", 0, -1);
	source = (struct outlook_source){ .stop = &d, .job = "7" };
	if (!outlook_ask(&source, &o))
		diag("no answer");
	return o;
}

#define RUNNING "JobState=RUNNING StartTime=1000 "

static void test_grace(void)
{
	struct outlook o;

	scontrol("preempt/partition_prio", "90", RUNNING "EndTime=5000 PreemptTime=None", "");
	o = look();
	ok(source.grace_known && source.poll_s == 30 && o.end == 5000 && !o.preempted && !o.resting,
	   "a partition with a time of grace: three times in it");
	scontrol("preempt/partition_prio", "6", RUNNING, "");
	look();
	ok(source.poll_s == 5, "not too often");
	scontrol("preempt/partition_prio", "0", RUNNING, "");
	look();
	ok(source.grace_known && source.poll_s == 0, "without one, never");
	scontrol("preempt/qos", "0", RUNNING "EndTime=Unknown PreemptTime=None", "");
	o = look();
	ok(source.grace_known && source.poll_s == 10 && !o.end, "where it is the QOS's: every ten seconds");
	scontrol("preempt/qos", "0", RUNNING "EndTime=Unknown PreemptTime=2000", "");
	o = look();
	ok(o.preempted && o.end > 2000, "one that was preempted then has some time left: %jd", (intmax_t)o.end);
	scontrol("preempt/qos", "0", RUNNING "EndTime=2030 PreemptTime=2000", "");
	ok(look().end == 2030, "as long as Slurm says");
	scontrol("preempt/partition_prio", "40", RUNNING "EndTime=Unknown PreemptTime=2000", "");
	ok(look().end == 2040, "or the partition");
	scontrol("preempt/partition_prio", "40", RUNNING "EndTime=Unknown PreemptTime=900", "");
	o = look();
	ok(!o.preempted && !o.end, "that was before it was requeued");
}

static void test_step(void)
{
	struct outlook o;

	scontrol("preempt/none", "0", "JobState=SUSPENDED StartTime=1000 EndTime=5000",
		 "State=RUNNING StartTime=2000 TimeLimit=00:10:00");
	o = look();
	ok(o.resting && o.started == 1000 && o.end == 5000, "a job that is suspended");
	source.step = "7.0";
	ok(outlook_ask(&source, &o) && o.end == 2600, "a step with a limit of its own");
	scontrol("preempt/none", "0", RUNNING "EndTime=5000", "State=RUNNING StartTime=2000 TimeLimit=UNLIMITED");
	ok(outlook_ask(&source, &o) && o.end == 5000, "and one without");
}

int main(void)
{
	char command[128], path[1024];
	const char *former = getenv("PATH");

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s:%s", dir, former ? former : "/bin:/usr/bin");
	setenv("PATH", path, 1);
	test_grace();
	test_step();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	if (system(command) != 0)
		diag("cannot remove %s", dir);
	return done();
}
