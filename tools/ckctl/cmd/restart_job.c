// SPDX-License-Identifier: GPL-2.0
#include "restart_job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/deadline.h"
#include "job/diary.h"
#include "job/environ.h"
#include "job/node.h"
#include "job/registry.h"
#include "job/requeue.h"
#include "job/resubmit.h"
#include "job/slurm.h"
#include "job/target.h"
#include "json.h"
#include "out.h"
#include "parts.h"
#include "policy.h"
#include "slot/story.h"

#define LOOK_AGAIN_MS	500
#define MAX_SUCCESSORS	100

struct again {
	const struct restart_job_request *req;
	struct deadline deadline;
	char id[32], cluster[256];
	json_t *known;			/* what Slurm still knows of it; or NULL */
	struct registry_entry entry;
	char image[PATH_MAX];		/* with its generation, where one was named */
	struct parts parts;
	char *nodes;			/* for StickToNodes: "node0,node1"; or NULL */
	char new_id[32];		/* under which it goes on; "" for its own */
};

/* ---- which job ---- */

/* Of somebody else, not even the image is looked at. */
static int find_job(struct again *a, const char *job)
{
	struct capture outer;
	char sentence[1024];
	uid_t uid;
	int rc;

	outer = fail_capture(sentence, sizeof(sentence));
	rc = slurm_owner(&a->deadline, job, &uid, a->id, sizeof(a->id));
	fail_restore(outer);
	if (rc && (rc != CK_NOTFOUND || !*job || job[strspn(job, "0123456789")]))
		return fail(rc, "%s", sentence);
	/* Slurm forgets its jobs soon; the image does not. */
	if (rc)
		snprintf(a->id, sizeof(a->id), "%s", job);
	rc = rc ? CK_OK : slurm_become(uid, job);
	if (rc)
		return rc;
	outer = fail_capture(sentence, sizeof(sentence));
	rc = slurm_cluster(&a->deadline, a->cluster, sizeof(a->cluster));
	fail_restore(outer);
	if (rc)
		return rc != CK_NOTFOUND ? fail(rc, "%s", sentence) :
		       fail(rc, "there is no image %s.ckpt here, and no Slurm that could know job %s", a->id,
			    a->id);
	return registry_read(a->cluster, a->id, &a->entry);
}

/* What has become of it; one that is forgotten is a case for sbatch. */
static void ask(struct again *a, const char *id, json_t **record)
{
	struct capture outer;

	outer = fail_mute();
	if (slurm_job(&a->deadline, id, record))
		*record = NULL;
	fail_restore(outer);
}

static const char *state_of(const json_t *record)
{
	return slurm_field(record, "JobState") ? : "";
}

/* It has ended, or never begins again by itself. */
static bool is_over(const json_t *record)
{
	static const char *const over[] = {
		"", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL",
		"DEADLINE", "OUT_OF_MEMORY",
	};
	size_t i;

	for (i = 0; i < sizeof(over) / sizeof(over[0]); i++)
		if (strcmp(state_of(record), over[i]) == 0)
			return true;
	return false;
}

/* ---- which image ---- */

static bool is_there(const char *image)
{
	enum image_kind kind;
	struct capture outer;
	int rc;

	outer = fail_mute();
	rc = image_kind_of(image, &kind);
	fail_restore(outer);
	return rc == CK_OK;
}

/* The absolute path of <dir>/<job>.ckpt: where the job runs is somewhere else. */
static bool in_dir(struct again *a, const char *dir)
{
	char path[PATH_MAX];

	if (!dir || !realpath(dir, path))
		return false;
	return image_path(a->image, sizeof(a->image), path, a->id) == CK_OK && is_there(a->image);
}

