// SPDX-License-Identifier: GPL-2.0
#include "resubmit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../slurm/task_name.h"
#include "deadline.h"
#include "environ.h"
#include "image/jobimage.h"
#include "json.h"
#include "out.h"
#include "slurm.h"

extern char **environ;

/* ---- options ---- */

/* @nothing: what the field says when the option was not given. */
struct map {
	const char *field, *option, *nothing;
};

static const struct map plain[] = {
	{ "JobName", "job-name", "" },
	{ "Account", "account", "" },
	{ "QOS", "qos", "" },
	{ "Partition", "partition", "" },
	{ "Reservation", "reservation", "" },
	{ "TimeLimit", "time", "Partition_Limit" },
	{ "TimeMin", "time-min", "" },
	{ "NumTasks", "ntasks", "0" },
	{ "CPUs/Task", "cpus-per-task", "1" },
	{ "MinMemoryNode", "mem", "0" },
	{ "MinMemoryCPU", "mem-per-cpu", "0" },
	{ "MinTmpDiskNode", "tmp", "0" },
	{ "Features", "constraint", "" },
	{ "ExcNodeList", "exclude", "" },
	{ "Licenses", "licenses", "" },
	{ "Nice", "nice", "0" },
	{ "Comment", "comment", "" },
	{ "MailUser", "mail-user", "" },
	{ "MailType", "mail-type", "NONE" },
	{ "WorkDir", "chdir", "" },
	{ "ArrayTaskId", "array", "" },
	{ "Socks/Node", "sockets-per-node", "*" },
	{ "CoreSpec", "core-spec", "*" },
	{ "ThreadSpec", "thread-spec", "" },
	{ "Network", "network", "" },
	{ "Switches", "switches", "" },
	{ "WCKey", "wckey", "" },
};

/* Options that sbatch does not take together with those that these fields are of; what Slurm
 * tells of them all the same is what it has made of the others. */
static const struct map excluded[] = {
	{ "CpusPerTres", "cpus-per-task", "" },
	{ "MemPerTres", "mem", "" },
	{ "MemPerTres", "mem-per-cpu", "" },
};

/* Of "2:0:*:1", the @at-th number. */
static const struct {
	const char *field;
	unsigned int at;
	const char *option;
} numbers[] = {
	{ "NtasksPerN:B:S:C", 0, "ntasks-per-node" },
	{ "NtasksPerN:B:S:C", 2, "ntasks-per-socket" },
	{ "NtasksPerN:B:S:C", 3, "ntasks-per-core" },
	{ "ReqB:S:C:T", 2, "cores-per-socket" },
	{ "ReqB:S:C:T", 3, "threads-per-core" },
};

/* What each generic resource in a list of them begins with is no part of the option. */
static const struct map resources[] = {
	{ "TresPerNode", "gres", "gres" },
	{ "TresPerJob", "gpus", "gres/gpu" },
	{ "TresPerSocket", "gpus-per-socket", "gres/gpu" },
	{ "TresPerTask", "gpus-per-task", "gres/gpu" },
	{ "CpusPerTres", "cpus-per-gpu", "gres/gpu" },
	{ "MemPerTres", "mem-per-gpu", "gres/gpu" },
};

/* In their names, as Slurm tells them, nothing is left to be replaced. */
static const struct map streams[] = {
	{ "StdIn", "input", "" },
	{ "StdOut", "output", "" },
	{ "StdErr", "error", "" },
};

static void add(json_t *options, const char *name, const char *value)
{
	char *text;

	if (asprintf(&text, value ? "--%s=%s" : "--%s", name, value) < 0)
		return;
	json_array_append_new(options, json_text(text));
	free(text);
}

static bool is_excluded(const json_t *job, const char *option)
{
	size_t i;

	for (i = 0; i < sizeof(excluded) / sizeof(excluded[0]); i++)
		if (strcmp(excluded[i].option, option) == 0 && slurm_field(job, excluded[i].field))
			return true;
	return false;
}

static void add_plain(json_t *options, const json_t *job)
{
	const char *value;
	size_t i;

	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		value = slurm_field(job, plain[i].field);
		/* "*name" is what the user's account has anyway. */
		if (value && *value && strcmp(value, plain[i].nothing) != 0 &&
		    (*value != '*' || strcmp(plain[i].field, "WCKey") != 0) &&
		    !is_excluded(job, plain[i].option))
			add(options, plain[i].option, value);
	}
}

static bool is_separator(char c)
{
	return c && strchr(":/=", c);
}

/* Where the text after @prefix and a separator begins; NULL for another resource. */
static const char *without_prefix(const char *text, const char *prefix)
{
	for (; *prefix; prefix++, text++)
		if (*text != *prefix && !(is_separator(*text) && is_separator(*prefix)))
			return NULL;
	return is_separator(*text) ? text + 1 : NULL;
}

/*
 * "gres:gpu:2" in Slurm 22.05; since then "gres/gpu:2" or "gres/gpu=2", and among
 * those of a task its processors, "cpu=2", of which another field tells as well.
 */
