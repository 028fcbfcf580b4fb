// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "image/image.h"
#include "json.h"
#include "out.h"
#include "parts.h"
#include "show.h"

static const char usage[] =
	"Usage: ckctl show [--json] IMAGE[@GENERATION]\n"
	"Show what is in an image: where it was made, its processes and threads, their memory,\n"
	"open files, and the generations that can be restarted.  IMAGE is a path, or a name\n"
	"looked up as NAME.ckpt in the current directory.  Of a whole job it shows the job's\n"
	"record, and then each of its parts: those of each step on each node.\n";

static const char *const file_kinds[] = {
	[CKPT_FILE_REG] = "file",
	[CKPT_FILE_DIR] = "directory",
	[CKPT_FILE_CHR] = "device",
	[CKPT_FILE_PIPE] = "pipe",
	[CKPT_FILE_STDIO] = "stdio",
	[CKPT_FILE_PATH] = "path",
	[CKPT_FILE_EVENTFD] = "eventfd",
	[CKPT_FILE_TIMERFD] = "timerfd",
	[CKPT_FILE_SIGNALFD] = "signalfd",
	[CKPT_FILE_EPOLL] = "epoll",
	[CKPT_FILE_FIFO] = "fifo",
	[CKPT_FILE_OBJECT] = "removed",
};

static const char *file_kind(const struct image_file *file)
{
	return image_is_temporary(file) ? "temporary" : file_kinds[file->rec->kind];
}

/* ---- sums ---- */

static uint64_t mapped_bytes(const struct image_process *p)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < p->nr_vmas; i++)
		bytes += p->vmas[i].rec->end - p->vmas[i].rec->start;
	return bytes;
}

static uint64_t saved_bytes(const struct ckpt_rec_pages **pages, size_t nr)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < nr; i++)
		sum += pages[i]->nr_pages;
	return sum * CKPT_PAGE_SIZE;
}

const char *show_time(int64_t seconds, char *buf, size_t size)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(buf, size, "%F %T %z", &tm))
		snprintf(buf, size, "-");
	return buf;
}

/* ---- text ---- */

static void print_meta(const struct image *img)
{
	const struct image_meta *meta = &img->meta;
	char when[64];
	size_t i;

	printf("image        %s\nname         ", img->path);
	print_text(meta->id);
	printf("\nmade         %s on ", show_time(meta->time, when, sizeof(when)));
	print_text(meta->host);
	printf(" (");
	print_text(meta->kernel);
	printf(", %s)\ncgroup       ", meta->arch);
	print_text(meta->cgroup);
	printf("\nowner        %" PRIu32 "\n", meta->uid);
	if (meta->argv) {
		printf("command      ");
		for (i = 0; meta->argv[i]; i++) {
			print_text(meta->argv[i]);
			putchar(meta->argv[i + 1] ? ' ' : '\n');
		}
	}
	printf("tasks        %" PRIu64 " process%s, %" PRIu64 " thread%s\n", meta->nr_tasks,
	       meta->nr_tasks == 1 ? "" : "es", meta->nr_threads,
	       meta->nr_threads == 1 ? "" : "s");
	printf("stood still  %s\n", human_ns(meta->standstill_ns));
	printf("pages        %s\n", human_bytes(meta->bytes));
}

static void print_process(const struct image_process *p, unsigned int depth)
{
	size_t i;

	printf("%7d %7d %7d %7d  %7zu  %10s  %10s  %*s", p->rec->pid, p->rec->ppid, p->rec->pgid,
	       p->rec->sid, p->nr_threads, human_bytes(mapped_bytes(p)),
	       human_bytes(saved_bytes(p->pages, p->nr_pages)),
	       (int)(2 * (depth < 20 ? depth : 20)), "");
	print_text(p->rec->comm);
	printf("  ");
	print_text(p->exe);
	putchar('\n');
	for (i = 1; i < p->nr_threads; i++) {
		printf("%7d %63s thread ", p->threads[i].rec->tid, "");
		print_text(p->threads[i].rec->comm);
		putchar('\n');
	}
}

/* The index of the parent, SIZE_MAX for a root. */
static size_t parent_of(const struct image *img, size_t child)
{
	size_t i = 0;

	while (i < img->nr_processes &&
	       img->processes[i].rec->pid != img->processes[child].rec->ppid)
		i++;
	return i < img->nr_processes ? i : SIZE_MAX;
}

/* Each process after its parent and before its parent's next child; without
 * recursion, for an image may hold a chain of any length. */
static int print_tree(const struct image *img)
{
	size_t nr = img->nr_processes - img->nr_relaunched, i, at = SIZE_MAX, depth = 0;
	size_t *parents = calloc(nr + 1, sizeof(*parents)), *next = calloc(nr + 1, sizeof(*next));
	int rc = parents && next ? CK_OK : fail(CK_FAILED, "out of memory");

	for (i = 0; rc == CK_OK && i < nr; i++)
		parents[i] = parent_of(img, i);
	while (rc == CK_OK) {
		/* next[nr] stands for the roots' own parent. */
		size_t slot = at == SIZE_MAX ? nr : at;

		for (i = next[slot]; i < nr && parents[i] != at; i++)
			;
		next[slot] = i + 1;
		if (i < nr) {
			print_process(&img->processes[i], (unsigned int)depth++);
			at = i;
		} else if (at == SIZE_MAX) {
			break;
		} else {
			at = parents[at];
			depth--;
		}
	}
	free(parents);
	free(next);
	return rc;
}

