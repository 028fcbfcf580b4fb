// SPDX-License-Identifier: GPL-2.0
/* Requests of a job for a checkpoint of its own, from the side of who is asked. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "job/ask.h"
#include "out.h"
#include "tap.h"

static char dir[] = "/tmp/ckpt-test-XXXXXX", path[64];
static struct ask ask;

static int client(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	return connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0 ? -1 : fd;
}

/* Until nothing comes any more, or there is a request. */
static bool take(struct ask_request *req)
{
	struct pollfd pfd = { .events = POLLIN };

	for (pfd.fd = ask_fd(&ask); poll(&pfd, 1, 200) > 0; pfd.fd = ask_fd(&ask))
		if (ask_take(&ask, req))
			return true;
	return false;
}

/* Is the connection at its end? */
static bool at_end(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char c;

	return poll(&pfd, 1, 200) > 0 && recv(fd, &c, 1, 0) == 0;
}

static bool says(const char *text, struct ask_request *req, int *fd)
{
	*fd = client();
	return send(*fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text) && take(req);
}

static void test_good(void)
{
	struct ask_request req;
	char text[100] = "";
	int fd;

	ok(says("checkpoint\n", &req, &fd) && !req.max_wait_ms && !*req.image_dir && !*req.step &&
	   req.pid == getpid(), "a checkpoint, and who asks for it");
	ask_refuse(&ask, CK_BUSY, "not \"now\"");
	ok(recv(fd, text, sizeof(text) - 1, 0) > 0 && strstr(text, "\"code\":10") &&
	   strstr(text, "not \\\"now\\\"") && text[strlen(text) - 1] == '\n' && at_end(fd), "the answer");
	close(fd);
	ok(says("checkpoint  maxwait=7 IMAGEDIR=/a  b MaxWait=8 \n", &req, &fd) && req.max_wait_ms == 7000 &&
	   strcmp(req.image_dir, "/a  b MaxWait=8 ") == 0, "a directory is all up to the end of the line");
	ask_drop(&ask);
	close(fd);
	ok(says("step 12.3\nmore", &req, &fd) && strcmp(req.step, "12.3") == 0, "a step");
	ask_drop(&ask);
	ok(recv(fd, text, 1, 0) <= 0, "which is answered by the end");
	close(fd);
}

static void test_pieces(void)
{
	struct ask_request req;
	int fd = client(), other;

	send(fd, "check", 5, 0);
	ok(!take(&req) && !says("checkpoint\n", &req, &other), "others wait for one that is slow");
	send(fd, "point\n", 6, 0);
	ok(take(&req), "until that has said all");
	ask_drop(&ask);
	ok(take(&req), "and are served then");
	ask_drop(&ask);
	close(fd);
	close(other);
	fd = client();
	send(fd, "checkpoint", 10, 0);
	close(fd);
	ok(!take(&req), "what has no end is no request");
}

static void test_bad(void)
{
	static const char *const lines[] = {
		"\n", " \n", "checkpoints\n", "checkpoint now\n", "checkpoint ImageDir=relative\n",
		"checkpoint ImageDir=\n", "checkpoint MaxWait=0\n", "checkpoint Kill=1\n", "step\n",
		"step 123456789012345678901234567890123456789012345678901234567890123456789\n",
		"checkpoint MaxWait=-1 ImageDir=/\n", "\xff\n",
	};
	static char longer[20000];
	struct ask_request req;
	size_t i, bad = 0;
	int fd;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		bad += says(lines[i], &req, &fd) || !at_end(fd);
		close(fd);
	}
	ok(bad == 0, "what is no request ends the connection");
	memset(longer, 'x', sizeof(longer) - 1);
	fd = client();
	send(fd, longer, sizeof(longer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	ok(!take(&req) && recv(fd, longer, 1, 0) <= 0, "so does one without an end");
	close(fd);
	ok(says("checkpoint\n", &req, &fd), "others are served all the same");
	ask_drop(&ask);
	close(fd);
}

/* Nobody's answer is none. */
static void test_client(void)
{
	char sentence[200];
	json_t *answer;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return;
	fail_capture(sentence, sizeof(sentence));
	ok(ask_for(ends[0], 0, "/a\nb", &answer) == CK_USAGE && !answer, "a directory with a line break");
	close(ends[1]);
	ok(ask_for(ends[0], 0, "", &answer) != CK_OK && !answer, "who is asked has ended");
	close(ends[0]);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return;
	ok(write(ends[1], "{\"code\":3}\n", 11) == 11 && ask_for(ends[0], 5000, "/d", &answer) == CK_OK &&
	   json_integer_value(json_object_get(answer, "code")) == 3, "an answer");
	json_decref(answer);
	ok(read(ends[1], sentence, sizeof(sentence)) == 33 &&
	   memcmp(sentence, "checkpoint MaxWait=5 ImageDir=/d\n", 33) == 0, "what was asked");
	fail_capture(NULL, 0);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/socket", dir);
	ok(ask_open_path(&ask, path) == 0 && ask_fd(&ask) >= 0, "somebody listens");
	ok(ask_open_path(&(struct ask){ .listener = -1 }, path) < 0, "one at a time");
	test_good();
	test_pieces();
	test_bad();
	test_client();
	ask_close(&ask);
	ok(ask_fd(&ask) < 0 && client() < 0, "nobody listens");
	unlink(path);
	rmdir(dir);
	return done();
}
