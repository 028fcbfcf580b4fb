// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes of memory: locked at once, on fault, and for the future; advice
 * (madvise) as /proc/self/smaps shows it, and what of it can be felt; a mapping
 * that grows down like a stack; one that the kernel may drop at any time.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include "workload.h"

#define PAGES 64
#define LEN (PAGES * 4096UL)

enum {
	PLAIN, LOCKED, ONFAULT, DONTFORK, WIPEONFORK, DONTDUMP, HUGE, NOHUGE, SEQUENTIAL, RANDOM, MERGEABLE,
	BOTH, NR,
};

/* As smaps abbreviates them. */
static const char *const flags[NR] = {
	"", "lo", "lo", "dc", "wf", "dd", "hg", "nh", "sr", "rr", "mg", "dc dd",
};

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

static uint8_t *maps[NR], *grows;
static uint8_t *droppable;		/* NULL before Linux 6.11 */
static unsigned long long born;		/* when this process began that has written it */
static char was[NR][256];
static const size_t top = 256;

static uint8_t *map(void *at, size_t len, int more)
{
	void *p = mmap(at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | more, -1, 0);

	wl_check(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

/* A line of smaps of the mapping that begins at @p. */
static void read_smaps(const void *p, const char *key, char *text, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	static char line[4096];
	bool here = false;
	unsigned long start;

	wl_check(f != NULL, "smaps: %s", strerror(errno));
	*text = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-", &start) == 1 && line[strcspn(line, "- ")] == '-')
			here = start == (unsigned long)p;
		else if (here && strncmp(line, key, strlen(key)) == 0)
			snprintf(text, size, "%.*s", (int)strcspn(line + strlen(key), "\n"),
				 line + strlen(key));
	}
	fclose(f);
	wl_check(*text, "there is no mapping that begins at %p any more", p);
}

static void advise(int which, int advice)
{
	/* Not every kernel has all of them. */
	if (madvise(maps[which], LEN, advice) < 0)
		wl_check(errno == EINVAL, "madvise(%d): %s", advice, strerror(errno));
}

static unsigned long long start_time(void)
{
	unsigned long long value = 0;
	char text[1024];
	FILE *f = fopen("/proc/self/stat", "r");

	wl_check(f && fgets(text, sizeof(text), f) &&
		 sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
			"%*d %*d %*d %llu", &value) == 1, "when did this process begin?");
	fclose(f);
	return value;
}

static void set_up_droppable(void)
{
	void *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	droppable = p;
	born = start_time();
	wl_fill(droppable, LEN, 40);
}

static void set_up(void)
{
	set_up_droppable();
	/* Apart from each other, so that none can merge: their bounds are compared. */
	for (int i = 0; i < NR; i++) {
		uint8_t *p = map(NULL, LEN + 8192, 0);

		wl_must(mprotect(p, 4096, PROT_NONE));
		wl_must(mprotect(p + 4096 + LEN, 4096, PROT_NONE));
		maps[i] = p + 4096;
	}
	wl_must(mlock(maps[LOCKED], LEN));
	wl_must(mlock2(maps[ONFAULT], LEN, MLOCK_ONFAULT));
	advise(DONTFORK, MADV_DONTFORK);
	advise(WIPEONFORK, MADV_WIPEONFORK);
	advise(DONTDUMP, MADV_DONTDUMP);
	advise(HUGE, MADV_HUGEPAGE);
	advise(NOHUGE, MADV_NOHUGEPAGE);
	advise(SEQUENTIAL, MADV_SEQUENTIAL);
	advise(RANDOM, MADV_RANDOM);
	advise(MERGEABLE, MADV_MERGEABLE);
	advise(BOTH, MADV_DONTFORK);
	advise(BOTH, MADV_DONTDUMP);
	for (int i = 0; i < NR; i++)
		wl_fill(maps[i], LEN / 2, 10 + (uint64_t)i);
	/* Room below for it to grow into. */
	grows = map(NULL, 2 * top * 4096, 0);
	wl_must(munmap(grows, 2 * top * 4096));
	grows = map(grows + (2 * top - 4) * 4096, 4 * 4096, MAP_GROWSDOWN | MAP_FIXED_NOREPLACE);
	wl_fill(grows, 4 * 4096, 30);
	wl_must(mlockall(MCL_FUTURE | MCL_ONFAULT));
	for (int i = 0; i < NR; i++) {
		read_smaps(maps[i], "VmFlags:", was[i], sizeof(was[i]));
		if (i == LOCKED || i == ONFAULT)
			wl_check(strstr(was[i], flags[i]), "mapping %d has the flags%s", i, was[i]);
	}
}

