/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What Slurm knows, by its commands: their output is the one interface that is
 * the same in all its versions.  All int functions return enum ck_exit and have
 * reported failures (out.h).
 */
#ifndef CKCTL_SLURM_H
#define CKCTL_SLURM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct deadline;

/* Run a command, no longer than @d allows: what it prints, malloc()ed, with a NUL
 * after it.  When it fails, its own words are the sentence. */
int slurm_run(const struct deadline *d, const char *const argv[], char **out, size_t *len);

/*
 * Records of Key=value fields, one a line, as "scontrol -o show" prints them: an
 * array of objects with strings.  A value goes on to the next field, blanks and
 * all; of fields that come twice, the first counts, as later ones may be in a
 * comment of the user's.  NULL when out of memory.
 */
json_t *slurm_parse(const char *text);
/* A field of a record; NULL where it is not there, or is (null), N/A or the like. */
const char *slurm_field(const json_t *record, const char *key);

/* "5", "5.0", "5_3" or "5_3.0" as Slurm writes jobs and steps; @step is "" for a job. */
bool slurm_split(const char *text, char *job, size_t job_size, char *step, size_t step_size);

/* Whose job that is and its plain number, which "5_3" is another name of.  By what
 * no user can make up: names and comments are not looked at. */
int slurm_owner(const struct deadline *d, const char *job, uid_t *uid, char *id, size_t size);
/* Root becomes that user for good, with the environment of a login; anybody else must
 * be them already. */
int slurm_become(uid_t uid, const char *job);

int slurm_job(const struct deadline *d, const char *id, json_t **record);
/*
 * That it has not been told to end until now: Slurm knows of that before the job's
 * tasks do.  A Slurm that does not answer soon is no reason to fail.
 */
int slurm_alive(const struct deadline *d, const char *id);
/* The steps that are running, of any kind: an array. */
int slurm_steps(const struct deadline *d, const char *id, json_t **steps);
/* "n[1-2]" in full: an array of names. */
int slurm_nodes(const struct deadline *d, const char *list, json_t **nodes);
int slurm_script(const struct deadline *d, const char *id, char **text, size_t *len);
/* A line "@key = value" of what "scontrol show config" prints; false without one. */
bool slurm_setting(const char *config, const char *key, char *value, size_t size);
int slurm_cluster(const struct deadline *d, char *name, size_t size);
/* The same inside of a job, whose environment tells it; "" when it cannot be known. */
void slurm_own_cluster(const struct deadline *d, char *name, size_t size);

/* Without variables that would be options of srun or squeue, or tell them that they are
 * in another job. */
void slurm_clean_environment(void);

#endif
