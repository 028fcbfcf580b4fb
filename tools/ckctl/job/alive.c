// SPDX-License-Identifier: GPL-2.0
#include "alive.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "talk.h"

#define INTERVAL_S	2
#define STACK_SIZE	(64 << 10)	/* all of it may be locked into memory */

struct alive {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool at_work, over;
	int fd;
};

static void *run(void *arg)
{
	struct alive *alive = arg;
	struct timespec at;

	pthread_mutex_lock(&alive->lock);
	while (!alive->over) {
		if (!alive->at_work) {
			pthread_cond_wait(&alive->changed, &alive->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &at);
		at.tv_sec += INTERVAL_S;
		if (pthread_cond_timedwait(&alive->changed, &alive->lock, &at) != 0 && alive->at_work)
			talk_send(alive->fd, json_pack("{s:b}", "alive", 1));
	}
	pthread_mutex_unlock(&alive->lock);
	return NULL;
}

struct alive *alive_start(int fd)
{
	struct alive *alive = calloc(1, sizeof(*alive));
	pthread_condattr_t clock;
	pthread_attr_t attr;
	int err;

	if (!alive)
		return NULL;
	alive->fd = fd;
	pthread_mutex_init(&alive->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&alive->changed, &clock);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = pthread_create(&alive->thread, &attr, run, alive);
	pthread_attr_destroy(&attr);
	pthread_condattr_destroy(&clock);
	if (!err)
		return alive;
	free(alive);
	return NULL;
}

static void change(struct alive *alive, bool at_work, bool over)
{
	pthread_mutex_lock(&alive->lock);
	alive->at_work = at_work;
	alive->over = over;
	pthread_cond_signal(&alive->changed);
	pthread_mutex_unlock(&alive->lock);
}

void alive_work(struct alive *alive, bool at_work)
{
	if (alive)
		change(alive, at_work, false);
}

void alive_end(struct alive *alive)
{
	if (!alive)
		return;
	change(alive, false, true);
	pthread_join(alive->thread, NULL);
	pthread_cond_destroy(&alive->changed);
	pthread_mutex_destroy(&alive->lock);
	free(alive);
}