static void print_zombies(const struct image *img)
{
	size_t i;

	for (i = 0; i < img->nr_zombies; i++) {
		const struct ckpt_rec_zombie *rec = img->zombies[i];

		printf("%7d %7d %7d %7d        0           0           0  ", rec->pid, rec->ppid,
		       rec->pgid, rec->sid);
		print_text(rec->comm);
		printf(" (ended, status %#x)\n", rec->status);
	}
}

/* What comes after "ckpt-step:"; "" without a mark. */
static const char *step_of(const struct image_relaunch *relaunch)
{
	return *relaunch->mark ? relaunch->mark + sizeof(CKPT_MARK_STEP) - 1 : "";
}

/* Behind the others, without children. */
static void print_relaunched(const struct image *img)
{
	size_t i, k;

	for (i = img->nr_processes - img->nr_relaunched; i < img->nr_processes; i++) {
		const struct image_relaunch *relaunch = img->processes[i].relaunch;

		printf("relaunched: pid %d:", img->processes[i].rec->pid);
		for (k = 0; relaunch->argv[k]; k++) {
			putchar(' ');
			print_text(relaunch->argv[k]);
		}
		if (*step_of(relaunch)) {
			printf(" (step ");
			print_text(step_of(relaunch));
			putchar(')');
		}
		putchar('\n');
	}
}

static void print_files(const struct image *img)
{
	size_t i, k;

	printf("\n    PID    FD  KIND       FLAGS      POSITION  NAME\n");
	for (i = 0; i < img->nr_processes; i++)
		for (k = 0; k < img->processes[i].nr_fds; k++) {
			const struct image_fd *fd = &img->processes[i].fds[k];
			const struct image_file *file = &img->files[fd->file];

			printf("%7d %5d  %-9s  %#-9x %9" PRId64 "  ", fd->rec->pid, fd->rec->fd,
			       file_kind(file), file->rec->flags,
			       (int64_t)file->rec->pos);
			if (file->rec->kind == CKPT_FILE_PIPE)
				printf("pipe %" PRIu64 ", %" PRIu32 " bytes in it",
				       (uint64_t)file->rec->object,
				       img->pipes[file->pipe].rec->data_len);
			else
				print_text(file->path);
			putchar('\n');
		}
}

static void print_rest(const struct image *img)
{
	char when[64];
	size_t i;

	if (img->nr_shms)
		printf("\n       OBJECT        SIZE       SAVED  NAME\n");
	for (i = 0; i < img->nr_shms; i++) {
		printf("%13" PRIu64 "  %10s  %10s  ", (uint64_t)img->shms[i].rec->id,
		       human_bytes(img->shms[i].rec->size),
		       human_bytes(saved_bytes(img->shms[i].pages, img->shms[i].nr_pages)));
		print_text(img->shms[i].name);
		putchar('\n');
	}
	printf("\nGENERATION  MADE                           SIZE\n");
	for (i = 0; i < img->nr_generations; i++) {
		const struct image_generation *g = &img->generations[i];

		printf("%10" PRIu32 "  %-25s  %10s\n", g->number,
		       show_time(g->time, when, sizeof(when)),
		       human_bytes(g->page_bytes + g->index_bytes + g->record_bytes));
	}
}

int show_image(const struct image *img)
{
	int rc;

	print_meta(img);
	printf("\n    PID    PPID    PGID     SID  THREADS      MAPPED       SAVED  COMMAND\n");
	rc = print_tree(img);
	if (rc)
		return rc;
	print_zombies(img);
	print_relaunched(img);
	print_files(img);
	print_rest(img);
	return CK_OK;
}

/* ---- JSON ---- */

static json_t *json_fds(const struct image *img, const struct image_process *p)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < p->nr_fds; i++) {
		const struct image_file *file = &img->files[p->fds[i].file];

		json_array_append_new(array, json_pack(
			"{s:i, s:b, s:s, s:I, s:I, s:I, s:I, s:o}", "fd", p->fds[i].rec->fd,
			"cloexec", (int)(p->fds[i].rec->flags & 1),
			"kind", file_kind(file), "file", (json_int_t)file->rec->id,
			"flags", (json_int_t)file->rec->flags, "position",
			(json_int_t)file->rec->pos, "size", (json_int_t)file->rec->size, "path", json_text(file->path)));
	}
	return array;
}

static json_t *json_threads(const struct image_process *p)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < p->nr_threads; i++)
		json_array_append_new(array, json_pack(
			"{s:i, s:o}", "tid", p->threads[i].rec->tid,
			"name", json_text(p->threads[i].rec->comm)));
	return array;
}