static void add_resources(json_t *options, const json_t *job)
{
	const char *item, *value;
	char list[1024], *at;
	size_t i, n, len;

	for (i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
		n = 0;
		item = slurm_field(job, resources[i].field);
		for (; item && *item; item += len + (item[len] == ',')) {
			len = strcspn(item, ",");
			value = without_prefix(item, resources[i].nothing);
			if (value && n + len + 2 < sizeof(list))
				n += (size_t)sprintf(list + n, "%s%.*s", n ? "," : "",
						     (int)(item + len - value), value);
		}
		for (at = list; n && (at = strchr(at, '=')); )
			*at = ':';
		if (n)
			add(options, resources[i].option, list);
	}
}

static void add_streams(json_t *options, const json_t *job)
{
	const char *value;
	char path[2 * PATH_MAX];
	size_t i, n;

	for (i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		value = slurm_field(job, streams[i].field);
		if (!value || !*value)
			continue;
		for (n = 0; *value && n + 3 < sizeof(path); value++) {
			if (*value == '%')
				path[n++] = '%';
			path[n++] = *value;
		}
		path[n] = '\0';
		add(options, streams[i].option, path);
	}
	/* What it has written is in these files already. */
	add(options, "open-mode", "append");
}

static void add_sharing(json_t *options, const json_t *job)
{
	const char *shared = slurm_field(job, "OverSubscribe");
	const char *contiguous = slurm_field(job, "Contiguous");
	const char *requeue = slurm_field(job, "Requeue");

	if (shared && strcmp(shared, "NO") == 0)
		add(options, "exclusive", NULL);
	else if (shared && strcmp(shared, "USER") == 0)
		add(options, "exclusive", "user");
	else if (shared && strcmp(shared, "YES") == 0)
		add(options, "oversubscribe", NULL);
	if (contiguous && strcmp(contiguous, "1") == 0)
		add(options, "contiguous", NULL);
	if (requeue)
		add(options, strcmp(requeue, "0") == 0 ? "no-requeue" : "requeue", NULL);
}

static void add_numbers(json_t *options, const json_t *job)
{
	const char *value;
	char number[16];
	unsigned int at;
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		value = slurm_field(job, numbers[i].field);
		for (at = 0; value && at < numbers[i].at; at++)
			value = strchr(value, ':') ? strchr(value, ':') + 1 : NULL;
		if (!value || atoi(value) <= 0)
			continue;
		snprintf(number, sizeof(number), "%d", atoi(value));
		add(options, numbers[i].option, number);
	}
}

/* With one that has passed, Slurm takes no job. */
static void add_deadline(json_t *options, const json_t *job)
{
	const char *value = slurm_field(job, "Deadline");
	struct tm tm = { .tm_isdst = -1 };

	if (value && strptime(value, "%Y-%m-%dT%H:%M:%S", &tm) && mktime(&tm) > time(NULL))
		add(options, "deadline", value);
}

static void add_nodes(json_t *options, const json_t *job, const struct resubmit *r)
{
	const char *count = slurm_field(job, "NumNodes"), *list = slurm_field(job, "ReqNodeList");
	char number[16];

	if (r->nodes) {
		snprintf(number, sizeof(number), "%u", r->nr_nodes);
		count = number;
		list = r->nodes;
	}
	if (count)
		add(options, "nodes", count);
	if (list)
		add(options, "nodelist", list);
}

json_t *resubmit_options(const json_t *job, const struct resubmit *r)
{
	json_t *options = json_array();

	add_plain(options, job);
	add_nodes(options, job, r);
	add_resources(options, job);
	add_sharing(options, job);
	add_numbers(options, job);
	add_deadline(options, job);
	add_streams(options, job);
	/* Whatever the script says of these: it has waited long enough. */
	add(options, "begin", "now");
	/* All that it is given, and that is the recorded environment. */
	add(options, "export", "ALL");
	return options;
}

/* ---- the environment ---- */

static bool is_ours(const char *variable)
{
	static const char *const prefixes[] = {
		"SBATCH_CHECKPOINT", "_SLURM_", "SPANK_", "CKPT_TASK_", TASK_ENV_SUBMITTED "=",
	};
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* How to reach Slurm is known here, and nowhere better. */
static size_t keep_own(char **env, size_t n)
{
	static const char *const names[] = { "SLURM_CONF=", "SLURM_CONF_SERVER=", "SLURM_JWT=" };
	char **var;
	size_t i;

	for (var = environ; *var && n < 3; var++)
		for (i = 0; i < 3; i++)
			if (strncmp(*var, names[i], strlen(names[i])) == 0)
				env[n++] = strdup(*var);
	return n;
}

static size_t add_variable(char **env, size_t n, const char *name, const char *value)
{
	if (value && asprintf(&env[n], "%s=%s", name, value) >= 0)
		n++;
	return n;
}

char **resubmit_environment(const struct resubmit *r)
{
	const char *recorded = r->image->environ;
	size_t len = r->image->environ_len, pos, nr = 0, n = 0;
	char **env, name[256], interval[32];

	for (pos = 0; recorded && pos < len; pos += strlen(recorded + pos) + 1)
		nr++;
	env = calloc(nr + 8, sizeof(*env));
	if (!env)
		return NULL;
	n = keep_own(env, n);
	for (pos = 0; recorded && pos < len; pos += strlen(recorded + pos) + 1) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(recorded + pos, "="), recorded + pos);
		if (!environ_is_launch(name) && !is_ours(recorded + pos))
			env[n++] = strdup(recorded + pos);
	}
	n = add_variable(env, n, TASK_ENV_SUBMITTED, r->from);
	n = add_variable(env, n, "SBATCH_CHECKPOINT_DIR", r->image_dir);
	snprintf(interval, sizeof(interval), "0:%ju", (uintmax_t)r->interval_s);
	add_variable(env, n, "SBATCH_CHECKPOINT", r->interval_s ? interval : NULL);
	return env;
}

