/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Output on its way.  What a task writes to its standard output goes through a
 * pipe to slurmstepd, over TCP to srun, and out of srun into the batch job's
 * file.  When a batch step is saved with what its tasks had written not yet in
 * the file, a restart would cut the file back to before it, and the tasks would
 * not write it again.  So the tasks are frozen first, then this waits for all
 * of it to arrive, and only then is the batch step frozen.
 *
 * Nothing tells when it has: it is looked whether pipes and sockets are empty
 * and all threads in between asleep, twice, without that any of them ran
 * between the looks.  Slurmstepd holds back the beginning of a line until its
 * end comes (srun without --unbuffered); that cannot be seen from here.
 */
#ifndef CKCTL_DRAIN_H
#define CKCTL_DRAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "steps.h"

/* The TCP connections of the batch step's srun processes, for drain_tasks() on
 * the nodes where these end; NULL when out of memory. */
json_t *drain_connections(const struct step *batch);

/* From the tasks of @steps, which are frozen, to srun: is nothing in between,
 * after @wait_ms at most?  Gives up as soon as @stop_fd can be read. */
bool drain_tasks(const struct step *steps, size_t nr, const json_t *connections, int wait_ms,
		 int stop_fd);
/* From there to the file. */
bool drain_srun(const struct step *batch, int wait_ms, int stop_fd);

/* "0100007F:1F90" or the 32 digits of IPv6, as /proc/net/tcp has them, to what is
 * the same on both ends: an IPv4 address within IPv6 is the IPv4 address. */
bool drain_address(const char *text, char *to, size_t size);

#endif
