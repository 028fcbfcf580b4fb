// SPDX-License-Identifier: GPL-2.0
#include "slot.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "mark.h"

int slot_mark(const char *name)
{
	char mark[250];

	if ((size_t)snprintf(mark, sizeof(mark), SLOT_MARK "%s", name) >= sizeof(mark)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return mark_make(mark);
}

void slot_ready(int mark)
{
	while (write(mark, "1", 1) < 0 && errno == EINTR)
		;
}

bool slot_is(int dir, const char *exe)
{
	return mark_is(dir, exe, SLOT_MARK);
}

bool slot_is_ready(int dir)
{
	return mark_size(dir, SLOT_MARK) > 0;
}
