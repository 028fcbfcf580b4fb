/* SPDX-License-Identifier: GPL-2.0 */
/* What alter can take out of an image: changes of records of one type. */
#ifndef SELFTESTS_ALTER_KINDS_H
#define SELFTESTS_ALTER_KINDS_H

#include <stdint.h>

enum verdict { KEEP, DROP };

/* Changes a payload, or wants the record dropped.  @len may become smaller. */
typedef enum verdict change_fn(void *payload, uint64_t *len);

struct kind {
	const char *name;
	uint32_t type;
	change_fn *change;
};

/* The last has no name; one that is about several types has a row for each. */
extern const struct kind kinds[], memory_kinds[];

extern unsigned int nr_changed;		/* by all of them */

#define SET(to, value)					\
	do {						\
		if ((to) != (value)) {			\
			(to) = (value);			\
			nr_changed++;			\
		}					\
	} while (0)

#endif