/* What fork does to two of them. */
static void verify_fork(void)
{
	pid_t pid = wl_must(fork());
	unsigned char there[PAGES];
	int status;

	if (!pid) {
		wl_check(maps[WIPEONFORK][100] == 0 && maps[WIPEONFORK][LEN / 2 - 1] == 0,
			 "memory is not wiped at fork");
		wl_check(mincore(maps[DONTFORK], LEN, there) == -1 && errno == ENOMEM,
			 "memory with MADV_DONTFORK is in a child");
		wl_verify(maps[PLAIN], LEN / 2, 10 + PLAIN, "ordinary memory in a child");
		_exit(0);
	}
	wl_check(wl_must(waitpid(pid, &status, 0)) == pid && status == 0, "the child failed");
}

static long locked_kb(const void *p)
{
	char text[64];

	read_smaps(p, "Locked:", text, sizeof(text));
	return atol(text);
}

/* The vDSO has the state of its random numbers there: of two restarts none may go on with the other's. */
static void verify_droppable(void)
{
	unsigned long long now;

	if (!droppable)
		return;
	now = start_time();
	if (now == born) {
		wl_verify(droppable, LEN, 40, "memory that nobody had to drop");
		return;
	}
	for (size_t i = 0; i < LEN; i++)
		wl_check(droppable[i] == 0, "memory that may be dropped was saved");
	wl_fill(droppable, LEN, 40);
	born = now;
}

static void verify(void)
{
	char now[256];
	uint8_t *p;

	for (int i = 0; i < NR; i++)
		wl_verify(maps[i], LEN / 2, 10 + (uint64_t)i, "memory with advice");
	wl_verify(grows, 4 * 4096, 30, "memory that grows down");
	verify_fork();
	if (!wl_unwatched())
		return;
	verify_droppable();
	for (int i = 0; i < NR; i++) {
		read_smaps(maps[i], "VmFlags:", now, sizeof(now));
		wl_check(strcmp(now, was[i]) == 0, "the flags of mapping %d were%s and are%s", i, was[i], now);
	}
	wl_check(locked_kb(maps[LOCKED]) == LEN / 1024, "of locked memory %ld KiB are locked",
		 locked_kb(maps[LOCKED]));
	wl_check(locked_kb(maps[ONFAULT]) == LEN / 2048, "of memory locked on fault %ld KiB are locked",
		 locked_kb(maps[ONFAULT]));
	/* What is mapped now is to be locked, when it is touched. */
	p = map(NULL, LEN, 0);
	p[0] = 1;
	read_smaps(p, "VmFlags:", now, sizeof(now));
	wl_check(strstr(now, " lo"), "new memory is not locked: its flags are%s", now);
	wl_must(munmap(p, LEN));
}

int main(int argc, char **argv)
{
	wl_start(argc, argv);
	set_up();
	wl_ready();
	do {
		verify();
		wl_pause_ms(2);
	} while (!wl_stopping());
	/* One page after the other, down. */
	for (size_t i = 1; i < top; i++)
		grows[-(long)i * 4096] = (uint8_t)i;
	for (size_t i = 1; i < top; i++)
		wl_check(grows[-(long)i * 4096] == (uint8_t)i, "memory that grew is wrong");
	wl_passed();
	return 0;
}
