// SPDX-License-Identifier: GPL-2.0
/*
 * What stands against a checkpoint for a moment, again and again: a socket, as a program
 * has one that asks for a name; memory that its user may not read, as of one that has yet
 * to give up its capabilities. Once there is a file of that name, it is there to stay.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include "workload.h"

#define MOMENT_MS	10
#define BETWEEN_MS	30

int main(int argc, char **argv)
{
	bool socket_stays = false, private_stays = false;
	int fd = -1;

	wl_start(argc, argv);
	wl_ready();
	while (!wl_stopping()) {
		if (fd < 0)
			fd = wl_must(socket(AF_UNIX, SOCK_STREAM, 0));
		wl_pause_ms(MOMENT_MS);
		socket_stays |= access(wl_path("socket"), F_OK) == 0;
		if (!socket_stays) {
			close(fd);
			fd = -1;
		}
		wl_pause_ms(BETWEEN_MS);
		wl_must(prctl(PR_SET_DUMPABLE, 0));
		wl_pause_ms(MOMENT_MS);
		private_stays |= access(wl_path("private"), F_OK) == 0;
		if (!private_stays)
			wl_must(prctl(PR_SET_DUMPABLE, 1));
		wl_pause_ms(BETWEEN_MS);
	}
	wl_passed();
	return 0;
}
