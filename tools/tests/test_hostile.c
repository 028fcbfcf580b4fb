// SPDX-License-Identifier: GPL-2.0
/*
 * Images whose checksums are right and whose contents are not: somebody made
 * them so.  What cannot be is refused; nothing makes the reader fall.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/core.h"
#include "image/manifest.h"
#include "out.h"
#include "synthetic.h"
#include "tap.h"

#define FUZZ 1500

static unsigned char *records, *runs;	/* as they were written */
static size_t records_len, runs_len;

static unsigned char *slurp(const char *name, size_t *len)
{
	char path[600];
	unsigned char *data;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/gen-1/%s", scratch_image("h"), name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	*len = (size_t)st.st_size;
	data = malloc(*len);
	if (data && read(fd, data, *len) != (ssize_t)*len)
		*len = 0;
	close(fd);
	return data;
}

/* Replace a file and make the manifest agree with it. */
static bool seal(const char *name, const void *data, size_t len)
{
	char path[600];
	struct manifest *m = NULL;
	int dir = open(scratch_image("h"), O_RDONLY | O_DIRECTORY), fd;
	bool good;

	snprintf(path, sizeof(path), "%s/gen-1/%s", scratch_image("h"), name);
	fd = open(path, O_WRONLY | O_TRUNC);
	good = dir >= 0 && fd >= 0 && write(fd, data, len) == (ssize_t)len &&
	       manifest_read(&m, dir, scratch_image("h")) == CK_OK && m;
	if (good) {
		struct manifest_file *file = strcmp(name, "index") == 0 ?
					     &m->generations[0].index : &m->generations[0].records;

		file->bytes = len;
		file->xxh64 = XXH64(data, len, 0);
		good = manifest_write(m, dir, scratch_image("h")) == CK_OK;
	}
	manifest_free(m);
	close(fd);
	close(dir);
	return good;
}

/* The @nr-th record (from 0) of a type in @data; NULL if there is none. */
static struct ckpt_record *record(unsigned char *data, size_t len, uint32_t type, unsigned int nr)
{
	size_t pos = 0;

	while (pos < len) {
		struct ckpt_record *r = (struct ckpt_record *)(data + pos);

		if (r->type == type && nr-- == 0)
			return r;
		pos += sizeof(*r) + CKPT_RECORD_ALIGN(r->len);
	}
	return NULL;
}

static int prove(char *sentence, unsigned int size)
{
	return prove_quietly(scratch_image("h"), sentence, size);
}