static bool search(struct again *a)
{
	char site[PATH_MAX] = "";

	if (a->req->image_dir)
		return in_dir(a, a->req->image_dir);
	if (*a->entry.image && is_there(a->entry.image)) {
		snprintf(a->image, sizeof(a->image), "%s", a->entry.image);
		return true;
	}
	if (*a->entry.image_dir && in_dir(a, a->entry.image_dir))
		return true;
	policy_default_dir(site, sizeof(site), geteuid(), a->id);
	return (*site && in_dir(a, site)) || in_dir(a, ".");
}

static int find_image(struct again *a)
{
	const char *at = a->req->image ? strrchr(a->req->image, '@') : a->req->generation;
	char name[PATH_MAX], path[PATH_MAX];
	size_t len;

	if (a->req->image) {
		len = at && !strchr(at, '/') ? (size_t)(at - a->req->image) : strlen(a->req->image);
		snprintf(name, sizeof(name), "%.*s", (int)len, a->req->image);
		if (!realpath(name, path))
			return fail_errno(errno, "cannot find %s", name);
		at = a->req->image + len;
		snprintf(a->image, sizeof(a->image), "%s", path);
	} else if (!search(a)) {
		return fail(CK_NOTFOUND, *a->entry.image && !a->req->image_dir ?
			    "there is no image of job %s any more in %s; ImageDir= says where it is" :
			    "there is no image of job %s in %s",
			    a->id, a->req->image_dir ? : *a->entry.image ? a->entry.image : "this directory, "
			    "and none is known; ImageDir= says where it is");
	}
	len = strlen(a->image);
	if (at && len + strlen(at) < sizeof(a->image))
		strcpy(a->image + len, at);
	return CK_OK;
}

static const char *record(const struct again *a, const char *key)
{
	return json_string_value(json_object_get(a->parts.job->record, key)) ? : "";
}

/* All that can be known of it before a node is given to the job. */
static int check_image(struct again *a)
{
	int rc = parts_open_job(&a->parts, a->image);

	if (rc)
		return rc;
	if (a->parts.job->owner != geteuid())
		return fail(CK_PERM, "%s belongs to user %u: nobody else can continue from it", a->image,
			    a->parts.job->owner);
	if (!a->parts.job->script)
		return fail(CK_REFUSED, "%s is not of a batch job; \"srun --restart-dir\" continues a step "
			    "from its image", a->image);
	if (strcmp(record(a, "job_id"), a->id) != 0 || strcmp(record(a, "cluster"), a->cluster) != 0)
		return fail(CK_REFUSED, "%s is the image of job %s of cluster %s, not of job %s of cluster "
			    "%s", a->image, record(a, "job_id"), record(a, "cluster"), a->id, a->cluster);
	return CK_OK;
}

/* ---- which nodes ---- */

static int find_nodes(struct again *a)
{
	const json_t *nodes = json_object_get(a->parts.job->record, "nodes"), *node;
	const char *partition = slurm_field(json_object_get(a->parts.job->record, "job"), "Partition");
	size_t i, size = 1;
	int rc = CK_OK;

	if (!a->req->same_nodes)
		return CK_OK;
	json_array_foreach(nodes, i, node)
		size += json_string_length(node) + 1;
	a->nodes = calloc(1, size);
	if (!a->nodes)
		return fail(CK_FAILED, "out of memory");
	json_array_foreach(nodes, i, node) {
		if (!rc)
			rc = node_check(&a->deadline, json_string_value(node), partition);
		strcat(strcat(a->nodes, i ? "," : ""), json_string_value(node));
	}
	return rc;
}

/* ---- under its own id ---- */

/*
 * For a requeued job Slurm empties its output files, unless it was told to append:
 * by the job itself, or by the plugin, which does that for jobs with a directory.
 */
static bool keeps_output(const struct again *a)
{
	const struct job_image *image = a->parts.job;
	const char *mode = image->environ ? environ_get(image->environ, image->environ_len,
							"SLURM_OPEN_MODE") : NULL;
	const char *output = slurm_field(json_object_get(image->record, "job"), "StdOut");

	if (output && strcmp(output, "/dev/null") == 0)
		return true;
	return mode ? *mode == 'a' : *a->entry.image_dir != '\0';
}

