// SPDX-License-Identifier: GPL-2.0
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deadline.h"
#include "talk.h"

#define ALIVE_MS	2000
#define STACK_SIZE	(64 << 10)	/* all of it may be locked into memory */

struct wire {
	pthread_t thread;
	pthread_mutex_t lock;		/* of @out and @at_work */
	bool at_work;
	int in, out;
	int inner[2];			/* what came in, for wire_fd() */
	int over[2];			/* can be read when the thread is to end */
};

/* Hand on what is for the agent; false when nobody takes it. */
static bool hand_on(struct wire *w, struct talk_lines *lines)
{
	char *line;
	size_t len;

	while ((line = talk_next(lines))) {
		len = strlen(line);
		if (strcmp(line, WIRE_WAIT) == 0)
			continue;
		line[len] = '\n';
		if (write(w->inner[1], line, len + 1) != (ssize_t)len + 1)
			return false;
	}
	return true;
}

static void give_sign(struct wire *w)
{
	pthread_mutex_lock(&w->lock);
	if (w->at_work)
		talk_send(w->out, json_pack("{s:b}", "alive", 1));
	pthread_mutex_unlock(&w->lock);
}

static void *listen_in(void *arg)
{
	struct wire *w = arg;
	struct pollfd pfd[] = { { .fd = w->in, .events = POLLIN },
				{ .fd = w->over[0], .events = POLLIN } };
	int64_t heard = deadline_now_ms(), sign = heard;
	struct talk_lines lines = { 0 };

	for (;;) {
		int64_t now = deadline_now_ms();

		if (now - heard >= WIRE_SILENCE_MS)
			break;
		if (now - sign >= ALIVE_MS) {
			give_sign(w);
			sign = now;
		}
		if (poll(pfd, 2, ALIVE_MS) < 0 && errno != EINTR)
			break;
		if (pfd[1].revents)
			break;
		if (!pfd[0].revents)
			continue;
		if (talk_read(&lines, w->in) <= 0 || !hand_on(w, &lines))
			break;
		heard = deadline_now_ms();
	}
	close(w->inner[1]);
	talk_lines_free(&lines);
	return NULL;
}

struct wire *wire_open(int in, int out)
{
	struct wire *w = calloc(1, sizeof(*w));
	pthread_attr_t attr;
	int err;

	if (!w)
		return NULL;
	w->in = in;
	w->out = out;
	pthread_mutex_init(&w->lock, NULL);
	if (pipe2(w->inner, O_CLOEXEC) < 0 || pipe2(w->over, O_CLOEXEC) < 0)
		return NULL;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = pthread_create(&w->thread, &attr, listen_in, w);
	pthread_attr_destroy(&attr);
	errno = err;
	return err ? NULL : w;
}

int wire_fd(const struct wire *w)
{
	return w->inner[0];
}

void wire_work(struct wire *w, bool at_work)
{
	pthread_mutex_lock(&w->lock);
	w->at_work = at_work;
	pthread_mutex_unlock(&w->lock);
}

int wire_send(struct wire *w, json_t *message)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = talk_send(w->out, message);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

void wire_close(struct wire *w)
{
	if (!w)
		return;
	close(w->over[1]);
	/* It may be about to hand on what nobody will take. */
	close(w->inner[0]);
	pthread_join(w->thread, NULL);
	close(w->over[0]);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
