// SPDX-License-Identifier: GPL-2.0
#include "job_id.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

/* The job whose batch step this process is in; only its cgroup tells that of today. */
static bool find_own(char *id, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[4096], *step, *job;
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		/* A job may have made cgroups of any name below; the first one is Slurm's. */
		step = strncmp(line, "0::", 3) == 0 ? strstr(line, "/step_") : NULL;
		if (!step || strncmp(step, "/step_batch/", strlen("/step_batch/")) != 0)
			continue;
		*step = '\0';
		job = strrchr(line, '/');
		found = job && strncmp(job, "/job_", 5) == 0 && (size_t)snprintf(id, size, "%s", job + 5) < size;
	}
	if (file)
		fclose(file);
	return found;
}

/* Of "<id>" or "<id>:<text>". */
static void correct(const char *name, const char *former, const char *own)
{
	const char *value = getenv(name);
	size_t len = strlen(former);
	char text[PATH_MAX + 32];

	if (value && strncmp(value, former, len) == 0 && (!value[len] || value[len] == ':') &&
	    (size_t)snprintf(text, sizeof(text), "%s%s", own, value + len) < sizeof(text))
		setenv(name, text, 1);
}

void job_id_correct(void)
{
	static const char *const names[] = { "SLURM_JOB_ID", "SLURM_JOBID", ENV_JOB, ENV_JOB_DIR, ENV_BATCH };
	const char *batch = getenv(ENV_BATCH), *job = getenv("SLURM_JOB_ID");
	char own[32], former[32];
	size_t i;

	/* With salloc within the script, the job is another one than that of the script. */
	if (!batch || !job || strcmp(batch, job) != 0 || !find_own(own, sizeof(own)) ||
	    strcmp(own, job) == 0 || (size_t)snprintf(former, sizeof(former), "%s", job) >= sizeof(former))
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		correct(names[i], former, own);
}
