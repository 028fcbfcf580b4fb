// SPDX-License-Identifier: GPL-2.0
/* many FILE processes|threads|mappings|files|pipes NR: so many of one kind, and a thread that ticks. */
#include <string.h>
#include <sys/resource.h>
#include "ticker.h"

static int nr;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *sleep_on(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void processes(void)
{
	for (int i = 0; i < nr; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0)
			sleep_on(NULL);
	}
}

static void threads(void)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 1 << 16);
	for (int i = 0; i < nr; i++)
		if (pthread_create(&thread, &small, sleep_on, NULL))
			die("pthread_create");
}

/* Each with a page of its own; every other page has other rights. */
static void mappings(void)
{
	size_t size = (size_t)nr * 4096;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	memset(p, 1, size);
	for (int i = 0; i < nr; i += 2)
		if (mprotect(p + (size_t)i * 4096, 4096, PROT_READ))
			die("mprotect");
}

static void files(void)
{
	for (int i = 0; i < nr; i++)
		if (open("/proc/self/exe", O_RDONLY) < 0)
			die("open");
}

static void pipes(void)
{
	int fds[2];

	for (int i = 0; i < nr; i++)
		if (pipe(fds) || write(fds[1], "x", 1) != 1)
			die("pipe");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*make)(void);
	} kinds[] = {
		{ "processes", processes }, { "threads", threads }, { "mappings", mappings },
		{ "files", files }, { "pipes", pipes },
	};
	const struct rlimit many = { 1 << 17, 1 << 17 };

	if (argc != 4)
		return 2;
	nr = atoi(argv[3]);
	if (setrlimit(RLIMIT_NOFILE, &many))
		die("setrlimit");
	ticker_open(argv[1]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[2], kinds[i].name) == 0)
			kinds[i].make();
	ticker->ready = 1;
	ticker_run(NULL);
}
