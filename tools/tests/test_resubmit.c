// SPDX-License-Identifier: GPL-2.0
/* A job that is submitted once more: its options and environment, and the nodes it must have. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/jobimage.h"
#include "job/node.h"
#include "job/registry.h"
#include "job/resubmit.h"
#include "job/slurm.h"
#include "out.h"
#include "tap.h"

static const char told[] =
	"JobId=7 JobName=two words UserId=user(1000) Nice=0 Account=(null) QOS=high JobState=RUNNING "
	"Requeue=1 Restarts=0 BatchFlag=1 TimeLimit=1-00:00:00 Partition=p ReqNodeList=(null) "
	"ExcNodeList=node9 NodeList=node[0-1] NumNodes=2 NumCPUs=4 NumTasks=4 CPUs/Task=1 "
	"NtasksPerN:B:S:C=2:0:*:* MinMemoryNode=1G MinTmpDiskNode=0 Features=(null) OverSubscribe=NO "
	"Contiguous=0 Command=/w/job.sh WorkDir=/w Comment=a b=c StdErr=/w/7.out StdIn=/dev/null "
	"StdOut=/w/50%.out Power= TresPerNode=gres:gpu:2\n";

static const char environment[] = "HOME=/home/user\0SLURM_JOB_ID=7\0SLURM_CONF=/old\0WORK=a=b\0"
	"SBATCH_CHECKPOINT=5\0CKPT_RESTART_IMAGE=/old.ckpt\0TMPDIR=/tmp/7\0SBATCH_ACCOUNT=me";

static bool has(const json_t *options, const char *option)
{
	const json_t *item;
	size_t i;

	json_array_foreach(options, i, item)
		if (strcmp(json_string_value(item), option) == 0)
			return true;
	return false;
}

static bool has_name(const json_t *options, const char *name)
{
	const json_t *item;
	size_t i;

	json_array_foreach(options, i, item)
		if (strncmp(json_string_value(item), name, strlen(name)) == 0)
			return true;
	return false;
}

static void test_options(void)
{
	static const char *const expected[] = {
		"--job-name=two words", "--qos=high", "--partition=p", "--time=1-00:00:00", "--ntasks=4",
		"--mem=1G", "--exclude=node9", "--nodes=2", "--ntasks-per-node=2", "--exclusive",
		"--requeue", "--comment=a b=c", "--chdir=/w", "--output=/w/50%%.out", "--error=/w/7.out",
		"--input=/dev/null", "--open-mode=append", "--gres=gpu:2",
	};
	static const char *const absent[] = {
		"--account", "--nice", "--tmp", "--constraint", "--contiguous", "--nodelist", "--array",
		"--cpus-per-task",
	};
	json_t *list = slurm_parse(told), *options;
	struct resubmit r = { .from = "/i/7.ckpt" };
	size_t i;

	options = resubmit_options(json_array_get(list, 0), &r);
	for (i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		ok(has(options, expected[i]), "it is submitted with %s", expected[i]);
	for (i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		ok(!has_name(options, absent[i]), "but without %s", absent[i]);
	json_decref(options);
	r.nodes = "node0,node3,node4";
	r.nr_nodes = 3;
	options = resubmit_options(json_array_get(list, 0), &r);
	ok(has(options, "--nodelist=node0,node3,node4") && has(options, "--nodes=3"),
	   "on these nodes and no others");
	json_decref(options);
	json_decref(list);
}

static json_t *options_of(const char *job)
{
	struct resubmit r = { .from = "/i/7.ckpt" };
	json_t *list = slurm_parse(job), *options = resubmit_options(json_array_get(list, 0), &r);

	json_decref(list);
	return options;
}

/* As Slurm 22.05 tells generic resources, and as later releases do. */
static void test_resources(void)
{
	static const char *const jobs[] = {
		"JobId=7 TresPerNode=gres:gpu:a:2,gres:disk:1 TresPerJob=gres:gpu:4 TresPerSocket=gres:gpu:1 "
		"TresPerTask=gres:gpu:a:1",
		"JobId=7 TresPerNode=gres/gpu:a:2,gres/disk:1 TresPerJob=gres/gpu:4 TresPerSocket=gres/gpu:1 "
		"TresPerTask=cpu=2,gres/gpu:a=1",
	};
	json_t *options;
	size_t i;

	for (i = 0; i < 2; i++) {
		options = options_of(jobs[i]);
		ok(has(options, "--gres=gpu:a:2,disk:1") && has(options, "--gpus=4") &&
		   has(options, "--gpus-per-socket=1") && has(options, "--gpus-per-task=a:1"),
		   "with its generic resources: %s", jobs[i]);
		json_decref(options);
	}
	options = options_of("JobId=7 CPUs/Task=2 TresPerTask=cpu=2");
	ok(has(options, "--cpus-per-task=2") && !has_name(options, "--gpus"), "which processors are not");
	json_decref(options);
}

