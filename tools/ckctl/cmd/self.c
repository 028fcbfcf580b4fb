// SPDX-License-Identifier: GPL-2.0
#include "self.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caps.h"
#include "job/ask.h"
#include "job/mark.h"
#include "json.h"
#include "out.h"

/* The number of a socket that this process was executed with: see become_witness(). */
#define WITNESS		"CKCTL_SELF_WITNESS"

bool self_is(const struct target *t)
{
	return t->name && !t->cgroup && strcmp(t->name, "self") == 0;
}

/* ---- made, or restarted? ---- */

/*
 * A process that is started anew is executed with the arguments and the environment
 * of its former self, and with all of its descriptors but its sockets.  So this
 * executes itself with the socket of who is asked and its number: when it is not
 * there, that was the restart.  It does so as "self": the job may have another number
 * by then.  Returns only when it cannot.
 */
static int become_witness(const struct target *t, const char *cgroup)
{
	char program[PATH_MAX], number[16], dir[PATH_MAX], image_dir[PATH_MAX + 16], max_wait[48];
	const char *argv[8] = { "ckctl" };
	int fd, n = 1, rc = CK_OK;
	ssize_t len;

	if (t->image_dir)
		rc = target_image_dir(dir, sizeof(dir), t->image_dir);
	if (rc)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Not in the place of a standard stream that is closed. */
	if (fd >= 0)
		fd = fcntl(fd, F_DUPFD, 10);
	if (fd < 0)
		return fail_errno(errno, "cannot make a socket");
	rc = cgroup ? ask_connect_for(fd, t->name, cgroup) : ask_connect(fd);
	if (rc)
		return rc;
	if (out_json)
		argv[n++] = "--json";
	if (out_quiet)
		argv[n++] = "-q";
	argv[n++] = "create";
	argv[n++] = "self";
	if (t->image_dir) {
		snprintf(image_dir, sizeof(image_dir), "ImageDir=%s", dir);
		argv[n++] = image_dir;
	}
	if (t->max_wait_ms) {
		snprintf(max_wait, sizeof(max_wait), "MaxWait=%" PRIu64, t->max_wait_ms / 1000);
		argv[n++] = max_wait;
	}
	snprintf(number, sizeof(number), "%d", fd);
	setenv(WITNESS, number, 1);
	/* By its name, which is what people see of it. */
	len = readlink("/proc/self/exe", program, sizeof(program) - 1);
	program[len > 0 ? len : 0] = '\0';
	execv(program, (char *const *)argv);
	return fail_errno(errno, "cannot run %s", program);
}

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int print_restarted(void)
{
	if (out_json)
		return json_print(json_pack("{s:b}", "restarted", 1));
	puts("restarted");
	return CK_OK;
}

static int print_made(json_t *result)
{
	const char *image = json_string_value(json_object_get(result, "image"));
	int64_t bytes = json_integer_value(json_object_get(result, "bytes"));
	double ms = json_number_value(json_object_get(result, "standstill_ms"));
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(result, "notes"), i, item)
		note("%s", json_string_value(item));
	if (out_json) {
		json_object_set_new(result, "restarted", json_false());
		return json_print(json_incref(result));
	}
	printf("made ");
	print_text(image ? image : "");
	printf(": %s in %.2f s, stood still %s\n", human_bytes((uint64_t)bytes),
	       json_number_value(json_object_get(result, "seconds")), human_ns((uint64_t)(ms * 1e6)));
	return CK_OK;
}

/* Its words are those of a ckctl, which were meant for a terminal. */
static int print_answer(json_t *answer)
{
	const char *words = json_string_value(json_object_get(answer, "words"));
	int code = (int)json_integer_value(json_object_get(answer, "code"));
	json_t *result = json_object_get(answer, "result");

	if (words && (code || !out_quiet))
		fputs(words, stderr);
	if (!code && json_is_object(result))
		return print_made(result);
	if (code && words && *words)
		return code;
	return fail(CK_FAILED, "who was asked for a checkpoint did not say what became of it");
}

static int ask(const struct target *t, int fd)
{
	json_t *answer = NULL;
	int rc = ask_for(fd, t->max_wait_ms, t->image_dir ? : "", &answer);

	if (!rc)
		rc = print_answer(answer);
	json_decref(answer);
	return rc;
}

int self_create(const struct target *t, const char *cgroup)
{
	const char *witness = getenv(WITNESS);

	/* Others may be about to make one: it could be saved neither with capabilities that
	 * its user does not have, nor with a socket, unless it is marked before. */
	if (caps_keep(0) < 0)
		return fail_errno(errno, "cannot give up capabilities");
	if (mark_make(ASK_MARK) < 0)
		return fail_errno(errno, "cannot mark this process as one that asks");
	if (!witness)
		return become_witness(t, cgroup);
	if (!is_socket(atoi(witness)))
		return print_restarted();
	return ask(t, atoi(witness));
}

int self_check(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return fail_errno(errno, "cannot make a socket");
	rc = ask_connect(fd);
	close(fd);
	if (!rc && out_json)
		return json_print(json_pack("{s:b}", "possible", 1));
	if (!rc && !out_quiet)
		puts("there is somebody who can be asked for a checkpoint");
	return rc;
}
