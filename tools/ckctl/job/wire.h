/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An agent's end of the wire to its coordinator.  A thread listens while the
 * agent is at work, so that the end of its input is an event (a descriptor that
 * can be read), and not something it comes across later.
 *
 * Both sides give signs of life: the agent {"alive": true} every other second
 * while it is at work, the coordinator {"cmd": "wait"} all the time.  Who hears
 * nothing for long takes the other one for dead, and a wire that is cut without
 * an end for its end: a job must not stand still for that.
 */
#ifndef CKCTL_WIRE_H
#define CKCTL_WIRE_H

#include <jansson.h>
#include <stdbool.h>

#define WIRE_WAIT	"{\"cmd\":\"wait\"}"
/* How often the coordinator says that, and what an agent takes for an end. */
#define WIRE_WAIT_MS	4000
#define WIRE_SILENCE_MS	20000

struct wire;

/* Listen to @in, speak on @out: NULL and errno. */
struct wire *wire_open(int in, int out);
/* What comes in, to be read from here: can be read at the end as well. */
int wire_fd(const struct wire *w);
/* Work begins or ends; when it has ended, no signs of life are given. */
void wire_work(struct wire *w, bool at_work);
/* As talk_send(). */
int wire_send(struct wire *w, json_t *message);
void wire_close(struct wire *w);	/* NULL is fine */

#endif
