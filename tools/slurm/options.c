// SPDX-License-Identifier: GPL-2.0
#include "options.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "interval.h"
#include "job/target.h"
#include "out.h"
#include "policy.h"

static int option_given(int val, const char *optarg, int remote);

static struct spank_option options[NR_OPTIONS] = {
	[OPTION_CHECKPOINT] = {
		(char *)"checkpoint", (char *)"interval",
		(char *)"checkpoint at this interval: minutes, minutes:seconds, "
			"hours:minutes:seconds, days-hours, days-hours:minutes or "
			"days-hours:minutes:seconds",
		1, OPTION_CHECKPOINT, option_given,
	},
	[OPTION_CHECKPOINT_DIR] = {
		(char *)"checkpoint-dir", (char *)"dir",
		(char *)"directory for the images (default: the site's, or the working directory)",
		1, OPTION_CHECKPOINT_DIR, option_given,
	},
	[OPTION_RESTART_DIR] = {
		(char *)"restart-dir", (char *)"dir",
		(char *)"continue from the step's image in this directory instead of starting "
			"the program anew",
		1, OPTION_RESTART_DIR, option_given,
	},
};

/* sbatch has SBATCH_… besides, and prefers that. */
static const char *const variables[NR_OPTIONS] = {
	"SLURM_CHECKPOINT", "SLURM_CHECKPOINT_DIR", "SLURM_RESTART_DIR",
};

/* Slurm's own: in a batch job's environment they are there under any --export. */
#define CONTROL_PREFIX	"SLURM_SPANK_"
static const char *const carriers[NR_OPTIONS] = {
	CONTROL_PREFIX "_SLURM_SPANK_OPTION_ckpt_checkpoint",
	CONTROL_PREFIX "_SLURM_SPANK_OPTION_ckpt_checkpoint_dir",
	CONTROL_PREFIX "_SLURM_SPANK_OPTION_ckpt_restart_dir",
};

static struct given {
	char *text;
	bool from_variable;
	char variable[64];		/* the one that is set */
} given[NR_OPTIONS];

static unsigned int components;		/* of a heterogeneous job, settled so far */

const char *options_carrier(enum option option)
{
	return carriers[option];
}

/* ---- as they come ---- */

/* The last one counts: Slurm has #SBATCH lines, environment, command line, in this order. */
static int option_given(int val, const char *optarg, int remote)
{
	struct given *g = &given[val];
	char *text = remote ? NULL : strdup(optarg);

	if (!text)
		return 0;
	free(g->text);
	g->text = text;
	/* After the first component, the carrier has what that one settled. */
	g->from_variable = !components && optarg == getenv(carriers[val]);
	return 0;
}

static bool is_salloc(void)
{
	return strcmp(program_invocation_short_name, "salloc") == 0;
}

/*
 * Slurm takes a carrier in the environment for an option that the environment
 * gives.  One that is there already is that of the job that we are in.
 */
static void take_variable(enum option option)
{
	struct given *g = &given[option];
	const char *value = NULL;

	unsetenv(carriers[option]);
	if (spank_context() == S_CTX_ALLOCATOR && !is_salloc()) {
		snprintf(g->variable, sizeof(g->variable), "SBATCH%s",
			 variables[option] + strlen("SLURM"));
		value = getenv(g->variable);
	}
	if (!value || !*value) {
		snprintf(g->variable, sizeof(g->variable), "%s", variables[option]);
		value = getenv(g->variable);
	}
	if (value && *value)
		setenv(carriers[option], value, 1);
}

void options_register(spank_t sp)
{
	bool allocator = spank_context() == S_CTX_ALLOCATOR;
	int i;

	for (i = 0; i < NR_OPTIONS; i++) {
		if (i == OPTION_RESTART_DIR && allocator)
			continue;
		if (spank_option_register(sp, &options[i]) != ESPANK_SUCCESS)
			slurm_error("ckpt: cannot register the option --%s", options[i].name);
		if (spank_context() != S_CTX_REMOTE)
			take_variable((enum option)i);
	}
}

/* ---- Slurm's own options ---- */

/* By what it has for its cli_filter plugins. */
static void *own_options(void)
{
	return dlsym(RTLD_DEFAULT, "opt");
}

static bool own_is_set(const char *name)
{
	bool (*is_set)(void *opt, const char *name) =
		(bool (*)(void *, const char *))dlsym(RTLD_DEFAULT, "slurm_option_isset");

	return is_set && own_options() && is_set(own_options(), name);
}

static void own_default(const char *name, const char *value)
{
	int (*set)(void *opt, const char *name, const char *value, bool early) =
		(int (*)(void *, const char *, const char *, bool))
			dlsym(RTLD_DEFAULT, "slurm_option_set");

	if (set && own_options() && !own_is_set(name))
		set(own_options(), name, value, false);
}

/* ---- judged ---- */

/*
 * Within a job that is checkpointed as a whole, what a step asks for is of no
 * account (slurmstepd sees to that), least of all what it has inherited.
 */
static bool in_checkpointed_job(void)
{
	const char *job = getenv(ENV_JOB), *id = getenv("SLURM_JOB_ID");

	return spank_context() == S_CTX_LOCAL && job && id && strcmp(job, id) == 0;
}

static void forget_inherited(enum option option)
{
	struct given *g = &given[option];

	if (!g->from_variable || !in_checkpointed_job())
		return;
	free(g->text);
	g->text = NULL;
}