/* An earlier StickToNodes is of no account any more. */
static const char *nodes_for(const struct again *a)
{
	const char *asked = slurm_field(json_object_get(a->parts.job->record, "job"), "ReqNodeList");

	return a->nodes ? a->nodes : asked ? NULL : "";
}

/* What it is to continue from, whatever was made since, and however often that has failed. */
static int choose(struct again *a)
{
	struct registry_entry entry = { .image_dir = "" };
	struct story story;

	story_read(a->cluster, a->id, &story);
	if (story.failures) {
		story.failures = 0;
		story_write(a->cluster, a->id, &story);
	}
	story_free(&story);
	snprintf(entry.restart_from, sizeof(entry.restart_from), "%s", a->image);
	return registry_write(a->cluster, a->id, &entry);
}

/* Could it be requeued?  By Slurm's own record, and by where its output is. */
static bool can_begin_again(const struct again *a)
{
	struct capture outer;
	bool can;

	outer = fail_mute();
	can = a->known && keeps_output(a) && requeue_check(a->id, a->known) == CK_OK;
	fail_restore(outer);
	return can;
}

/* *@taken: Slurm has it back; else it is as over as it was. */
static int begin_again(struct again *a, bool *taken)
{
	struct capture outer;
	char sentence[1024];
	int rc;

	*taken = false;
	if (!can_begin_again(a))
		return CK_OK;
	rc = choose(a);
	if (rc)
		return rc;
	outer = fail_capture(sentence, sizeof(sentence));
	rc = requeue(&a->deadline, a->id, nodes_for(a));
	fail_restore(outer);
	*taken = true;
	if (!rc)
		return CK_OK;
	/* Did Slurm refuse, or was it what came then? */
	json_decref(a->known);
	ask(a, a->id, &a->known);
	if (!is_over(a->known))
		return fail(rc, "%s", sentence);
	*taken = false;
	note("Slurm does not take job %s back: %s", a->id, sentence);
	return CK_OK;
}

/* ---- under another one ---- */

/* Did the user say which image it is to be, and not only which job? */
static bool is_named(const struct again *a)
{
	return a->req->image || a->req->generation || a->req->image_dir;
}

/*
 * Once is enough.  And what a successor has made since, its image has: with the older
 * one, output would be cut back to what it was then.
 */
static int check_successor(struct again *a)
{
	struct registry_entry entry = a->entry;
	char next[sizeof(entry.goes_on_as)], newest[sizeof(next)] = "";
	json_t *known = NULL;
	unsigned int i;
	int rc = CK_OK;

	/* A file of the user's may say anything, a circle too. */
	for (i = 0; i < MAX_SUCCESSORS && *entry.goes_on_as && !rc; i++) {
		strcpy(next, entry.goes_on_as);
		ask(a, next, &known);
		if (!is_over(known))
			rc = fail(CK_BUSY, "job %s goes on as job %s already, which is %s", a->id, next,
				  state_of(known));
		json_decref(known);
		if (!rc)
			rc = registry_read(a->cluster, next, &entry);
		if (*entry.image && is_there(entry.image))
			strcpy(newest, next);
	}
	if (rc || !*newest || is_named(a))
		return rc;
	return fail(CK_REFUSED, "job %s went on as job %s; \"ckctl restart %s\" continues from its later "
		    "image, and with ImageDir= or %s@<n> job %s continues from its own", a->id, newest,
		    newest, a->id, a->id);
}