/* What was asked of the nodes, and beside them. */
static void test_requests(void)
{
	static const char told[] =
		"JobId=7 WCKey=key Deadline=2099-01-02T03:04:05 ReqB:S:C:T=0:0:3:2 Socks/Node=2 "
		"NtasksPerN:B:S:C=0:0:4:1 CoreSpec=1 Network=sn_all Switches=2@00:05:00";
	static const char *const expected[] = {
		"--wckey=key", "--deadline=2099-01-02T03:04:05", "--cores-per-socket=3",
		"--threads-per-core=2", "--sockets-per-node=2", "--ntasks-per-socket=4",
		"--ntasks-per-core=1", "--core-spec=1", "--network=sn_all", "--switches=2@00:05:00",
	};
	json_t *options = options_of(told);
	size_t i;

	for (i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		ok(has(options, expected[i]), "%s", expected[i]);
	ok(!has_name(options, "--ntasks-per-node") && !has_name(options, "--thread-spec"), "and no more");
	json_decref(options);
	options = options_of("JobId=7 ThreadSpec=2");
	ok(has(options, "--thread-spec=2"), "--thread-spec=2");
	json_decref(options);
	options = options_of("JobId=7 WCKey=*key Deadline=N/A ReqB:S:C:T=0:0:*:* Socks/Node=* "
			     "NtasksPerN:B:S:C=*:*:*:* CoreSpec=* Network=(null)");
	/* All jobs have these. */
	ok(json_array_size(options) == 3, "of nothing, nothing: %zu options", json_array_size(options));
	json_decref(options);
	options = options_of("JobId=7 Deadline=2020-01-02T03:04:05");
	ok(!has_name(options, "--deadline"), "a deadline that has passed does not count");
	json_decref(options);
}

/* For each GPU: sbatch takes no other numbers of processors and memory beside these. */
static void test_per_gpu(void)
{
	static const char *const jobs[] = {
		"JobId=7 CPUs/Task=6 MinMemoryNode=8G CpusPerTres=gres:gpu:3 MemPerTres=gres:gpu:2048",
		"JobId=7 CPUs/Task=6 MinMemoryTRES=0 CpusPerTres=gres/gpu:3 MemPerTres=gres/gpu:2048",
		"JobId=7 CPUs/Task=6 MinMemoryCPU=1G CpusPerTres=gres/gpu:3 MemPerTres=gres/gpu:2048",
	};
	json_t *options;
	size_t i;

	for (i = 0; i < 3; i++) {
		options = options_of(jobs[i]);
		ok(has(options, "--cpus-per-gpu=3") && has(options, "--mem-per-gpu=2048") &&
		   !has_name(options, "--cpus-per-task") && !has_name(options, "--mem=") &&
		   !has_name(options, "--mem-per-cpu"), "for each GPU: %s", jobs[i]);
		json_decref(options);
	}
}

static bool in_environment(char **env, const char *variable)
{
	for (; *env; env++)
		if (strcmp(*env, variable) == 0)
			return true;
	return false;
}

static void test_environment(void)
{
	struct job_image image = { .environ = (char *)environment, .environ_len = sizeof(environment) };
	struct resubmit r = { .image = &image, .from = "/i/7.ckpt@2", .image_dir = "/i", .interval_s = 90 };
	char **env, **var;
	size_t nr = 0;

	setenv("SLURM_CONF", "/new", 1);
	env = resubmit_environment(&r);
	for (var = env; *var; var++)
		nr++;
	ok(in_environment(env, "HOME=/home/user") && in_environment(env, "WORK=a=b") &&
	   in_environment(env, "SBATCH_ACCOUNT=me"), "its own variables");
	ok(in_environment(env, "SLURM_CONF=/new"), "how Slurm is reached now");
	ok(in_environment(env, "CKPT_RESTART_IMAGE=/i/7.ckpt@2"), "what it continues from");
	ok(in_environment(env, "SBATCH_CHECKPOINT_DIR=/i") && in_environment(env, "SBATCH_CHECKPOINT=0:90"),
	   "its checkpoints");
	ok(nr == 7, "and nothing of its former launch: %zu variables", nr);
	resubmit_environment_free(env);
}

static int judge(const char *printed, const char *partition, char *sentence)
{
	int rc;

	sentence[0] = '\0';
	fail_capture(sentence, 512);
	rc = node_judge(printed, "node1", partition);
	fail_capture(NULL, 0);
	return rc;
}

static void test_node(void)
{
	char s[512];

	ok(judge("NodeName=node1 State=IDLE Partitions=p,urgent \n", "p", s) == CK_OK, "a node that is idle");
	ok(judge("NodeName=node1 State=ALLOCATED+CLOUD Partitions=p \n", NULL, s) == CK_OK, "or at work");
	ok(judge("Node node1 not found\n", "p", s) == CK_NOTFOUND && strstr(s, "no node node1 any more"),
	   "one that is gone: %s", s);
	ok(judge("NodeName=node1 State=DOWN* Partitions=p Reason=Not responding [slurm@now]\n", "p", s) ==
	   CK_BUSY && strstr(s, "is DOWN* (Not responding"), "one that is down: %s", s);
	ok(judge("NodeName=node1 State=IDLE* Partitions=p \n", "p", s) == CK_BUSY, "or does not answer");
	ok(judge("NodeName=node1 State=MIXED+DRAIN Partitions=p \n", "p", s) == CK_BUSY, "or is drained");
	ok(judge("NodeName=node1 State=IDLE Partitions=q,pp \n", "p", s) == CK_REFUSED &&
	   strstr(s, "partition p"), "one of another partition: %s", s);
}

static void test_registry(void)
{
	char home[] = "/tmp/ckpt-test-XXXXXX", command[64];
	struct registry_entry in = { .image_dir = "/i", .restart_from = "/i/7.ckpt@1" }, out;

	if (!mkdtemp(home))
		return;
	setenv("HOME", home, 1);
	strcpy(in.goes_on_as, "8");
	ok(registry_write("c", "7", &in) == CK_OK && registry_read("c", "7", &out) == CK_OK &&
	   strcmp(out.goes_on_as, "8") == 0 && strcmp(out.restart_from, "/i/7.ckpt@1") == 0,
	   "under which id it goes on, and from what");
	ok(registry_made("c", "7", "/i/7.ckpt") == CK_OK && registry_read("c", "7", &out) == CK_OK &&
	   !*out.restart_from && strcmp(out.image, "/i/7.ckpt") == 0 && strcmp(out.image_dir, "/i") == 0,
	   "until there is a newer image");
	snprintf(command, sizeof(command), "rm -r %s", home);
	ok(system(command) == 0, "cleaned up");
}

int main(void)
{
	test_options();
	test_resources();
	test_requests();
	test_per_gpu();
	test_environment();
	test_node();
	test_registry();
	return done();
}
