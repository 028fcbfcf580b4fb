// SPDX-License-Identifier: GPL-2.0
/* A file of its own, because the Slurm plugin has it, too. */
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "out.h"

int target_image_dir(char *path, size_t size, const char *dir)
{
	char *real = realpath(dir, NULL);
	struct stat st;
	int rc = CK_OK;

	if (!real)
		return fail_errno(errno, "cannot use the image directory %s", dir);
	if (stat(real, &st) < 0)
		rc = fail_errno(errno, "cannot use the image directory %s", dir);
	else if (!S_ISDIR(st.st_mode))
		rc = fail(CK_USAGE, "%s is no directory", dir);
	else if (access(real, W_OK | X_OK) < 0)
		rc = fail_errno(errno, "you may not write in the image directory %s", dir);
	else if ((size_t)snprintf(path, size, "%s", real) >= size)
		rc = fail(CK_FAILED, "the path of the image directory %s is too long", dir);
	free(real);
	return rc;
}