static int submit_again(struct again *a)
{
	struct registry_entry entry = { .image_dir = "" };
	struct diary diary = { .interval_s = 0 };
	struct resubmit r = {
		.image = a->parts.job, .from = a->image, .nodes = a->nodes,
		.nr_nodes = (unsigned int)json_array_size(json_object_get(a->parts.job->record, "nodes")),
		.image_dir = *a->entry.image_dir ? a->entry.image_dir : NULL,
	};
	int rc;

	if (diary_read(a->cluster, a->id, &diary))
		r.interval_s = diary.interval_s;
	rc = resubmit(&a->deadline, &r, a->new_id, sizeof(a->new_id));
	if (rc)
		return rc;
	snprintf(entry.goes_on_as, sizeof(entry.goes_on_as), "%s", a->new_id);
	registry_write(a->cluster, a->id, &entry);
	entry.goes_on_as[0] = '\0';
	snprintf(entry.image_dir, sizeof(entry.image_dir), "%s", a->entry.image_dir);
	if (*entry.image_dir)
		registry_write(a->cluster, a->new_id, &entry);
	return CK_OK;
}

/* ---- all of it ---- */

/* Who has just cancelled it need not know that this takes a moment: how long, the site decides. */
static int await_end(struct again *a)
{
	int rc = CK_OK, ready;

	while (!rc && a->known && strcmp(state_of(a->known), "COMPLETING") == 0) {
		/* Slurm tells nobody when it is. */
		rc = deadline_poll(&a->deadline, NULL, 0, LOOK_AGAIN_MS, &ready);
		json_decref(a->known);
		ask(a, a->id, &a->known);
	}
	return rc;
}

/* It waits already, perhaps held, or for the time that Slurm has set. */
static int let_go(struct again *a)
{
	const char *priority = slurm_field(a->known, "Priority");
	int rc = choose(a);

	if (!rc)
		rc = requeue_hasten(&a->deadline, a->id, nodes_for(a));
	if (!rc && priority && strcmp(priority, "0") == 0)
		rc = requeue_release(&a->deadline, a->id);
	return rc;
}

static int go_on(struct again *a)
{
	bool taken = false;
	int rc = await_end(a);

	if (rc)
		return rc;
	if (a->known && strcmp(state_of(a->known), "PENDING") == 0)
		return let_go(a);
	if (a->known && !is_over(a->known))
		return fail(CK_BUSY, "job %s is %s: cancel it first, or have \"ckctl requeue\" take it back "
			    "to its last checkpoint", a->id, state_of(a->known));
	rc = check_successor(a);
	if (!rc)
		rc = begin_again(a, &taken);
	return rc || taken ? rc : submit_again(a);
}

static int tell(const struct again *a)
{
	if (out_json)
		return json_print(json_pack("{s:s, s:s, s:o, s:I}", "job", *a->new_id ? a->new_id : a->id,
					    "former", a->id, "image", json_text(a->image), "generation",
					    (json_int_t)a->parts.job->number));
	printf("restarted %s%s%s from ", a->id, *a->new_id ? " as " : "", a->new_id);
	print_text(a->image);
	putchar('\n');
	return CK_OK;
}

int restart_job(const struct restart_job_request *req)
{
	struct again a = { .req = req };
	int rc = CK_OK;

	deadline_begin(&a.deadline, req->job ? : "the job", 0, -1);
	if (req->job)
		rc = find_job(&a, req->job);
	if (!rc)
		rc = find_image(&a);
	/* Whose, and of which job, the image says itself. */
	if (!rc && !req->job) {
		struct job_image *image = NULL;

		rc = job_image_open(&image, a.image);
		if (!rc)
			rc = find_job(&a, json_string_value(json_object_get(image->record, "job_id")) ? : "");
		job_image_close(image);
	}
	if (!rc)
		rc = check_image(&a);
	if (!rc)
		ask(&a, a.id, &a.known);
	if (!rc)
		rc = find_nodes(&a);
	if (!rc)
		rc = go_on(&a);
	if (!rc)
		rc = tell(&a);
	parts_close(&a.parts);
	json_decref(a.known);
	free(a.nodes);
	return rc;
}