#define IN(type, member) offsetof(struct ckpt_rec_##type, member), \
	sizeof(((struct ckpt_rec_##type *)NULL)->member)

/* One field of one record set to a value that cannot be. */
static const struct {
	const char *what;
	uint32_t type;
	unsigned int nr;
	size_t offset, size;
	uint64_t value;
	int code;
} lies[] = {
	{ "pid 0", CKPT_REC_PROCESS, 0, IN(process, pid), 0, CK_DAMAGED },
	{ "a negative pid", CKPT_REC_PROCESS, 1, IN(process, pid), 0xffffffff, CK_DAMAGED },
	{ "two processes of one pid", CKPT_REC_PROCESS, 1, IN(process, pid), SYNTHETIC_PID, CK_DAMAGED },
	{ "a process that is its own parent", CKPT_REC_PROCESS, 0, IN(process, ppid), SYNTHETIC_PID,
	  CK_DAMAGED },
	{ "parents in a circle", CKPT_REC_PROCESS, 0, IN(process, ppid), SYNTHETIC_PID + 1, CK_DAMAGED },
	{ "too many threads", CKPT_REC_PROCESS, 0, IN(process, nr_threads), 3, CK_DAMAGED },
	{ "an exit signal 99", CKPT_REC_PROCESS, 0, IN(process, exit_signal), 99, CK_DAMAGED },
	{ "a name without end", CKPT_REC_PROCESS, 0, offsetof(struct ckpt_rec_process, comm) + 8, 8,
	  0x4141414141414141, CK_OK },	/* "program" ends in the first half */
	{ "two threads of one id", CKPT_REC_THREAD, 1, IN(thread, tid), SYNTHETIC_PID, CK_DAMAGED },
	{ "a thread of another process's id", CKPT_REC_THREAD, 1, IN(thread, tid), SYNTHETIC_PID + 1,
	  CK_DAMAGED },
	{ "a leader that is not the first", CKPT_REC_THREAD, 0, IN(thread, tid), 4711, CK_DAMAGED },
	{ "a restart kind 9", CKPT_REC_THREAD, 0, IN(thread, restart_kind), 9, CK_DAMAGED },
	{ "more mappings than there are", CKPT_REC_MM, 0, IN(mm, nr_vmas), 7, CK_DAMAGED },
	{ "an auxv beyond the record", CKPT_REC_MM, 0, IN(mm, auxv_len), 0xfffffff0, CK_DAMAGED },
	{ "a path beyond the record", CKPT_REC_MM, 0, IN(mm, exe_len), 0xffffffff, CK_DAMAGED },
	{ "a kernel address", CKPT_REC_MM, 0, IN(mm, start_code), 0xffffffff81000000, CK_DAMAGED },
	{ "a vdso that ends before it starts", CKPT_REC_MM, 0, IN(mm, vdso_end), 0x1000, CK_DAMAGED },
	{ "an odd vdso", CKPT_REC_MM, 0, IN(mm, vdso_start), 0x7ffff7fc0010, CK_DAMAGED },
	{ "a mapping that is not aligned", CKPT_REC_VMA, 1, IN(vma, start), 0x10000001, CK_DAMAGED },
	{ "an empty mapping", CKPT_REC_VMA, 1, IN(vma, start), 0x10003000, CK_DAMAGED },
	{ "overlapping mappings", CKPT_REC_VMA, 1, IN(vma, end), 0x10004000, CK_DAMAGED },
	{ "a mapping in the kernel", CKPT_REC_VMA, 5, IN(vma, end), 0xffffffffff600000, CK_DAMAGED },
	{ "a mapping of all addresses", CKPT_REC_VMA, 5, IN(vma, end), ~0ULL << 12, CK_DAMAGED },
	{ "an odd offset", CKPT_REC_VMA, 0, IN(vma, offset), 1, CK_DAMAGED },
	{ "an offset that wraps", CKPT_REC_VMA, 0, IN(vma, offset), ~0ULL << 12, CK_DAMAGED },
	{ "a mapping kind 0", CKPT_REC_VMA, 0, IN(vma, kind), 0, CK_DAMAGED },
	{ "a mapping kind 9", CKPT_REC_VMA, 0, IN(vma, kind), 9, CK_DAMAGED },
	{ "unknown rights", CKPT_REC_VMA, 0, IN(vma, prot), 8, CK_DAMAGED },
	{ "a mapping neither private nor shared", CKPT_REC_VMA, 0, IN(vma, flags), 0, CK_DAMAGED },
	{ "MAP_FIXED", CKPT_REC_VMA, 0, IN(vma, flags), MAP_PRIVATE | MAP_FIXED, CK_DAMAGED },
	{ "anonymous and shared", CKPT_REC_VMA, 1, IN(vma, flags), MAP_SHARED, CK_DAMAGED },
	{ "a shared object that is not there", CKPT_REC_VMA, 3, IN(vma, object), 78, CK_DAMAGED },
	{ "saved pages in a shared mapping", CKPT_REC_VMA, 0, IN(vma, flags), MAP_SHARED, CK_DAMAGED },
	{ "a path beyond its record", CKPT_REC_VMA, 0, IN(vma, path_len), 17, CK_DAMAGED },
	{ "a shared object shorter than its pages", CKPT_REC_SHM, 0, IN(shm, size), 0x2000, CK_DAMAGED },
	{ "a shared object of no size that can be", CKPT_REC_SHM, 0, IN(shm, size), ~0ULL, CK_DAMAGED },
	{ "a temporary file shorter than its pages", CKPT_REC_SHM, 1, IN(shm, size), 0x2000, CK_DAMAGED },
	{ "a temporary file that is a directory", CKPT_REC_SHM, 1, IN(shm, mode), 040755, CK_DAMAGED },
	{ "a temporary file of another inode", CKPT_REC_SHM, 1, IN(shm, ino), 7, CK_DAMAGED },
	{ "a file that was removed and has its name", CKPT_REC_SHM, 1, IN(shm, flags), 3, CK_DAMAGED },
	{ "a temporary file that was removed", CKPT_REC_SHM, 1, IN(shm, flags), 1, CK_DAMAGED },
	{ "a name without times", CKPT_REC_SHM, 0, IN(shm, flags), 2, CK_DAMAGED },
	{ "unknown flags of an object", CKPT_REC_SHM, 0, IN(shm, flags), 4, CK_DAMAGED },
	{ "a temporary file with the name of another", CKPT_REC_SHM, 1, sizeof(struct ckpt_rec_shm) + 1, 1,
	  'T', CK_DAMAGED },
	{ "a temporary file with a name to nowhere", CKPT_REC_SHM, 1, sizeof(struct ckpt_rec_shm), 1, '.',
	  CK_DAMAGED },
	{ "the times of nothing", CKPT_REC_TEMPFILE, 0, IN(tempfile, object), 79, CK_DAMAGED },
	{ "the times of shared memory", CKPT_REC_TEMPFILE, 0, IN(tempfile, object), 77, CK_DAMAGED },
	{ "a time of too many nanoseconds", CKPT_REC_TEMPFILE, 0, IN(tempfile, btime_nsec), 1000000000,
	  CK_DAMAGED },
	{ "unknown flags of a temporary file", CKPT_REC_TEMPFILE, 0, IN(tempfile, flags), 2, CK_DAMAGED },
	{ "an open temporary file that is closed", CKPT_REC_TEMPFILE, 0, IN(tempfile, flags), 1,
	  CK_DAMAGED },
	{ "a mapping of a temporary file as shared memory", CKPT_REC_VMA, 3, IN(vma, object), 78,
	  CK_DAMAGED },
	{ "a file with the contents of shared memory", CKPT_REC_FILE, 1, IN(file, object), 77, CK_DAMAGED },
	{ "a file with contents that are not there", CKPT_REC_FILE, 1, IN(file, object), 79, CK_DAMAGED },
	{ "a temporary file of another time", CKPT_REC_FILE, 1, IN(file, mtime_sec), 1, CK_DAMAGED },
	{ "a removed file with the contents of one that has a name", CKPT_REC_FILE, 1, IN(file, kind),
	  CKPT_FILE_OBJECT, CK_DAMAGED },
	{ "a timer of signal 65", CKPT_REC_POSIX_TIMER, 0, IN(posix_timer, signo), 65, CK_DAMAGED },
	{ "pages of nobody", CKPT_REC_PAGES, 0, IN(pages, owner), 99, CK_DAMAGED },
	{ "pages of a kind 3", CKPT_REC_PAGES, 0, IN(pages, owner_kind), 3, CK_DAMAGED },
	{ "pages of a generation that is not there", CKPT_REC_PAGES, 0, IN(pages, generation), 2,
	  CK_DAMAGED },
	{ "runs between runs", CKPT_REC_PAGES, 0, IN(pages, index_pos), 8, CK_DAMAGED },
	{ "runs beyond the index", CKPT_REC_PAGES, 0, IN(pages, index_pos), 40 * 100, CK_DAMAGED },
	{ "a position that wraps", CKPT_REC_PAGES, 0, IN(pages, index_pos), ~0ULL - 39, CK_DAMAGED },
	{ "too many runs", CKPT_REC_PAGES, 0, IN(pages, nr_runs), 100, CK_DAMAGED },
	{ "runs that wrap", CKPT_REC_PAGES, 0, IN(pages, nr_runs), ~0ULL / 8, CK_DAMAGED },
	{ "another number of pages", CKPT_REC_PAGES, 0, IN(pages, nr_pages), 12, CK_DAMAGED },
	{ "credentials of nobody", CKPT_REC_CRED, 0, IN(cred, pid), 5, CK_DAMAGED },
	{ "credentials twice", CKPT_REC_CRED, 0, IN(cred, pid), SYNTHETIC_PID + 1, CK_DAMAGED },
	{ "groups beyond the record", CKPT_REC_CRED, 0, IN(cred, nr_groups), 0x40000003, CK_DAMAGED },
	{ "an impossible umask", CKPT_REC_FS, 0, IN(fs, umask), 01000, CK_DAMAGED },
	{ "a root directory behind the record", CKPT_REC_FS, 0, IN(fs, root_len), 1, CK_DAMAGED },
	{ "a nice value of 20", CKPT_REC_SCHED, 0, IN(sched, nice), 20, CK_DAMAGED },
	{ "a policy SCHED_DEADLINE", CKPT_REC_SCHED, 0, IN(sched, policy), 6, CK_DAMAGED },
	{ "an ordinary policy with a real-time priority", CKPT_REC_SCHED, 0, IN(sched, rt_priority), 1,
	  CK_DAMAGED },
	{ "CPUs beyond the record", CKPT_REC_SCHED, 0, IN(sched, cpus_len), 16, CK_DAMAGED },
	{ "a zombie of nobody", CKPT_REC_ZOMBIE, 0, IN(zombie, ppid), 5, CK_DAMAGED },
	{ "a zombie with the id of a process", CKPT_REC_ZOMBIE, 0, IN(zombie, pid), SYNTHETIC_PID,
	  CK_DAMAGED },
	{ "a zombie that ended by SIGSTOP", CKPT_REC_ZOMBIE, 0, IN(zombie, status), 19, CK_DAMAGED },
	{ "a zombie that ended in two ways", CKPT_REC_ZOMBIE, 0, IN(zombie, status), 0x109, CK_DAMAGED },
	{ "a process stopped by signal 65", CKPT_REC_PROCESS, 0, IN(process, stop_signal), 65,
	  CK_DAMAGED },
	{ "unknown flags of a process", CKPT_REC_PROCESS, 0, IN(process, flags), 4, CK_DAMAGED },
	{ "unknown flags of an address space", CKPT_REC_MM, 0, IN(mm, flags), 8, CK_DAMAGED },
	{ "descriptor -1", CKPT_REC_FD, 0, IN(fd, fd), 0xffffffff, CK_DAMAGED },
	{ "one descriptor twice", CKPT_REC_FD, 0, IN(fd, fd), 4, CK_DAMAGED },
	{ "unknown descriptor flags", CKPT_REC_FD, 0, IN(fd, flags), 2, CK_DAMAGED },
	{ "a descriptor of no file", CKPT_REC_FD, 0, IN(fd, file), 9, CK_DAMAGED },
	{ "two files of one id", CKPT_REC_FILE, 1, IN(file, id), 1, CK_DAMAGED },
	{ "a file kind 99", CKPT_REC_FILE, 1, IN(file, kind), 99, CK_DAMAGED },
	{ "an eventfd without its record", CKPT_REC_FILE, 1, IN(file, kind), CKPT_FILE_EVENTFD,
	  CK_DAMAGED },
	{ "a negative position", CKPT_REC_FILE, 1, IN(file, pos), ~0ULL, CK_DAMAGED },
	{ "a pipe that is not there", CKPT_REC_FILE, 2, IN(file, object), 56, CK_DAMAGED },
	{ "standard stream 3", CKPT_REC_FILE, 0, IN(file, object), 3, CK_DAMAGED },
	{ "a process to start anew with the pid of another", CKPT_REC_RELAUNCH, 0, IN(relaunch, pid),
	  SYNTHETIC_PID, CK_DAMAGED },
	{ "one with the id of a thread", CKPT_REC_RELAUNCH, 0, IN(relaunch, pid), SYNTHETIC_PID + 101,
	  CK_DAMAGED },
	{ "one that is its own parent", CKPT_REC_RELAUNCH, 0, IN(relaunch, ppid), SYNTHETIC_ANEW,
	  CK_DAMAGED },
	{ "one that is another's parent", CKPT_REC_PROCESS, 1, IN(process, ppid), SYNTHETIC_ANEW,
	  CK_DAMAGED },
	{ "one that has a zombie", CKPT_REC_ZOMBIE, 0, IN(zombie, ppid), SYNTHETIC_ANEW, CK_DAMAGED },
	{ "one that has pages", CKPT_REC_PAGES, 1, IN(pages, owner), SYNTHETIC_ANEW, CK_DAMAGED },
	{ "one with an exit signal 65", CKPT_REC_RELAUNCH, 0, IN(relaunch, exit_signal), 65, CK_DAMAGED },
	{ "one with a nice value of -21", CKPT_REC_RELAUNCH, 0, IN(relaunch, nice), 0xffffffeb,
	  CK_DAMAGED },
	{ "one with an oom_score_adj of 1001", CKPT_REC_RELAUNCH, 0, IN(relaunch, oom_score_adj), 1001,
	  CK_DAMAGED },
	{ "a program beyond the record", CKPT_REC_RELAUNCH, 0, IN(relaunch, exe_len), 0xffffffff,
	  CK_DAMAGED },
	{ "a program that has the mark in it", CKPT_REC_RELAUNCH, 0, IN(relaunch, exe_len), 14,
	  CK_DAMAGED },
	{ "a mark beyond the record", CKPT_REC_RELAUNCH, 0, IN(relaunch, mark_len), 0xfffffff0,
	  CK_DAMAGED },
	{ "arguments beyond the record", CKPT_REC_RELAUNCH, 0, IN(relaunch, args_len), 1 << 20,
	  CK_DAMAGED },
	{ "an environment that wraps", CKPT_REC_RELAUNCH, 0, IN(relaunch, env_len), 0xffffffff,
	  CK_DAMAGED },
	{ "an environment without an end", CKPT_REC_RELAUNCH, 0,
	  sizeof(struct ckpt_rec_relaunch) + 56, 1, 'x', CK_DAMAGED },
	{ "arguments without an end", CKPT_REC_RELAUNCH, 0, sizeof(struct ckpt_rec_relaunch) + 43, 1,
	  'x', CK_DAMAGED },
	{ "a program with a relative path", CKPT_REC_RELAUNCH, 0, sizeof(struct ckpt_rec_relaunch), 1,
	  'x', CK_DAMAGED },
	{ "another mark", CKPT_REC_RELAUNCH, 0, sizeof(struct ckpt_rec_relaunch) + 13, 1, 'x',
	  CK_DAMAGED },
	{ "limits of one that is saved", CKPT_REC_RLIMITS, 2, IN(rlimits, pid), SYNTHETIC_PID,
	  CK_DAMAGED },
	{ "a pipe with more than fits", CKPT_REC_PIPE, 0, IN(pipe, capacity), 4, CK_DAMAGED },
	{ "bytes beyond the record", CKPT_REC_PIPE, 0, IN(pipe, data_len), 0xffffffff, CK_DAMAGED },
};

static void records_that_lie(void)
{
	unsigned char *copy = malloc(records_len);
	char sentence[512];
	size_t i;

	for (i = 0; copy && i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct ckpt_record *r;
		int rc;

		memcpy(copy, records, records_len);
		r = record(copy, records_len, lies[i].type, lies[i].nr);
		if (!ok(r != NULL, "the image has record %u of type %u", lies[i].nr, lies[i].type))
			continue;
		memcpy((char *)(r + 1) + lies[i].offset, &lies[i].value, lies[i].size);
		*sentence = '\0';
		rc = seal("records", copy, records_len) ? prove(sentence, sizeof(sentence)) : -1;
		ok(rc == lies[i].code && (rc == CK_OK || *sentence), "%s: %d %s", lies[i].what, rc,
		   sentence);
	}
	free(copy);
}

/* Records left out, one after the other: each is needed by something. */
static void records_that_are_missing(void)
{
	unsigned char *copy = malloc(records_len);
	size_t pos, next, good = 0, nr = 0;

	for (pos = 0; copy && pos < records_len; pos = next) {
		const struct ckpt_record *r = (const void *)(records + pos);
		int rc;

		next = pos + sizeof(*r) + CKPT_RECORD_ALIGN(r->len);
		memcpy(copy, records, pos);
		memcpy(copy + pos, records + next, records_len - next);
		rc = seal("records", copy, records_len - (next - pos)) ? prove(NULL, 0) : -1;
		/* These are lists, which may be shorter. */
		if (r->type == CKPT_REC_SIGQUEUE || r->type == CKPT_REC_POSIX_TIMER ||
		    r->type == CKPT_REC_FD || r->type == CKPT_REC_PAGES ||
		    r->type == CKPT_REC_ZOMBIE || r->type == CKPT_REC_CPUS) {
			good += rc == CK_OK;
		} else {
			good += rc == CK_DAMAGED;
			if (rc != CK_DAMAGED)
				diag("without a record of type %u at %zu: %d", r->type, pos, rc);
		}
		nr++;
	}
	ok(nr > 50 && good == nr, "each of %zu records is missed", nr);
	free(copy);
}

static void unknown_records(void)
{
	struct {
		struct ckpt_record head;
		uint64_t payload;
	} extra = { { 4242, 0, 8 }, 0 };
	unsigned char *copy = malloc(records_len + sizeof(extra));
	char sentence[512];

	if (!copy)
		return;
	memcpy(copy, records, records_len);
	memcpy(copy + records_len, &extra, sizeof(extra));
	ok(seal("records", copy, records_len + sizeof(extra)) &&
	   prove(sentence, sizeof(sentence)) == CK_REFUSED && strstr(sentence, "4242"),
	   "an unknown record is refused by its number");
	extra.head.flags = CKPT_RECORD_OPTIONAL;
	memcpy(copy + records_len, &extra, sizeof(extra));
	out_quiet = true;
	ok(seal("records", copy, records_len + sizeof(extra)) && prove(NULL, 0) == CK_OK,
	   "an optional one is skipped");
	out_quiet = false;
	extra.head.flags = 2;
	memcpy(copy + records_len, &extra, sizeof(extra));
	ok(seal("records", copy, records_len + sizeof(extra)) && prove(NULL, 0) == CK_DAMAGED,
	   "an unknown flag is refused");
	extra.head.flags = 0;
	extra.head.len = ~0ULL - 3;
	memcpy(copy + records_len, &extra, sizeof(extra));
	ok(seal("records", copy, records_len + sizeof(extra)) && prove(NULL, 0) == CK_DAMAGED,
	   "a length that wraps is refused");
	free(copy);
}

static void runs_that_lie(void)
{
	static const struct {
		const char *what;
		unsigned int nr;
		size_t offset, size;
		uint64_t value;
	} bad[] = {
		{ "an odd address", 0, offsetof(struct ckpt_run, addr), 8, 0x402001 },
		{ "an address before the last", 1, offsetof(struct ckpt_run, addr), 8, 0x400000 },
		{ "an address in no mapping", 1, offsetof(struct ckpt_run, addr), 8, 0x18000000 },
		{ "an address at the end of all", 3, offsetof(struct ckpt_run, addr), 8, ~0ULL << 12 },
		{ "an odd position", 1, offsetof(struct ckpt_run, pos), 8, 8 },
		{ "a position beyond the file", 1, offsetof(struct ckpt_run, pos), 8, 1 << 30 },
		{ "a position that wraps", 1, offsetof(struct ckpt_run, pos), 8, ~0ULL << 12 },
		{ "no pages", 1, offsetof(struct ckpt_run, nr_pages), 4, 0 },
		{ "too many pages", 1, offsetof(struct ckpt_run, nr_pages), 4, 257 },
		{ "all pages", 2, offsetof(struct ckpt_run, nr_pages), 4, 0xffffffff },
		{ "unknown flags", 1, offsetof(struct ckpt_run, flags), 4, 2 },
		{ "zeros with a position", 2, offsetof(struct ckpt_run, pos), 8, 4096 },
		{ "zeros with a checksum", 2, offsetof(struct ckpt_run, xxh64), 8, 1 },
		{ "another checksum", 1, offsetof(struct ckpt_run, xxh64), 8, 1 },
	};
	unsigned char *copy = malloc(runs_len);
	char sentence[512];
	size_t i;

	for (i = 0; copy && i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc;

		memcpy(copy, runs, runs_len);
		memcpy(copy + bad[i].nr * sizeof(struct ckpt_run) + bad[i].offset, &bad[i].value,
		       bad[i].size);
		rc = seal("index", copy, runs_len) ? prove(sentence, sizeof(sentence)) : -1;
		ok(rc == CK_DAMAGED, "a run with %s: %d %s", bad[i].what, rc, sentence);
	}
	free(copy);
	ok(seal("index", runs, runs_len) && prove(NULL, 0) == CK_OK, "the good index again");
}

/* What a command does with an image that it could open. */
static void use(void)
{
	struct core_notes notes;
	struct image *img;
	char sentence[512];
	size_t i;

	if (open_quietly(&img, scratch_image("h"), NULL, 0))
		return;
	fail_capture(sentence, sizeof(sentence));
	image_verify_pages(img, 2);
	for (i = 0; i < img->nr_processes; i++)
		if (!img->processes[i].relaunch &&
		    core_notes(&notes, img, &img->processes[i]) == CK_OK)
			free(notes.data);
	fail_capture(NULL, 0);
	image_close(img);
}

static void fuzz(const char *name, const unsigned char *good, size_t len)
{
	unsigned char *copy = malloc(len);
	unsigned int seed = 42, i, k, opened = 0;

	out_quiet = true;
	for (i = 0; copy && i < FUZZ; i++) {
		static const unsigned char interesting[] = { 0, 1, 0x7f, 0x80, 0xff };
		unsigned int changes = 1 + rand_r(&seed) % 4;

		memcpy(copy, good, len);
		for (k = 0; k < changes; k++) {
			unsigned char byte = rand_r(&seed) % 2 ? interesting[rand_r(&seed) % 5] :
					     (unsigned char)rand_r(&seed);
			size_t at = (size_t)rand_r(&seed) % len;
			size_t n = rand_r(&seed) % 3 ? 1 : 8;

			memset(copy + at, byte, n < len - at ? n : len - at);
		}
		if (!seal(name, copy, len))
			break;
		opened += prove(NULL, 0) == CK_OK;
		use();
	}
	out_quiet = false;
	ok(i == FUZZ && seal(name, good, len), "%u changed %s files, of which %u could be opened", i,
	   name, opened);
	free(copy);
}

static void manifests(void)
{
	char path[600], text[512], sentence[512];
	static const struct {
		const char *rest;
		int code;
	} bad[] = {
		{ "\"x\": 1}\n", CK_REFUSED },
		{ "\"format\": \"other\", \"version\": 1}", CK_REFUSED },
		{ "\"format\": \"ckpt-image\", \"version\": 2, \"generations\": [{}]}", CK_REFUSED },
		{ "\"format\": \"ckpt-image\", \"version\": 1}", CK_DAMAGED },
		{ "\"format\": \"ckpt-image\", \"version\": 1, \"generations\": []}", CK_DAMAGED },
		{ "\"format\": \"ckpt-image\", \"version\": 1, \"generations\": [1]}", CK_DAMAGED },
		{ "\"format\": \"ckpt-image\", \"version\": 1, \"generations\": [{\"number\": -1}]}",
		  CK_DAMAGED },
		{ "\"format\": \"ckpt-image\", \"format\": \"ckpt-image\", \"version\": 1}", CK_DAMAGED },
		{ "[[[[", CK_DAMAGED },
		{ "", CK_DAMAGED },
	};
	size_t i;

	snprintf(path, sizeof(path), "%s/manifest.json", scratch_image("h"));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		FILE *file = fopen(path, "w");
		int rc;

		snprintf(text, sizeof(text), "{\"xxh64\": \"%016llx\",\n%s",
			 (unsigned long long)XXH64(bad[i].rest, strlen(bad[i].rest), 0), bad[i].rest);
		if (!file || fputs(text, file) == EOF || fclose(file) == EOF)
			break;
		rc = prove(sentence, sizeof(sentence));
		ok(rc == bad[i].code, "manifest %zu: %d %s", i, rc, sentence);
	}
}

int main(void)
{
	/* Thousands of manifests: not where each fsync(2) waits for a disk. */
	if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	ok(synthetic_write(scratch(), "h", 1, 1) == CK_OK, "an image");
	records = slurp("records", &records_len);
	runs = slurp("index", &runs_len);
	if (!ok(records && runs && seal("records", records, records_len) && prove(NULL, 0) == CK_OK,
		"sealed again as it was, it is accepted"))
		return done();
	records_that_lie();
	records_that_are_missing();
	unknown_records();
	fuzz("records", records, records_len);
	runs_that_lie();
	fuzz("index", runs, runs_len);
	manifests();
	free(records);
	free(runs);
	scratch_remove();
	return done();
}
