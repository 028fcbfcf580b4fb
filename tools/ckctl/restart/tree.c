// SPDX-License-Identifier: GPL-2.0
/*
 * Parents, sessions and process groups.
 *
 * A session cannot be joined, only inherited at clone or founded by setsid(2):
 * a child that has its parent's former session is cloned before the parent
 * founds its own.
 *
 * A session or group whose leader is not in the image is either the launcher's,
 * then its members come into the coordinator's; or its leader has ended, then a
 * stand-in leads it until all are in.  The launcher's are those of the process
 * that stands for the job.
 */
#include "restart.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "../out.h"

/* Deeper chains would only exhaust the skeletons' stacks. */
#define MAX_DEPTH	1000

struct entry {
	pid_t pid;
	int node;
};

/* A tree being planned. */
struct plan {
	struct tree *tree;
	struct entry *index;		/* of all nodes, sorted */
	pid_t sid, pgid;		/* of the launcher; 0 when the job leads its own */
};

static int by_pid(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

static int find(const struct plan *p, pid_t pid)
{
	const struct entry *e = bsearch(&pid, p->index, p->tree->nr, sizeof(*e), by_pid);

	return e ? e->node : -1;
}

static struct tree_node *add_node(struct plan *p, pid_t pid)
{
	struct tree *tree = p->tree;
	struct tree_node *node = &tree->nodes[tree->nr];

	*node = (struct tree_node){
		.pid = pid,
		.comm = "that has ended",
		.exit_signal = SIGCHLD,
		.parent = -1,
		.creator = -1,
		.first = -1,
		.next = -1,
	};
	p->index[tree->nr].pid = pid;
	p->index[tree->nr].node = (int)tree->nr;
	tree->nr++;
	return node;
}

static void add_process(struct plan *p, const struct image_process *process)
{
	const struct ckpt_rec_process *rec = process->rec;
	struct tree_node *node = add_node(p, rec->pid);

	node->process = process;
	node->ppid = rec->ppid;
	node->saved_pgid = rec->pgid;
	node->sid = rec->sid;
	node->comm = rec->comm;
	node->exit_signal = rec->exit_signal;
}

static void add_zombie(struct plan *p, const struct ckpt_rec_zombie *rec)
{
	struct tree_node *node = add_node(p, rec->pid);

	node->zombie = rec;
	node->ppid = rec->ppid;
	node->saved_pgid = rec->pgid;
	node->sid = rec->sid;
	node->comm = rec->comm;
	node->exit_signal = rec->exit_signal;
}

static bool is_stand_in(const struct tree_node *node)
{
	return !node->process && !node->zombie;
}

/* Every id that will be asked of the kernel, each once. */
static int check_ids(const struct image *image, size_t nr_threads)
{
	pid_t *tids = malloc((nr_threads + image->nr_relaunched + image->nr_zombies) * sizeof(*tids));
	size_t i, t, n = 0;
	int rc = CK_OK;

	if (!tids)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < image->nr_processes; i++) {
		const struct image_process *p = &image->processes[i];

		if (p->relaunch)
			tids[n++] = p->rec->pid;
		else if (p->threads[0].rec->tid != p->rec->pid)
			rc = fail(CK_DAMAGED, "the first thread of process %d in the image is %d",
				  p->rec->pid, p->threads[0].rec->tid);
		for (t = 0; t < p->nr_threads; t++)
			tids[n++] = p->threads[t].rec->tid;
	}
	for (i = 0; i < image->nr_zombies; i++)
		tids[n++] = image->zombies[i]->pid;
	qsort(tids, n, sizeof(*tids), by_pid);
	for (i = 0; i < n && !rc; i++)
		if (tids[i] <= 0 || (i && tids[i] == tids[i - 1]))
			rc = fail(CK_DAMAGED, "the image has a thread with the impossible id %d",
				  tids[i]);
	free(tids);
	return rc;
}

/* ---- stand-ins ---- */

static bool is_outside(const struct plan *p, pid_t id, pid_t launchers)
{
	/* 0 is what a pid namespace does not see; one that lives is not gone. */
	return id <= 0 || id == launchers || (find(p, id) < 0 && (kill(id, 0) == 0 || errno == EPERM));
}

