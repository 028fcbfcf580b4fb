// SPDX-License-Identifier: GPL-2.0
#include "synthetic.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <unistd.h>
#include <xxhash.h>

#include "out.h"

#define CODE	0x400000ULL
#define HEAP	0x10000000ULL
#define SHARED	0x20000000ULL
#define STACK	0x7ffffff00000ULL
#define VDSO	0x7ffff7fc0000ULL
#define SHM_ID	77
#define TEMP_ID	78
#define XSTATE	832

static char dir[64];

const char *scratch(void)
{
	const char *tmp = getenv("TMPDIR");

	if (!*dir) {
		snprintf(dir, sizeof(dir), "%s/ckpt-test-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
		if (!mkdtemp(dir)) {
			perror("mkdtemp");
			exit(1);
		}
	}
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void scratch_remove(void)
{
	nftw(scratch(), remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_image(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s.ckpt", scratch(), name);
	return path;
}

/* ---- pages ---- */

static const struct {
	uint64_t owner;
	uint32_t kind;
	struct {
		uint64_t addr;
		uint32_t nr;
		bool zero;
	} runs[4];
} owners[] = {
	/* The second run covers two adjacent mappings. */
	{ SYNTHETIC_PID, CKPT_PAGES_MM, { { CODE + 0x2000, 1, false }, { HEAP, 5, false },
					  { HEAP + 0x8000, 3, true }, { STACK, 2, false } } },
	{ SYNTHETIC_PID + 1, CKPT_PAGES_MM, { { HEAP, 6, false } } },
	{ SHM_ID, CKPT_PAGES_SHM, { { 0, 1, false }, { 0x2000, 1, false } } },
	{ TEMP_ID, CKPT_PAGES_SHM, { { 0, 1, false }, { 0x3000, 1, false } } },
};

#define NR_OWNERS (sizeof(owners) / sizeof(owners[0]))

/* Pages that no zero and no other page equals. */
static void fill(char *to, size_t len, uint64_t addr, uint64_t owner, uint32_t seed)
{
	uint64_t x = (addr + 1) * 0x9e3779b97f4a7c15ULL ^ owner << 32 ^ seed, i;

	for (i = 0; i < len / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(to + 8 * i, &x, 8);
	}
}

static int write_pages(struct image_writer *w, uint32_t seed, uint64_t *bytes)
{
	char *buf = aligned_alloc(CKPT_PAGE_SIZE, 8 * CKPT_PAGE_SIZE);
	uint64_t pos = 0, index = 0;
	size_t o, r;
	int rc = CK_OK;

	for (o = 0; rc == CK_OK && o < NR_OWNERS; o++) {
		struct ckpt_rec_pages pages = { .owner = owners[o].owner,
						.owner_kind = owners[o].kind, .index_pos = index };

		for (r = 0; rc == CK_OK && r < 4 && owners[o].runs[r].nr; r++) {
			struct ckpt_run run = { .addr = owners[o].runs[r].addr,
						.nr_pages = owners[o].runs[r].nr };
			size_t len = run.nr_pages * CKPT_PAGE_SIZE;

			if (owners[o].runs[r].zero) {
				run.flags = CKPT_RUN_ZERO;
			} else {
				fill(buf, len, run.addr, owners[o].owner, seed);
				run.pos = pos;
				run.xxh64 = XXH64(buf, len, 0);
				if (pwrite(image_page_fd(w), buf, len, (off_t)pos) != (ssize_t)len)
					rc = fail_errno(errno, "pages");
				pos += len;
			}
			if (write(image_index_fd(w), &run, sizeof(run)) != sizeof(run))
				rc = fail_errno(errno, "index");
			index += sizeof(run);
			pages.nr_runs++;
			pages.nr_pages += run.nr_pages;
		}
		if (rc == CK_OK)
			rc = image_put(w, CKPT_REC_PAGES, &pages, sizeof(pages), NULL, 0);
	}
	free(buf);
	*bytes = pos;
	return rc;
}

/* ---- records ---- */

static int put_vmas(struct image_writer *w)
{
	static const char program[] = "/usr/bin/program";
	const struct ckpt_rec_vma vmas[] = {
		{ .start = CODE, .end = CODE + 0x4000, .kind = CKPT_VMA_FILE,
		  .prot = PROT_READ | PROT_EXEC, .flags = MAP_PRIVATE,
		  .path_len = sizeof(program) - 1, .ino = 5, .size = 0x4000 },
		{ .start = HEAP, .end = HEAP + 0x3000, .kind = CKPT_VMA_ANON,
		  .prot = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE },
		{ .start = HEAP + 0x3000, .end = HEAP + 0x10000, .kind = CKPT_VMA_ANON,
		  .prot = PROT_READ, .flags = MAP_PRIVATE },
		{ .start = SHARED, .end = SHARED + 0x3000, .kind = CKPT_VMA_SHM, .object = SHM_ID,
		  .prot = PROT_READ | PROT_WRITE, .flags = MAP_SHARED },
		{ .start = VDSO, .end = VDSO + 0x6000, .kind = CKPT_VMA_VDSO,
		  .prot = PROT_READ | PROT_EXEC, .flags = MAP_PRIVATE },
		{ .start = STACK, .end = STACK + 0x10000, .kind = CKPT_VMA_ANON,
		  .prot = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_GROWSDOWN },
	};
	const uint64_t auxv[4] = { 6, 4096, 0, 0 };
	struct ckpt_rec_mm mm = {
		.start_code = CODE, .end_code = CODE + 0x1000, .start_brk = HEAP, .brk = HEAP + 0x10000,
		.start_stack = STACK + 0x8000, .arg_start = STACK, .arg_end = STACK + 12,
		.env_start = STACK + 12, .env_end = STACK + 20, .vdso_start = VDSO,
		.vdso_end = VDSO + 0x6000, .nr_vmas = 6, .auxv_len = sizeof(auxv),
		.exe_len = sizeof(program) - 1, .dumpable = 1,
	};
	char tail[sizeof(auxv) + sizeof(program)];
	size_t i;
	int rc;

	memcpy(tail, auxv, sizeof(auxv));
	memcpy(tail + sizeof(auxv), program, sizeof(program));
	rc = image_put(w, CKPT_REC_MM, &mm, sizeof(mm), tail, sizeof(tail) - 1);
	for (i = 0; rc == CK_OK && i < 6; i++)
		rc = image_put(w, CKPT_REC_VMA, &vmas[i], sizeof(vmas[i]),
			       vmas[i].path_len ? program : NULL, vmas[i].path_len);
	return rc;
}

static int put_threads(struct image_writer *w, int32_t pid, uint32_t nr)
{
	const struct ckpt_rec_sched sched = { .nice = 5, .cpus_len = 8 };
	const uint64_t cpus = 3;
	char xstate[XSTATE], siginfo[128] = { 10 };
	struct user_regs_struct regs;
	uint32_t i;
	int rc = CK_OK;

	for (i = 0; rc == CK_OK && i < nr; i++) {
		struct ckpt_rec_thread t = { .tid = pid + (int32_t)(i ? 100 + i : 0),
					     .sigmask = i, .comm = "worker" };

		memset(xstate, (int)i + 1, sizeof(xstate));
		memset(&regs, 0, sizeof(regs));
		regs.rip = CODE + 0x100 + i;
		regs.rsp = STACK + 0x8000 - 0x1000 * i;
		regs.r12 = 0xc0ffee00 + i;
		regs.cs = 0x33;
		regs.ss = 0x2b;
		rc = image_put(w, CKPT_REC_THREAD, &t, sizeof(t), NULL, 0);
		if (rc == CK_OK)
			rc = image_put(w, CKPT_REC_REGS, &regs, sizeof(regs), NULL, 0);
		if (rc == CK_OK)
			rc = image_put(w, CKPT_REC_XSTATE, xstate, sizeof(xstate), NULL, 0);
		if (rc == CK_OK)
			rc = image_put(w, CKPT_REC_SCHED, &sched, sizeof(sched), &cpus, sizeof(cpus));
		if (rc == CK_OK && i)
			rc = image_put(w, CKPT_REC_SIGQUEUE, siginfo, sizeof(siginfo), NULL, 0);
	}
	return rc;
}

static int put_process(struct image_writer *w, int32_t pid, int32_t ppid, uint32_t nr_threads)
{
	struct ckpt_rec_process process = { .pid = pid, .ppid = ppid, .pgid = SYNTHETIC_PID,
					    .sid = SYNTHETIC_PID, .nr_threads = nr_threads,
					    .exit_signal = 17, .comm = "program" };
	struct ckpt_sigaction actions[64] = { { 0 } };
	struct ckpt_rec_itimer itimers[3] = { { 5000000000, 0 } };
	struct ckpt_rec_posix_timer timer = { .id = 3, .clock = 1, .signo = 14, .value_ns = 7 };
	char siginfo[256] = { 12 };
	int rc = image_put(w, CKPT_REC_PROCESS, &process, sizeof(process), NULL, 0);

	if (rc == CK_OK)
		rc = put_vmas(w);
	if (rc == CK_OK)
		rc = image_put(w, CKPT_REC_SIGACTIONS, actions, sizeof(actions), NULL, 0);
	if (rc == CK_OK)
		rc = image_put(w, CKPT_REC_SIGQUEUE, siginfo, sizeof(siginfo), NULL, 0);
	if (rc == CK_OK)
		rc = image_put(w, CKPT_REC_ITIMERS, itimers, sizeof(itimers), NULL, 0);
	if (rc == CK_OK)
		rc = image_put(w, CKPT_REC_POSIX_TIMER, &timer, sizeof(timer), NULL, 0);
	return rc ? rc : put_threads(w, pid, nr_threads);
}

static int put_process_by_id(struct image_writer *w, int32_t pid)
{
	struct ckpt_rec_cred cred = { .pid = pid, .uid = 1000, .euid = 1000, .suid = 1000,
				      .fsuid = 1000, .nr_groups = 3 };
	const uint32_t groups[3] = { 1000, 27, 44 };
	struct ckpt_rec_fs fs = { .pid = pid, .umask = 022, .cwd_len = 5 };
	struct ckpt_rec_rlimits limits = { .pid = pid };
	struct ckpt_rec_fd fds[] = {
		{ .pid = pid, .fd = 9, .flags = 1, .file = 2 },
		{ .pid = pid, .fd = 0, .file = 1 },
		{ .pid = pid, .fd = 4, .file = 3 },
	};
	int rc = image_put(w, CKPT_REC_CRED, &cred, sizeof(cred), groups, sizeof(groups));
	size_t i;

	if (rc == CK_OK)
		rc = image_put(w, CKPT_REC_FS, &fs, sizeof(fs), "/home", 5);
	if (rc == CK_OK)
		rc = image_put(w, CKPT_REC_RLIMITS, &limits, sizeof(limits), NULL, 0);
	for (i = 0; rc == CK_OK && i < 3; i++)
		rc = image_put(w, CKPT_REC_FD, &fds[i], sizeof(fds[i]), NULL, 0);
	return rc;
}

static int put_objects(struct image_writer *w)
{
	struct ckpt_rec_shm shm = { .id = SHM_ID, .size = 0x2800, .name_len = 6 };
	struct ckpt_rec_shm temp_shm = { .id = TEMP_ID, .size = SYNTHETIC_TEMP_SIZE, .name_len = 9,
					 .mode = S_IFREG | 0640, .dev = 5, .ino = 6,
					 .flags = CKPT_SHM_NAMED };
	struct ckpt_rec_tempfile temp = { .object = TEMP_ID, .uid = 1000, .mtime_sec = 1600000000,
					  .mtime_nsec = 5 };
	struct ckpt_rec_file files[] = {
		{ .id = 1, .kind = CKPT_FILE_STDIO, .object = 0 },
		{ .id = 2, .kind = CKPT_FILE_REG, .flags = 2, .pos = 123, .path_len = 9,
		  .object = TEMP_ID, .mode = S_IFREG | 0640, .dev = 5, .ino = 6,
		  .size = SYNTHETIC_TEMP_SIZE, .mtime_sec = 1600000000, .mtime_nsec = 5 },
		{ .id = 3, .kind = CKPT_FILE_PIPE, .object = 55 },
	};
	struct ckpt_rec_pipe pipe = { .id = 55, .capacity = 65536, .data_len = 5 };
	struct ckpt_rec_zombie zombie = { .pid = SYNTHETIC_PID + 50, .ppid = SYNTHETIC_PID,
					  .pgid = SYNTHETIC_PID, .sid = SYNTHETIC_PID,
					  .exit_signal = 17, .status = 3 << 8, .comm = "ended" };
	struct ckpt_rec_cpus cpus = { .cpus_len = 8 };
	const uint64_t mask = 15;
	int rc = image_put(w, CKPT_REC_SHM, &shm, sizeof(shm), "object", 6);
	size_t i;

	if (rc == CK_OK)
		rc = image_put(w, CKPT_REC_SHM, &temp_shm, sizeof(temp_shm), "/tmp/file", 9);
	if (rc == CK_OK)
		rc = image_put(w, CKPT_REC_TEMPFILE, &temp, sizeof(temp), NULL, 0);
	for (i = 0; rc == CK_OK && i < 3; i++)
		rc = image_put(w, CKPT_REC_FILE, &files[i], sizeof(files[i]),
			       files[i].path_len ? "/tmp/file" : NULL, files[i].path_len);
	if (rc == CK_OK)
		rc = image_put(w, CKPT_REC_ZOMBIE, &zombie, sizeof(zombie), NULL, 0);
	if (rc == CK_OK)
		rc = image_put(w, CKPT_REC_CPUS, &cpus, sizeof(cpus), &mask, sizeof(mask));
	return rc ? rc : image_put(w, CKPT_REC_PIPE, &pipe, sizeof(pipe), "bytes", 5);
}

static int put_relaunch(struct image_writer *w)
{
	static const char tail[] = "/usr/bin/srun" "ckpt-step:17.0" "srun\0-n2\0./a.out\0" "HOME=/\0A=b=c";
	struct ckpt_rec_relaunch rec = {
		.pid = SYNTHETIC_ANEW, .ppid = SYNTHETIC_PID, .pgid = SYNTHETIC_PID,
		.sid = SYNTHETIC_PID, .exit_signal = 17, .nice = 5, .oom_score_adj = 100,
		.exe_len = 13, .mark_len = 14, .args_len = 17, .env_len = 13,
		.blocked = 1 << 9, .ignored = 1, .comm = "srun",
	};

	return image_put(w, CKPT_REC_RELAUNCH, &rec, sizeof(rec), tail, sizeof(tail));
}

int synthetic_fill(struct image_writer *w, uint32_t seed, struct image_meta *meta)
{
	static char *argv[] = { (char *)"program", (char *)"--option", (char *)"gr\xfc\xdf", NULL };
	int rc = put_process(w, SYNTHETIC_PID, 1, 2);

	if (rc == CK_OK)
		rc = put_process(w, SYNTHETIC_PID + 1, SYNTHETIC_PID, 3);
	if (rc == CK_OK)
		rc = put_objects(w);
	if (rc == CK_OK)
		rc = put_process_by_id(w, SYNTHETIC_PID);
	if (rc == CK_OK)
		rc = put_process_by_id(w, SYNTHETIC_PID + 1);
	if (rc == CK_OK)
		rc = put_relaunch(w);
	if (rc == CK_OK)
		rc = put_process_by_id(w, SYNTHETIC_ANEW);
	memset(meta, 0, sizeof(*meta));
	strcpy(meta->id, "job");
	strcpy(meta->cgroup, "/sys/fs/cgroup/job");
	strcpy(meta->host, "node1");
	strcpy(meta->kernel, "6.1.0");
	strcpy(meta->arch, "x86_64");
	meta->xfeatures = 0xe7;
	meta->xstate_size = XSTATE;
	meta->uid = 1000;
	meta->time = 1700000000 + seed;
	meta->standstill_ns = 12345678;
	meta->nr_tasks = 2;
	meta->nr_threads = 5;
	meta->argv = argv;
	return rc ? rc : write_pages(w, seed, &meta->bytes);
}

int synthetic_write(const char *where, const char *id, uint32_t seed, unsigned int keep)
{
	struct image_writer *w;
	struct image_meta meta;
	int rc = image_begin(&w, where, id);

	if (rc)
		return rc;
	rc = synthetic_fill(w, seed, &meta);
	if (rc) {
		image_abort(w);
		return rc;
	}
	return image_commit(w, &meta, keep);
}

/* ---- reading back ---- */

struct match {
	uint64_t owner;
	uint32_t seed;
	size_t nr;
};

static int match_run(const struct ckpt_run *run, const struct image_generation *gen, void *arg)
{
	struct match *m = arg;
	char want[8 * CKPT_PAGE_SIZE], got[8 * CKPT_PAGE_SIZE];
	size_t len = run->nr_pages * CKPT_PAGE_SIZE;

	m->nr++;
	if (run->flags & CKPT_RUN_ZERO)
		return 0;
	fill(want, len, run->addr, m->owner, m->seed);
	return pread(gen->page_fd, got, len, (off_t)run->pos) != (ssize_t)len ||
	       memcmp(want, got, len) != 0;
}

bool synthetic_is_temp(int fd, uint32_t seed)
{
	static const char zeros[CKPT_PAGE_SIZE];
	char want[CKPT_PAGE_SIZE], got[CKPT_PAGE_SIZE];
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size != SYNTHETIC_TEMP_SIZE)
		return false;
	fill(want, sizeof(want), 0, TEMP_ID, seed);
	if (pread(fd, got, sizeof(got), 0) != sizeof(got) || memcmp(want, got, sizeof(got)) != 0)
		return false;
	if (pread(fd, got, sizeof(got), 0x1000) != sizeof(got) || memcmp(zeros, got, sizeof(got)) != 0)
		return false;
	fill(want, sizeof(want), 0x3000, TEMP_ID, seed);
	return pread(fd, got, sizeof(got), 0x3000) == SYNTHETIC_TEMP_SIZE - 0x3000 &&
	       memcmp(want, got, SYNTHETIC_TEMP_SIZE - 0x3000) == 0;
}

bool synthetic_matches(const struct image *img, uint32_t seed)
{
	struct match m = { .seed = seed };
	size_t i, k;

	if (img->meta.time != 1700000000 + seed || img->nr_processes != 3 || img->nr_shms != 2)
		return false;
	for (i = 0; i < 2; i++)
		for (k = 0; k < img->processes[i].nr_pages; k++) {
			m.owner = img->processes[i].pages[k]->owner;
			if (image_for_each_run(img, img->processes[i].pages[k], match_run, &m))
				return false;
		}
	for (i = 0; i < 2; i++) {
		m.owner = img->shms[i].rec->id;
		if (img->shms[i].nr_pages != 1 ||
		    image_for_each_run(img, img->shms[i].pages[0], match_run, &m))
			return false;
	}
	return m.nr == 9;
}

int open_quietly(struct image **img, const char *path, char *sentence, unsigned int size)
{
	char own[512];
	int rc;

	fail_capture(sentence ? sentence : own, sentence ? size : sizeof(own));
	rc = image_open(img, path);
	fail_capture(NULL, 0);
	return rc;
}

int prove_quietly(const char *path, char *sentence, unsigned int size)
{
	struct image *img;
	char own[512];
	int rc;

	fail_capture(sentence ? sentence : own, sentence ? size : sizeof(own));
	rc = image_open(&img, path);
	if (rc == CK_OK) {
		rc = image_verify_pages(img, 2);
		image_close(img);
	}
	fail_capture(NULL, 0);
	return rc;
}
