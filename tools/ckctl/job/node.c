// SPDX-License-Identifier: GPL-2.0
#include "node.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "slurm.h"

#define ELSEWHERE "without StickToNodes the job continues on any that fit"

/* Is @word one of those in "a,b,c" or "A+B+C"? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word), at;

	for (; *list; list += at + (list[at] != '\0')) {
		at = strcspn(list, ",+");
		if (at == len && strncmp(list, word, len) == 0)
			return true;
	}
	return false;
}

/* "DOWN*+DRAIN": those in which it takes no job. */
static bool is_out(const char *state)
{
	static const char *const words[] = { "DRAIN", "FAIL", "MAINT", "INVAL", "UNKNOWN" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (has_word(state, words[i]))
			return true;
	return strncmp(state, "DOWN", 4) == 0 || strchr(state, '*');
}

int node_judge(const char *printed, const char *name, const char *partition)
{
	json_t *list = slurm_parse(printed), *node = json_array_get(list, 0);
	const char *own = slurm_field(node, "NodeName"), *state = slurm_field(node, "State");
	const char *partitions = slurm_field(node, "Partitions"), *reason = slurm_field(node, "Reason");
	int rc = CK_OK;

	if (!own || strcmp(own, name) != 0)
		rc = fail(CK_NOTFOUND, "there is no node %s any more, where the checkpoint was made; "
			  ELSEWHERE, name);
	else if (!state || is_out(state))
		rc = fail(CK_BUSY, "node %s, where the checkpoint was made, is %s%s%s%s; " ELSEWHERE, name,
			  state ? : "in no state", reason ? " (" : "", reason ? : "", reason ? ")" : "");
	else if (partition && !has_word(partitions ? : "", partition))
		rc = fail(CK_REFUSED, "node %s, where the checkpoint was made, is not in partition %s any "
			  "more; " ELSEWHERE, name, partition);
	json_decref(list);
	return rc;
}

int node_check(const struct deadline *d, const char *name, const char *partition)
{
	const char *const argv[] = { "scontrol", "-o", "show", "node", name, NULL };
	struct capture outer;
	char *out = NULL;
	int rc;

	/* For one that it does not know it fails, and says so in its own way. */
	outer = fail_mute();
	rc = slurm_run(d, argv, &out, NULL);
	fail_restore(outer);
	rc = node_judge(rc ? "" : out, name, partition);
	free(out);
	return rc;
}