/*
 * One for each session and group without a leader.  A session's is cloned by
 * the parent of its members and clones them beside itself, a group's by the
 * first of its members.
 */
static void add_stand_ins(struct plan *p)
{
	size_t i, saved = p->tree->nr;
	int session;

	for (session = 1; session >= 0; session--) {
		for (i = 0; i < saved; i++) {
			const struct tree_node *member = &p->tree->nodes[i];
			pid_t id = session ? member->sid : member->saved_pgid;

			if (find(p, id) >= 0 || is_outside(p, id, session ? p->sid : p->pgid))
				continue;
			add_node(p, id);
			p->tree->nodes[p->tree->nr - 1].leads_session = session;
			p->tree->nodes[p->tree->nr - 1].creator = (int)i;
			qsort(p->index, p->tree->nr, sizeof(*p->index), by_pid);
		}
	}
}

/* ---- who clones whom ---- */

/* The session of @node in the end; 0 is the coordinator's. */
static pid_t session_of(const struct plan *p, const struct tree_node *node)
{
	if (is_stand_in(node) && node->leads_session)
		return node->pid;
	if (is_stand_in(node))
		node = &p->tree->nodes[node->creator];
	return find(p, node->sid) >= 0 ? node->sid : 0;
}

/* @node is a member of the session that stand-in @leader leads. */
static int enter_session(struct plan *p, struct tree_node *node, struct tree_node *leader)
{
	struct tree_node *parent = node->parent < 0 ? NULL : &p->tree->nodes[node->parent];

	if (parent && session_of(p, parent) == leader->pid)
		return CK_OK;
	if (leader->first < 0) {
		/* The first one of them. */
		leader->parent = node->parent;
		leader->creator = node->parent;
		leader->exit_signal = node->exit_signal;
		leader->first = 0;
	}
	if (leader->parent != node->parent || leader->exit_signal != node->exit_signal)
		return fail(CK_REFUSED, "process %d (%.15s) is in session %d, whose leader is gone, with "
			    "processes of other parents: such a tree cannot be made again", node->pid,
			    node->comm, leader->pid);
	node->creator = (int)(leader - p->tree->nodes);
	return CK_OK;
}

static int link_nodes(struct plan *p)
{
	struct tree *tree = p->tree;
	int i, rc = CK_OK;

	for (i = 0; i < (int)tree->nr; i++) {
		struct tree_node *node = &tree->nodes[i];

		if (is_stand_in(node))
			continue;
		node->parent = find(p, node->ppid);
		if (node->parent >= 0 && !tree->nodes[node->parent].process)
			node->parent = -1;
		node->creator = node->parent;
	}
	for (i = 0; i < (int)tree->nr && !rc; i++) {
		struct tree_node *node = &tree->nodes[i];
		int leader = is_stand_in(node) ? -1 : find(p, node->sid);

		if (leader >= 0 && is_stand_in(&tree->nodes[leader]))
			rc = enter_session(p, node, &tree->nodes[leader]);
	}
	tree->first = -1;
	for (i = 0; i < (int)tree->nr; i++)
		tree->nodes[i].first = -1;
	for (i = (int)tree->nr - 1; i >= 0; i--) {
		struct tree_node *node = &tree->nodes[i];
		int *list = node->creator < 0 ? &tree->first : &tree->nodes[node->creator].first;

		if (is_stand_in(node) && !node->leads_session)
			node->parent = node->creator;
		node->next = *list;
		*list = i;
	}
	return rc;
}

/* The node after @i, creators before those they clone; -1 at the end. */
static int next_node(const struct tree *tree, int i)
{
	if (tree->nodes[i].first >= 0)
		return tree->nodes[i].first;
	while (i >= 0 && tree->nodes[i].next < 0)
		i = tree->nodes[i].creator;
	return i < 0 ? -1 : tree->nodes[i].next;
}

static int check_shape(const struct tree *tree)
{
	size_t seen = 0;
	int i, up;

	for (i = tree->first; i >= 0; i = next_node(tree, i)) {
		int depth = 0;

		for (up = i; up >= 0; up = tree->nodes[up].creator)
			if (++depth > MAX_DEPTH)
				return fail(CK_REFUSED, "the process tree of the image is deeper "
					    "than %d", MAX_DEPTH);
		seen++;
	}
	/* What nobody leads to goes round in a circle. */
	if (seen != tree->nr)
		return fail(CK_DAMAGED, "the image has processes that are their own ancestors");
	return CK_OK;
}

