// SPDX-License-Identifier: GPL-2.0
/* A job with output: a number a line, round after round, to standard output. */
#include "workload.h"

int main(int argc, char **argv)
{
	unsigned int n = 0;

	wl_start(argc, argv);
	wl_ready();
	do {
		wl_check(dprintf(STDOUT_FILENO, "%u\n", n) > 0, "write: %s", strerror(errno));
		n++;
		wl_pause_ms(5);
	} while (!wl_stopping());
	wl_passed();
	return 0;
}