/* As Slurm's own commands end when an option is wrong. */
static void refuse(const struct given *g, const char *sentence) __attribute__((noreturn));

static void refuse(const struct given *g, const char *sentence)
{
	const char *status = getenv("SLURM_EXIT_ERROR");
	int number = status ? atoi(status) : 0;

	if (g->from_variable)
		slurm_error("%s: %s", g->variable, sentence);
	else
		slurm_error("--%s: %s", options[g - given].name, sentence);
	exit(number ? number : 1);
}

static uint64_t settle_interval(const struct given *g)
{
	struct capture outer;
	char sentence[1024];
	uint64_t seconds;
	int rc;

	if (!g->text)
		return 0;
	outer = fail_capture(sentence, sizeof(sentence));
	rc = interval_parse(g->text, &seconds);
	fail_restore(outer);
	if (rc)
		refuse(g, sentence);
	return seconds;
}

/* The terminal of such a step is that of one launch, and its task leads the session there. */
static void settle_pty(const struct given *g, const char *sentence)
{
	if (spank_context() == S_CTX_LOCAL && own_is_set("pty"))
		refuse(g, sentence);
}

static void tell_problem(const char *sentence)
{
	slurm_info("ckpt: %s", sentence);
}

/* What the site thinks of that interval. */
static void settle_policy(const struct given *g, uint64_t interval)
{
	struct capture outer;
	char sentence[1024];
	int rc;

	if (!interval || in_checkpointed_job())
		return;
	conf_problems(tell_problem);
	outer = fail_capture(sentence, sizeof(sentence));
	rc = policy_allowed();
	if (!rc)
		rc = policy_interval(interval);
	fail_restore(outer);
	if (rc)
		refuse(g, sentence);
}

static void replace_text(struct given *g, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		refuse(g, "out of memory");
	free(g->text);
	g->text = copy;
}

static void settle_image_dir(struct given *g)
{
	struct capture outer;
	char sentence[PATH_MAX + 256], path[PATH_MAX];
	int rc;

	if (!g->text)
		return;
	outer = fail_capture(sentence, sizeof(sentence));
	rc = target_image_dir(path, sizeof(path), g->text);
	fail_restore(outer);
	if (rc)
		refuse(g, sentence);
	replace_text(g, path);
}

static void settle_restart_dir(struct given *g)
{
	char sentence[PATH_MAX + 256], *path;
	struct stat st;

	if (!g->text)
		return;
	path = realpath(g->text, NULL);
	if (!path || stat(path, &st) < 0 ||
	    (S_ISDIR(st.st_mode) && access(path, R_OK | X_OK) < 0))
		snprintf(sentence, sizeof(sentence), "cannot restart from %s: %s", g->text,
			 strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		snprintf(sentence, sizeof(sentence), "cannot restart from %s: it is no directory",
			 g->text);
	else
		sentence[0] = '\0';
	if (sentence[0])
		refuse(g, sentence);
#if SLURM_VERSION_NUMBER < SLURM_VERSION_NUM(23, 11, 0)
	/* See task.c: there is no way into these. */
	if (own_is_set("multi-prog"))
		refuse(g, "with --multi-prog a step can be continued from Slurm 23.11 on");
#endif
	replace_text(g, path);
	free(path);
}

/* ---- handed on ---- */

static void carry(spank_t sp, enum option option)
{
	const char *text = given[option].text;

	if (!text) {
		unsetenv(carriers[option]);
		return;
	}
	setenv(carriers[option], text, 1);
	/* Whoever inherits it need not be where a relative path is meant from. */
	if (given[option].from_variable)
		setenv(given[option].variable, text, 1);
	if (spank_context() != S_CTX_ALLOCATOR)
		return;
	/* sbatch makes this into the variable for the job, whatever --export says. */
	spank_job_control_setenv(sp, carriers[option] + strlen(CONTROL_PREFIX), text, 1);
	/* From there the steps have it: salloc's always, sbatch's where it would say otherwise. */
	if (is_salloc() || getenv(variables[option]))
		setenv(variables[option], text, 1);
}

void options_settle(spank_t sp)
{
	uint64_t interval;
	int i;

	forget_inherited(OPTION_CHECKPOINT);
	forget_inherited(OPTION_CHECKPOINT_DIR);
	interval = settle_interval(&given[OPTION_CHECKPOINT]);
	settle_policy(&given[OPTION_CHECKPOINT], interval);
	settle_image_dir(&given[OPTION_CHECKPOINT_DIR]);
	settle_restart_dir(&given[OPTION_RESTART_DIR]);
	if (interval && !in_checkpointed_job())
		settle_pty(&given[OPTION_CHECKPOINT], "steps with --pty cannot be checkpointed; leave "
			   "that out, or say --checkpoint=0");
	if (given[OPTION_RESTART_DIR].text)
		settle_pty(&given[OPTION_RESTART_DIR], "steps with --pty cannot be continued from an "
			   "image; leave one of the two out");
	/* Once for each component, and before anything is submitted. */
	if (++components > 1 && interval && !in_checkpointed_job())
		refuse(&given[OPTION_CHECKPOINT],
		       "heterogeneous jobs cannot be checkpointed; submit it without this option");
	/* A job that continues must not empty its own output first. */
	if ((interval || given[OPTION_CHECKPOINT_DIR].text) && !is_salloc())
		own_default("open-mode", "append");
	for (i = 0; i < NR_OPTIONS; i++)
		carry(sp, (enum option)i);
}
