// SPDX-License-Identifier: GPL-2.0
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cgroup.h"
#include "checkpoint/phases.h"
#include "json.h"
#include "out.h"
#include "target.h"
#include "try.h"

#define MAX_REQUEST	(PATH_MAX + 200)
#define MAX_ANSWER	(1 << 20)

/* ---- addresses ---- */

/* Of the cgroup @path; its length, 0 where there is no such cgroup. */
static socklen_t cgroup_address(struct sockaddr_un *sun, const char *path)
{
	struct stat st;
	int fd, n;

	if (cgroup_open(path, &fd))
		return 0;
	n = fstat(fd, &st);
	close(fd);
	if (n < 0)
		return 0;
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	/* The NUL in front makes it abstract: it ends with who listens. */
	n = snprintf(sun->sun_path + 1, sizeof(sun->sun_path) - 1, "ckpt-ask:%ju", (uintmax_t)st.st_ino);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static socklen_t path_address(struct sockaddr_un *sun, const char *path)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sun->sun_path)) {
		errno = ENAMETOOLONG;
		return 0;
	}
	strcpy(sun->sun_path, path);
	return sizeof(*sun);
}

/* The same without a word: 0 where there is none. */
static socklen_t try_address(struct sockaddr_un *sun, const char *cgroup)
{
	struct capture outer;
	socklen_t len;

	outer = fail_mute();
	len = cgroup_address(sun, cgroup);
	fail_restore(outer);
	return len;
}

/* An abstract address is anybody's, a path may be. */
static bool is_ours(int fd, pid_t *pid)
{
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	if (pid)
		*pid = peer.pid;
	return peer.uid == geteuid();
}

/* ---- who is asked ---- */

static int listen_at(struct ask *ask, const struct sockaddr_un *sun, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	*ask = (struct ask){ .listener = fd, .conn = -1 };
	if (fd < 0)
		return -1;
	if (len && bind(fd, (const struct sockaddr *)sun, len) == 0 && listen(fd, 64) == 0)
		return 0;
	err = errno;
	close(fd);
	ask->listener = -1;
	errno = err;
	return -1;
}

void ask_open(struct ask *ask, const char *cgroup)
{
	struct sockaddr_un sun;

	listen_at(ask, &sun, try_address(&sun, cgroup));
}

int ask_open_path(struct ask *ask, const char *path)
{
	struct sockaddr_un sun;

	return listen_at(ask, &sun, path_address(&sun, path));
}

int ask_fd(const struct ask *ask)
{
	return ask->conn >= 0 ? ask->conn : ask->listener;
}

void ask_drop(struct ask *ask)
{
	if (ask->conn >= 0)
		close(ask->conn);
	ask->conn = -1;
	talk_lines_free(&ask->lines);
	ask->lines = (struct talk_lines){ .len = 0 };
}

void ask_close(struct ask *ask)
{
	ask_drop(ask);
	if (ask->listener >= 0)
		close(ask->listener);
	ask->listener = -1;
}

/* A keyword, or the last one with its blanks; NULL when there is none. */
static char *next_word(char **at)
{
	char *word = *at + strspn(*at, " ");

	if (!*word)
		return NULL;
	if (strncasecmp(word, "ImageDir=", 9) == 0) {
		*at = word + strlen(word);
		return word;
	}
	*at = word + strcspn(word, " ");
	if (**at)
		*(*at)++ = '\0';
	return word;
}

static bool parse(char *line, struct ask_request *req)
{
	struct capture outer;
	struct target t = { .cgroup = "" };
	char *word = next_word(&line);
	bool good = true;

	memset(req, 0, sizeof(*req));
	if (!word)
		return false;
	if (strcmp(word, "step") == 0) {
		word = next_word(&line);
		return word && (size_t)snprintf(req->step, sizeof(req->step), "%s", word) < sizeof(req->step);
	}
	if (strcmp(word, "checkpoint") != 0)
		return false;
	outer = fail_mute();
	while (good && (word = next_word(&line)))
		good = target_operand(&t, word) == CK_OK;
	fail_restore(outer);
	req->max_wait_ms = t.max_wait_ms;
	if (t.image_dir)
		good = good && *t.image_dir == '/' &&
		       (size_t)snprintf(req->image_dir, sizeof(req->image_dir), "%s", t.image_dir) <
			       sizeof(req->image_dir);
	return good;
}

