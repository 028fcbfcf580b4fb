// SPDX-License-Identifier: GPL-2.0
/* The smallest job: tiny FILE. One process that ticks. */
#include "ticker.h"

int main(int argc, char **argv)
{
	(void)argc;
	ticker_open(argv[1]);
	ticker->ready = 1;
	ticker_run(NULL);
}
