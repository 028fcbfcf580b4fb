// SPDX-License-Identifier: GPL-2.0
/* What is said of a process that is started anew. */
#include "parse.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

/* Pointers to the strings in @len bytes, the last of which must end, too; NULL after them. */
static int parse_strings(const struct parse *p, char ***to, const char *from, size_t len)
{
	size_t nr = 0, pos;

	if (len && from[len - 1])
		return damaged(p, from, "arguments or an environment without an end");
	for (pos = 0; pos < len; pos += strlen(from + pos) + 1)
		nr++;
	*to = calloc(nr + 1, sizeof(**to));
	if (!*to)
		return fail(CK_FAILED, "out of memory");
	for (pos = 0, nr = 0; pos < len; pos += strlen(from + pos) + 1)
		(*to)[nr++] = (char *)from + pos;
	return CK_OK;
}

int parse_relaunch(const struct parse *p, const struct ckpt_record *r, struct image_process *proc)
{
	const struct ckpt_rec_relaunch *rec = (const void *)(r + 1);
	const char *at = (const char *)(rec + 1);
	struct image_relaunch *relaunch = calloc(1, sizeof(*relaunch));
	int rc;

	proc->relaunch = relaunch;
	if (!relaunch)
		return fail(CK_FAILED, "out of memory");
	if (rec->args_len > CKPT_MAX_ARGS || rec->env_len > CKPT_MAX_ARGS ||
	    r->len - sizeof(*rec) != (uint64_t)rec->exe_len + rec->mark_len + rec->args_len +
				     rec->env_len)
		return bad_length(p, r);
	relaunch->rec = rec;
	relaunch->process = (struct ckpt_rec_process){
		.pid = rec->pid, .ppid = rec->ppid, .pgid = rec->pgid, .sid = rec->sid,
		.exit_signal = rec->exit_signal, .oom_score_adj = rec->oom_score_adj,
	};
	memcpy(relaunch->process.comm, rec->comm, sizeof(rec->comm));
	proc->rec = &relaunch->process;
	rc = parse_text(p, &proc->exe, at, rec->exe_len);
	at += rec->exe_len;
	if (!rc)
		rc = parse_text(p, &relaunch->mark, at, rec->mark_len);
	at += rec->mark_len;
	if (!rc)
		rc = parse_strings(p, &relaunch->argv, at, rec->args_len);
	at += rec->args_len;
	return rc ? rc : parse_strings(p, &relaunch->envp, at, rec->env_len);
}

int check_relaunch(const struct parse *p, const struct image_process *proc, struct id_map *tids)
{
	const struct ckpt_rec_relaunch *rec = proc->relaunch->rec;

	if (rec->pid <= 0 || rec->ppid < 0 || rec->pgid < 0 || rec->sid < 0 ||
	    rec->ppid == rec->pid || rec->exit_signal < 0 || rec->exit_signal > 64 ||
	    rec->nice < -20 || rec->nice > 19 || rec->oom_score_adj < -1000 ||
	    rec->oom_score_adj > 1000 || rec->pad || !memchr(rec->comm, '\0', CKPT_COMM_LEN) ||
	    proc->exe[0] != '/' || rec->mark_len > CKPT_MAX_MARK ||
	    (rec->mark_len && strncmp(proc->relaunch->mark, CKPT_MARK_STEP,
				      sizeof(CKPT_MARK_STEP) - 1) != 0) ||
	    !proc->relaunch->argv[0])
		return damaged(p, rec, "process %d, which is to be started anew, makes no sense",
			       rec->pid);
	if (proc->nr_pages)
		return damaged(p, rec, "process %d is to be started anew, but has pages", rec->pid);
	return id_map_add(tids, (uint64_t)rec->pid, 0);
}
