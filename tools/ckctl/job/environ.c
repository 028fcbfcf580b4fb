// SPDX-License-Identifier: GPL-2.0
#include "environ.h"

#include <string.h>

/* What begins with one of these describes the job as it is, and is no option of srun's. */
static const char *const facts[] = {
	"SLURMD_", "SLURM_CLUSTER_NAME", "SLURM_CONF", "SLURM_CPUS_ON_NODE", "SLURM_GTIDS", "SLURM_JOBID",
	"SLURM_JOB_", "SLURM_LAUNCH_NODE_IPADDR", "SLURM_LOCALID", "SLURM_NODE", "SLURM_PRIO_PROCESS",
	"SLURM_PROCID", "SLURM_RESTART_COUNT", "SLURM_SRUN_COMM_", "SLURM_STEP", "SLURM_SUBMIT_HOST",
	"SLURM_TASKS_PER_NODE", "SLURM_TASK_PID", "SLURM_TOPOLOGY_", "SLURM_WORKING_CLUSTER",
};

#define NR_FACTS	(sizeof(facts) / sizeof(facts[0]))

const char *environ_get(const char *env, size_t len, const char *name)
{
	size_t name_len = strlen(name), pos;

	for (pos = 0; pos < len; pos += strlen(env + pos) + 1)
		if (strncmp(env + pos, name, name_len) == 0 && env[pos + name_len] == '=')
			return env + pos + name_len + 1;
	return NULL;
}

bool environ_is_launch(const char *name)
{
	/* That one is what a client of a step is told, not the job. */
	return (strncmp(name, "SLURM_", 6) == 0 && strcmp(name, "SLURM_RESTART_DIR") != 0) ||
	       strncmp(name, "SLURMD_", 7) == 0 || strcmp(name, "TMPDIR") == 0;
}

static bool is_fact(const char *name)
{
	size_t i;

	for (i = 0; i < NR_FACTS; i++)
		if (strncmp(name, facts[i], strlen(facts[i])) == 0)
			return strcmp(name, "SLURM_JOB_NAME") != 0;
	return false;
}

const char *environ_merge(const char *name, const char *saved, const char *then, const char *now)
{
	if (is_fact(name) || saved == then || (saved && then && strcmp(saved, then) == 0))
		return now;
	return saved;
}