/* ---- sessions and groups ---- */

/* The session in which @node is cloned. */
static pid_t birth_session(const struct plan *p, const struct tree_node *node)
{
	while (node->early)
		node = &p->tree->nodes[node->creator];
	return node->creator < 0 ? 0 : session_of(p, &p->tree->nodes[node->creator]);
}

static int plan_session(struct plan *p, struct tree_node *node)
{
	pid_t sid = session_of(p, node);

	if (sid == node->pid) {
		node->leads_session = true;
		return CK_OK;
	}
	if (birth_session(p, node) == sid)
		return CK_OK;
	if (node->creator >= 0) {
		node->early = true;
		if (birth_session(p, node) == sid)
			return CK_OK;
	}
	return fail(CK_REFUSED, "process %d (%.15s) is in session %d, which its parent %d never was "
		    "in: such a tree cannot be made again", node->pid, node->comm, sid, node->ppid);
}

static int plan_group(struct plan *p, struct tree_node *node)
{
	pid_t sid = session_of(p, node), pgid;
	int leader;

	if (is_stand_in(node)) {
		node->pgid = node->pid;
		return CK_OK;
	}
	pgid = node->saved_pgid;
	leader = find(p, pgid);
	node->pgid = leader < 0 ? 0 : pgid;
	if (leader < 0 && sid == 0)
		return CK_OK;
	if (leader >= 0 && session_of(p, &p->tree->nodes[leader]) == sid &&
	    (is_stand_in(&p->tree->nodes[leader]) || p->tree->nodes[leader].saved_pgid == pgid) &&
	    (!node->leads_session || pgid == node->pid))
		return CK_OK;
	return fail(CK_REFUSED, "process %d (%.15s) is in process group %d, which is not one of its "
		    "session: such a group cannot be made again", node->pid, node->comm, pgid);
}

static int plan_tree(struct plan *p, const struct image *image)
{
	const struct ckpt_rec_process *rec = NULL;
	struct tree *tree = p->tree;
	size_t i;
	int n, rc;

	for (i = 0; i < image->nr_processes; i++) {
		tree->nr_threads += image->processes[i].nr_threads;
		add_process(p, &image->processes[i]);
	}
	tree->nr_processes = tree->nr;
	for (i = 0; i < image->nr_zombies; i++)
		add_zombie(p, image->zombies[i]);
	rc = check_ids(image, tree->nr_threads);
	if (rc)
		return rc;
	qsort(p->index, tree->nr, sizeof(*p->index), by_pid);
	/* One that is started anew stands for nothing but itself. */
	for (i = 0; i < tree->nr_processes && !rec; i++)
		if (!image->processes[i].relaunch && find(p, image->processes[i].rec->ppid) < 0)
			rec = image->processes[i].rec;
	if (!rec)
		return fail(CK_DAMAGED, "the image has processes that are their own ancestors");
	tree->main = rec->pid;
	p->sid = find(p, rec->sid) < 0 ? rec->sid : 0;
	p->pgid = find(p, rec->pgid) < 0 ? rec->pgid : 0;
	add_stand_ins(p);
	rc = link_nodes(p);
	if (!rc)
		rc = check_shape(tree);
	for (n = rc ? -1 : tree->first; n >= 0 && !rc; n = next_node(tree, n)) {
		rc = plan_session(p, &tree->nodes[n]);
		if (!rc)
			rc = plan_group(p, &tree->nodes[n]);
	}
	return rc;
}

int tree_plan(struct tree *tree, const struct image *image)
{
	/* A stand-in for every session and every group at most. */
	size_t most = 3 * (image->nr_processes + image->nr_zombies);
	struct plan p = { .tree = tree };
	int rc;

	*tree = (struct tree){ .nodes = calloc(most, sizeof(*tree->nodes)) };
	p.index = calloc(most, sizeof(*p.index));
	rc = tree->nodes && p.index ? plan_tree(&p, image) : fail(CK_FAILED, "out of memory");
	free(p.index);
	return rc;
}

void tree_free(struct tree *tree)
{
	free(tree->nodes);
	tree->nodes = NULL;
}