static json_t *json_processes(const struct image *img)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < img->nr_processes - img->nr_relaunched; i++) {
		const struct image_process *p = &img->processes[i];

		json_array_append_new(array, json_pack(
			"{s:i, s:i, s:i, s:i, s:b, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o}",
			"pid", p->rec->pid, "ppid", p->rec->ppid, "pgid", p->rec->pgid,
			"sid", p->rec->sid, "stopped", (int)(p->rec->flags & CKPT_PROCESS_STOPPED),
			"name", json_text(p->rec->comm),
			"exe", json_text(p->exe), "cwd", json_text(p->cwd),
			"root", json_text(p->root ? p->root : "/"),
			"mappings", (json_int_t)p->nr_vmas,
			"mapped_bytes", (json_int_t)mapped_bytes(p),
			"saved_bytes", (json_int_t)saved_bytes(p->pages, p->nr_pages),
			"threads", json_threads(p), "fds", json_fds(img, p)));
	}
	return array;
}

static json_t *json_relaunched(const struct image *img)
{
	json_t *array = json_array();
	size_t i, k;

	for (i = img->nr_processes - img->nr_relaunched; i < img->nr_processes; i++) {
		const struct image_process *p = &img->processes[i];
		json_t *argv = json_array();

		for (k = 0; p->relaunch->argv[k]; k++)
			json_array_append_new(argv, json_text(p->relaunch->argv[k]));
		json_array_append_new(array, json_pack(
			"{s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o}",
			"pid", p->rec->pid, "ppid", p->rec->ppid, "pgid", p->rec->pgid,
			"sid", p->rec->sid, "name", json_text(p->rec->comm), "exe", json_text(p->exe),
			"cwd", json_text(p->cwd), "argv", argv, "step", json_text(step_of(p->relaunch)),
			"fds", json_fds(img, p)));
	}
	return array;
}

static json_t *json_zombies(const struct image *img)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < img->nr_zombies; i++) {
		const struct ckpt_rec_zombie *rec = img->zombies[i];

		json_array_append_new(array, json_pack(
			"{s:i, s:i, s:i, s:i, s:i, s:o}", "pid", rec->pid, "ppid", rec->ppid,
			"pgid", rec->pgid, "sid", rec->sid, "status", (int)rec->status,
			"name", json_text(rec->comm)));
	}
	return array;
}

static json_t *json_generations(const struct image *img)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < img->nr_generations; i++) {
		const struct image_generation *g = &img->generations[i];

		json_array_append_new(array, json_pack(
			"{s:I, s:I, s:I, s:I, s:I}", "number", (json_int_t)g->number,
			"time", (json_int_t)g->time, "page_bytes", (json_int_t)g->page_bytes,
			"index_bytes", (json_int_t)g->index_bytes,
			"record_bytes", (json_int_t)g->record_bytes));
	}
	return array;
}

json_t *show_image_json(const struct image *img)
{
	const struct image_meta *meta = &img->meta;
	json_t *argv = json_array(), *shms = json_array();
	size_t i;

	for (i = 0; meta->argv && meta->argv[i]; i++)
		json_array_append_new(argv, json_text(meta->argv[i]));
	for (i = 0; i < img->nr_shms; i++)
		json_array_append_new(shms, json_pack(
			"{s:I, s:I, s:I, s:o}", "id", (json_int_t)img->shms[i].rec->id,
			"bytes", (json_int_t)img->shms[i].rec->size, "saved_bytes",
			(json_int_t)saved_bytes(img->shms[i].pages, img->shms[i].nr_pages),
			"name", json_text(img->shms[i].name)));
	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}",
		"image", json_text(img->path), "id", json_text(meta->id),
		"cgroup", json_text(meta->cgroup), "host", json_text(meta->host),
		"kernel", json_text(meta->kernel), "arch", json_text(meta->arch),
		"uid", (json_int_t)meta->uid, "time", (json_int_t)meta->time,
		"standstill_ns", (json_int_t)meta->standstill_ns,
		"bytes", (json_int_t)meta->bytes, "tasks", (json_int_t)meta->nr_tasks,
		"threads", (json_int_t)meta->nr_threads, "argv", argv,
		"processes", json_processes(img), "relaunched", json_relaunched(img),
		"zombies", json_zombies(img), "shared_memory", shms, "generations",
		json_generations(img));
}

int cmd_show(int argc, char **argv)
{
	static const struct option options[] = { CMD_OPTIONS };
	struct parts p;
	char path[4500];
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	if (argc - optind != 1)
		return cmd_usage(argv, "show takes one image");
	rc = parts_open(&p, path, sizeof(path), argv[optind]);
	if (rc)
		return rc;
	if (out_json)
		rc = json_print(p.job ? show_job_json(&p) : show_image_json(p.images[0]));
	else
		rc = p.job ? show_job(&p) : show_image(p.images[0]);
	parts_close(&p);
	return rc;
}
