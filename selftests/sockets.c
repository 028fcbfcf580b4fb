// SPDX-License-Identifier: GPL-2.0
/*
 * A socket for a moment, again and again, as a program has one that asks for a name;
 * once the file "keep" is there, one that stays.
 */
#include <sys/socket.h>
#include "workload.h"

#define OPEN_US		10000
#define CLOSED_US	30000

int main(int argc, char **argv)
{
	int fd = -1;

	wl_start(argc, argv);
	wl_ready();
	while (!wl_stopping()) {
		if (fd < 0)
			fd = wl_must(socket(AF_UNIX, SOCK_STREAM, 0));
		usleep(OPEN_US);
		if (access(wl_path("keep"), F_OK) == 0)
			continue;
		close(fd);
		fd = -1;
		usleep(CLOSED_US);
	}
	wl_passed();
	return 0;
}