void resubmit_environment_free(char **env)
{
	char **var;

	for (var = env; var && *var; var++)
		free(*var);
	free(env);
}

/* ---- the script ---- */

/* Is what the job was submitted with still that file? */
static bool is_script(const char *path, const struct job_image *image)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char *text = NULL;
	struct stat st;
	bool same;

	same = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (size_t)st.st_size == image->script_len;
	text = same ? malloc(image->script_len + 1) : NULL;
	same = text && read(fd, text, image->script_len) == (ssize_t)image->script_len &&
	       memcmp(text, image->script, image->script_len) == 0;
	if (fd >= 0)
		close(fd);
	free(text);
	return same;
}

/* A name for the recorded script, as long as *@fd is open. */
static int write_script(const struct job_image *image, int *fd, char *path, size_t size)
{
	*fd = memfd_create("script", 0);
	if (*fd < 0 || write(*fd, image->script, image->script_len) != (ssize_t)image->script_len)
		return fail_errno(errno, "cannot hand the script on to sbatch");
	snprintf(path, size, "/proc/self/fd/%d", *fd);
	return CK_OK;
}

/*
 * Slurm tells the command in one line: the path of the script, then, up to 22.05, its
 * arguments. These only matter should it have to start from the beginning.
 */
static int add_command(json_t *words, const struct resubmit *r, int *fd)
{
	const char *told = slurm_field(json_object_get(r->image->record, "job"), "Command");
	char *line = strdup(told ? told : ""), *word = line ? strtok(line, " ") : NULL;
	json_t *arguments = json_object_get(r->image->record, "arguments");
	char path[64];
	int rc = CK_OK;

	if (word && is_script(word, r->image)) {
		json_array_append_new(words, json_text(word));
	} else {
		rc = write_script(r->image, fd, path, sizeof(path));
		json_array_append_new(words, json_string(path));
	}
	if (json_is_array(arguments))
		json_array_extend(words, arguments);
	else
		while (word && (word = strtok(NULL, " ")))
			json_array_append_new(words, json_text(word));
	free(line);
	return rc;
}

/* ---- sbatch ---- */

/* It is looked for where we look for commands, not where the job did. */
static int find_sbatch(char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	size_t len;

	for (dirs = dirs ? dirs : "/usr/bin:/bin"; *dirs; dirs += len + (dirs[len] == ':')) {
		len = strcspn(dirs, ":");
		if (len && (size_t)snprintf(path, size, "%.*s/sbatch", (int)len, dirs) < size &&
		    access(path, X_OK) == 0)
			return CK_OK;
	}
	return fail(CK_NOTFOUND, "there is no command sbatch here");
}

static int run(const struct deadline *d, const json_t *words, char **env, char **out)
{
	size_t i, nr = json_array_size(words);
	const char **argv = calloc(nr + 1, sizeof(*argv));
	char **own = environ;
	int rc;

	for (i = 0; argv && i < nr; i++)
		argv[i] = json_string_value(json_array_get(words, i));
	environ = env;
	rc = argv ? slurm_run(d, argv, out, NULL) : fail(CK_FAILED, "out of memory");
	environ = own;
	free(argv);
	return rc;
}

int resubmit(const struct deadline *d, const struct resubmit *r, char *id, size_t size)
{
	json_t *options = resubmit_options(json_object_get(r->image->record, "job"), r);
	json_t *words = json_array();
	char **env = resubmit_environment(r), path[PATH_MAX], *out = NULL;
	int rc = find_sbatch(path, sizeof(path)), fd = -1;

	if (!rc && !env)
		rc = fail(CK_FAILED, "out of memory");
	json_array_append_new(words, json_text(path));
	json_array_append_new(words, json_string("--parsable"));
	json_array_extend(words, options);
	if (!rc)
		rc = add_command(words, r, &fd);
	if (!rc)
		rc = run(d, words, env, &out);
	/* "5" or, where there are several clusters, "5;name". */
	if (!rc && (out[0] < '1' || out[0] > '9' || strspn(out, "0123456789") >= size))
		rc = fail(CK_FAILED, "sbatch says \"%.60s\"", out);
	if (!rc)
		snprintf(id, size, "%.*s", (int)strspn(out, "0123456789"), out);
	if (fd >= 0)
		close(fd);
	free(out);
	resubmit_environment_free(env);
	json_decref(words);
	json_decref(options);
	return rc;
}
