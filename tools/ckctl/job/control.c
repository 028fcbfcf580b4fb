// SPDX-License-Identifier: GPL-2.0
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "janitor.h"
#include "json.h"
#include "out.h"
#include "registry.h"

/* How often who is at work says so, and after what silence nobody is any more. */
#define SIGN_MS		20000
#define SILENCE_S	90

static const char *file_name(char *buf, size_t size, const char *name, const char *what)
{
	snprintf(buf, size, "%s.%s", name, what);
	return buf;
}

static json_t *load(const char *cluster, const char *name, const char *what)
{
	char file[300];

	return registry_load(cluster, file_name(file, sizeof(file), name, what));
}

/* Drops the reference; NULL removes it. */
static int store(const char *cluster, const char *name, const char *what, json_t *root)
{
	char file[300];

	file_name(file, sizeof(file), name, what);
	return root ? registry_store(cluster, file, root) : registry_remove(cluster, file);
}

static void store_quietly(const char *cluster, const char *name, const char *what, json_t *root)
{
	struct capture outer;

	outer = fail_mute();
	store(cluster, name, what, root);
	fail_restore(outer);
}

static void get_text(char *buf, size_t size, const json_t *root, const char *key)
{
	const char *value = json_string_value(json_object_get(root, key));

	snprintf(buf, size, "%s", value ? value : "");
}

/* ---- disabled ---- */

int control_disable(const char *cluster, const char *name, bool disable)
{
	const struct passwd *pw = getpwuid(geteuid());

	if (!disable)
		return store(cluster, name, "disabled", NULL);
	if (control_disabled(cluster, name, NULL))
		return CK_OK;
	return store(cluster, name, "disabled", json_pack("{s:I, s:o}", "since", (json_int_t)time(NULL),
							  "by", json_text(pw ? pw->pw_name : "")));
}

bool control_disabled(const char *cluster, const char *name, struct control_flag *flag)
{
	json_t *root = load(cluster, name, "disabled");

	if (root && flag) {
		flag->since = json_integer_value(json_object_get(root, "since"));
		get_text(flag->by, sizeof(flag->by), root, "by");
	}
	json_decref(root);
	return root != NULL;
}

/* ---- the last failure ---- */

void control_ended(const char *cluster, const char *name, int code, const char *sentence)
{
	json_t *root = NULL;

	if (code)
		root = json_pack("{s:I, s:i, s:o}", "time", (json_int_t)time(NULL), "code", code,
				 "sentence", json_text(sentence));
	store_quietly(cluster, name, "failed", root);
}

bool control_failed(const char *cluster, const char *name, struct control_failure *failure)
{
	json_t *root = load(cluster, name, "failed");

	if (root) {
		failure->time = json_integer_value(json_object_get(root, "time"));
		failure->code = (int)json_integer_value(json_object_get(root, "code"));
		get_text(failure->sentence, sizeof(failure->sentence), root, "sentence");
	}
	json_decref(root);
	return root != NULL;
}

/* ---- under way ---- */

static void sign(const char *cluster, const char *name, int64_t since)
{
	store_quietly(cluster, name, "began",
		      json_pack("{s:I, s:I, s:I, s:i}", "since", (json_int_t)since, "alive",
				(json_int_t)time(NULL), "host", (json_int_t)gethostid(), "pid",
				(int)getpid()));
}

/* Another one may have begun with another image directory. */
static void sign_off(const char *cluster, const char *name)
{
	json_t *root = load(cluster, name, "began");

	if (json_integer_value(json_object_get(root, "host")) == gethostid() &&
	    json_integer_value(json_object_get(root, "pid")) == getpid())
		store_quietly(cluster, name, "began", NULL);
	json_decref(root);
}

static void watch(const char *cluster, const char *name, int fd) __attribute__((noreturn));

static void watch(const char *cluster, const char *name, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t since = time(NULL);
	sigset_t all;
	int n;

	/* What ends the caller ends its pipe. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	do {
		sign(cluster, name, since);
		n = poll(&pfd, 1, SIGN_MS);
	} while (n == 0 || (n < 0 && errno == EINTR));
	sign_off(cluster, name);
	_exit(0);
}

struct control_way control_begin(const char *cluster, const char *name)
{
	struct control_way way = { .fd = -1 };
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return way;
	fflush(NULL);
	way.pid = fork();
	if (way.pid == 0) {
		/* Not the caller's end, nor anything else that its end should close. */
		dup2(ends[0], 3);
		close_range(4, ~0U, 0);
		job_drop_streams();
		watch(cluster, name, 3);
	}
	close(ends[0]);
	way.fd = ends[1];
	if (way.pid < 0)
		way.pid = 0;
	return way;
}

void control_over(struct control_way *way)
{
	if (way->fd >= 0)
		close(way->fd);
	while (way->pid > 0 && waitpid(way->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*way = (struct control_way){ .fd = -1 };
}

/* One that was on this machine, and is no more, could not sign off. */
static bool is_dead(const json_t *root)
{
	pid_t pid = (pid_t)json_integer_value(json_object_get(root, "pid"));

	return json_integer_value(json_object_get(root, "host")) == gethostid() && pid > 0 &&
	       kill(pid, 0) < 0 && errno == ESRCH;
}

bool control_under_way(const char *cluster, const char *name, int64_t *since)
{
	json_t *root = load(cluster, name, "began");
	int64_t alive = json_integer_value(json_object_get(root, "alive"));
	bool under_way = alive && time(NULL) - alive < SILENCE_S && !is_dead(root);

	*since = json_integer_value(json_object_get(root, "since"));
	json_decref(root);
	return under_way;
}

void control_sweep(const char *cluster, const char *name)
{
	store_quietly(cluster, name, "began", NULL);
}