bool ask_take(struct ask *ask, struct ask_request *req)
{
	ssize_t n;
	char *line;
	pid_t pid;

	if (ask->conn < 0) {
		ask->conn = accept4(ask->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		/* Nobody else may keep us from listening. */
		if (ask->conn >= 0 && !is_ours(ask->conn, NULL))
			ask_drop(ask);
		return false;
	}
	n = talk_read(&ask->lines, ask->conn);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	line = n > 0 ? talk_next(&ask->lines) : NULL;
	if (line && is_ours(ask->conn, &pid) && parse(line, req)) {
		req->pid = pid;
		return true;
	}
	if (n <= 0 || line || ask->lines.len > MAX_REQUEST)
		ask_drop(ask);
	return false;
}

static void answer(int conn, const struct try *t)
{
	json_t *root = json_pack("{s:i, s:o, s:O*}", "code", t->code, "words", json_text(t->words ? : ""),
				 "result", t->result);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL, *line = NULL;
	int len = text ? asprintf(&line, "%s\n", text) : -1;

	/* Whoever asked may be gone. */
	if (len > 0 && send(conn, line, (size_t)len, MSG_NOSIGNAL) < 0)
		note("cannot answer who asked for a checkpoint: %s", strerror(errno));
	free(len > 0 ? line : NULL);
	free(text);
	json_decref(root);
}

bool ask_serve(struct ask *ask, const char *name, const char *dir, const struct ask_request *req,
	       int stop_fd, json_t **result)
{
	const char *image_dir = *req->image_dir ? req->image_dir : dir;
	struct try t;
	bool stopped;

	try_checkpoint(name, image_dir, req->max_wait_ms, stop_fd, &t);
	answer(ask->conn, &t);
	ask_drop(ask);
	stopped = t.stopped;
	*result = json_incref(t.result);
	try_free(&t);
	return !stopped;
}

void ask_refuse(struct ask *ask, int code, const char *sentence)
{
	struct try t = { .code = code };

	if (asprintf(&t.words, "ckctl: %s\n", sentence) < 0)
		t.words = NULL;
	answer(ask->conn, &t);
	ask_drop(ask);
	try_free(&t);
}

pid_t ask_spawn(struct ask *ask, const char *name, const struct ask_request *req)
{
	pid_t pid;
	json_t *result;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(ask->listener);
		ask->listener = -1;
		ask_serve(ask, name, NULL, req, checkpoint_signal_fd(), &result);
		_exit(result ? CK_OK : CK_FAILED);
	}
	ask_drop(ask);
	return pid > 0 ? pid : 0;
}

/* ---- who asks ---- */

static bool connect_to(int fd, const struct sockaddr_un *sun, socklen_t len)
{
	return len && connect(fd, (const struct sockaddr *)sun, len) == 0;
}

/* Who looks after the cgroup that we are in, or one above it: the nearest. */
static bool connect_above(int fd)
{
	struct capture outer;
	char path[PATH_MAX], *slash;
	struct sockaddr_un sun;
	bool found = false;
	socklen_t len = 1;

	outer = fail_mute();
	if (cgroup_own(path, sizeof(path)))
		len = 0;
	while (len && !found) {
		len = cgroup_address(&sun, path);
		found = connect_to(fd, &sun, len);
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	}
	fail_restore(outer);
	return found;
}

static int check_ours(int fd)
{
	if (is_ours(fd, NULL))
		return CK_OK;
	return fail(CK_PERM, "who looks after this job is another user's, who alone can have it "
		    "checkpointed");
}

int ask_connect(int fd)
{
	const char *path = getenv(ASK_VARIABLE), *job = getenv("SLURM_JOB_ID");
	struct sockaddr_un sun;

	if (connect_above(fd) || (path && connect_to(fd, &sun, path_address(&sun, path))))
		return check_ours(fd);
	if (job)
		return fail(CK_NOTFOUND, "nobody on this node could make a checkpoint of job %s: it takes "
			    "--checkpoint or --checkpoint-dir at its submission, and the first of its nodes",
			    job);
	return fail(CK_NOTFOUND, "nobody could make a checkpoint of this process: it takes \"ckctl run\" to "
		    "start it, or a job of Slurm with --checkpoint or --checkpoint-dir");
}

int ask_connect_for(int fd, const char *name, const char *cgroup)
{
	struct sockaddr_un sun;

	if (connect_to(fd, &sun, try_address(&sun, cgroup)))
		return check_ours(fd);
	return fail(CK_NOTFOUND, "this ckctl is a process of what it is to stop, job %s, and nobody on this "
		    "node can be asked to do that: it takes --checkpoint or --checkpoint-dir at its "
		    "submission, and its first node; run ckctl outside of the job, or see whether \"ckctl "
		    "create self\" finds somebody", name);
}

static int say(int fd, uint64_t max_wait_ms, const char *image_dir)
{
	char line[PATH_MAX + 64], wait[48] = "";
	int len;

	if (max_wait_ms)
		snprintf(wait, sizeof(wait), " MaxWait=%ju", (uintmax_t)(max_wait_ms / 1000));
	len = snprintf(line, sizeof(line), "checkpoint%s%s%s\n", wait, *image_dir ? " ImageDir=" : "",
		       image_dir);
	if ((size_t)len >= sizeof(line) || strchr(image_dir, '\n'))
		return fail(CK_USAGE, "the path of the image directory is too long, or has a line break");
	return send(fd, line, (size_t)len, MSG_NOSIGNAL) == len ? CK_OK :
		fail_errno(errno, "cannot ask for a checkpoint");
}

int ask_for(int fd, uint64_t max_wait_ms, const char *image_dir, json_t **answer)
{
	struct talk_lines lines = { .len = 0 };
	char *line = NULL;
	ssize_t n;
	int rc = say(fd, max_wait_ms, image_dir);

	*answer = NULL;
	while (!rc && !line) {
		n = talk_read(&lines, fd);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || lines.len > MAX_ANSWER)
			break;
		line = talk_next(&lines);
	}
	if (line)
		*answer = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	talk_lines_free(&lines);
	if (rc || *answer)
		return rc;
	return fail(CK_FAILED, "who was asked for a checkpoint has ended without an answer");
}
