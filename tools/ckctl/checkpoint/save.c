// SPDX-License-Identifier: GPL-2.0
/* The image of a snapshot: records, pages, manifest.  The job runs, unless it is held. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "context.h"
#include "io.h"
#include "out.h"
#include "restart/vdso.h"
#include "state/contents.h"
#include "state/objects.h"
#include "state/tempfiles.h"

static int take_records(struct nlattr **tb, void *arg)
{
	struct checkpoint *c = arg;
	struct ckpt_record head;
	const char *data;
	size_t len, pos;

	if (!tb[CKPT_A_RECORDS])
		return CK_OK;
	data = nla_data(tb[CKPT_A_RECORDS]);
	len = (size_t)nla_len(tb[CKPT_A_RECORDS]);
	for (pos = 0; pos + sizeof(head) <= len;
	     pos += sizeof(head) + CKPT_RECORD_ALIGN(head.len)) {
		memcpy(&head, data + pos, sizeof(head));
		c->res->nr_tasks += head.type == CKPT_REC_PROCESS;
		c->res->nr_threads += head.type == CKPT_REC_THREAD;
	}
	return image_put_raw(c->writer, data, len);
}

struct known {
	struct object_id *ids;
	size_t nr;
};

static int take_objects(struct nlattr **tb, void *arg)
{
	struct known *known = arg;
	struct ckpt_record head;
	struct ckpt_rec_shm rec;
	struct object_id *more;
	const char *data = tb[CKPT_A_RECORDS] ? nla_data(tb[CKPT_A_RECORDS]) : NULL;
	size_t len = data ? (size_t)nla_len(tb[CKPT_A_RECORDS]) : 0, pos;

	for (pos = 0; pos + sizeof(head) <= len; pos += sizeof(head) + CKPT_RECORD_ALIGN(head.len)) {
		memcpy(&head, data + pos, sizeof(head));
		if (head.type != CKPT_REC_SHM || head.len < sizeof(rec))
			continue;
		memcpy(&rec, data + pos + sizeof(head), sizeof(rec));
		more = realloc(known->ids, (known->nr + 1) * sizeof(*more));
		if (!more)
			return fail(CK_FAILED, "out of memory");
		known->ids = more;
		known->ids[known->nr++] = (struct object_id){ rec.dev, rec.ino, rec.id };
	}
	return CK_OK;
}

/* What is mapped the module has; only a job that has such files pays for asking. */
static int save_objects(struct checkpoint *c, bool held)
{
	struct known known = { 0 };
	struct nl_msg *msg;
	int rc;

	if (!objects_any(&c->dump))
		return CK_OK;
	msg = nl_new(c->nl, CKPT_CMD_DUMP);
	if (!msg)
		return CK_FAILED;
	rc = nl_fetch(c->nl, msg, take_objects, &known);
	if (!rc)
		rc = objects_capture(&c->dump, c->writer, known.ids, known.nr, held);
	free(known.ids);
	return rc;
}

/* Those first that a checkpoint cannot do without. */
int save_contents(struct checkpoint *c, bool held)
{
	int rc = save_objects(c, held);

	if (!rc && c->writer && !c->dump.nr_obstacles)
		tempfiles_capture(&c->dump, c->writer, held);
	return rc;
}

/* All processes have the same, that of the kernel: another one will have to stand in for it. */
static int save_vdso(struct checkpoint *c)
{
	struct vdso code;
	int rc = vdso_text(&code);

	if (rc || !code.end)
		return rc;
	return image_put(c->writer, CKPT_REC_VDSO, (const void *)code.start, code.end - code.start,
			 NULL, 0);
}

/* The module's records come first. */
int checkpoint_record(struct checkpoint *c)
{
	struct nl_msg *msg = nl_new(c->nl, CKPT_CMD_DUMP);
	int rc;

	if (!msg)
		return CK_FAILED;
	rc = nl_fetch(c->nl, msg, take_records, c);
	c->dump.writer = c->writer;
	if (!rc)
		rc = save_vdso(c);
	return rc ? rc : state_dump(&c->dump);
}

static int put(int fd, const void *data, size_t len, uint64_t pos)
{
	return io_write(fd, data, len, pos) < 0 ? fail_errno(errno, "cannot write the pages") : CK_OK;
}

/* A stream's pages: as the module would have written them into the files. */
static int take_pages(const struct ckpt_rec_pages *owner, const void *data_runs, size_t nr_runs,
		      const void *data, size_t len, void *arg)
{
	const struct ckpt_run *runs = data_runs;
	struct checkpoint *c = arg;
	size_t i;
	int rc;

	(void)owner;
	for (i = 0; i < nr_runs && runs[i].flags & CKPT_RUN_ZERO; i++)
		;
	/* All data of a message lies together. */
	rc = len ? put(image_page_fd(c->writer), data, len, runs[i].pos) : CK_OK;
	if (!rc)
		rc = put(image_index_fd(c->writer), runs, nr_runs * sizeof(*runs), c->index_pos);
	c->index_pos += nr_runs * sizeof(*runs);
	return rc;
}

static void show_progress(uint64_t bytes, void *arg)
{
	struct checkpoint *c = arg;

	progress_update(c->progress, bytes);
}

static int take_page_records(struct nlattr **tb, void *arg)
{
	struct checkpoint *c = arg;
	struct {
		struct ckpt_record head;
		struct ckpt_rec_pages pages;
	} rec;
	const char *data = tb[CKPT_A_RECORDS] ? nla_data(tb[CKPT_A_RECORDS]) : NULL;
	size_t len = data ? (size_t)nla_len(tb[CKPT_A_RECORDS]) : 0, pos;
	int rc = CK_OK;

	for (pos = 0; pos + sizeof(rec) <= len && !rc; pos += sizeof(rec)) {
		memcpy(&rec, data + pos, sizeof(rec));
		rc = image_put(c->writer, CKPT_REC_PAGES, &rec.pages, sizeof(rec.pages), NULL, 0);
	}
	return rc;
}

/*
 * A file that grows is written by one write after the other: give it the size that
 * it has at most, and then the one that it has.
 */
static int size_pages(struct checkpoint *c, uint64_t bytes, bool last)
{
	if (ftruncate(image_page_fd(c->writer), (off_t)bytes) < 0 && last)
		return fail_errno(errno, "cannot set the size of the page file");
	return CK_OK;
}

int checkpoint_write(struct checkpoint *c)
{
	struct nl_msg *msg = nl_new(c->nl, CKPT_CMD_WRITE);

	if (!msg)
		return CK_FAILED;
	if (!c->req->stream) {
		nla_put_s32(msg, CKPT_A_PAGE_FD, image_page_fd(c->writer));
		nla_put_s32(msg, CKPT_A_INDEX_FD, image_index_fd(c->writer));
	} else if (fcntl(image_page_fd(c->writer), F_SETFL, 0) < 0) {
		/* Off O_DIRECT: what comes through a socket is not aligned. */
		nlmsg_free(msg);
		return fail_errno(errno, "cannot set the flags of the page file");
	}
	size_pages(c, c->res->nr_pages * CKPT_PAGE_SIZE, false);
	return nl_request(c->nl, msg, NULL, NULL);
}

int checkpoint_written(struct checkpoint *c)
{
	struct nl_stream stream = { .pages = take_pages, .progress = show_progress, .arg = c };
	struct nl_event ev;
	struct nl_msg *msg;
	int rc;

	c->progress = progress_start("writing", c->res->nr_pages * CKPT_PAGE_SIZE);
	rc = checkpoint_wait(c, CKPT_EVENT_WRITTEN, &stream, &ev);
	progress_end(c->progress);
	if (!rc)
		rc = size_pages(c, ev.nr_bytes, true);
	if (rc)
		return rc;
	c->res->bytes = ev.nr_bytes;
	c->res->nr_zero = ev.nr_zero;
	msg = nl_new(c->nl, CKPT_CMD_DUMP_PAGES);
	rc = msg ? nl_fetch(c->nl, msg, take_page_records, c) : CK_FAILED;
	return rc ? rc : contents_write(&c->dump, c->writer, &c->res->bytes);
}

/* The arguments of @p, NULL terminated; for people, so that errors leave them out. */
static char **read_argv(struct dump *d, const struct proc *p)
{
	static char text[65536];
	ssize_t len = proc_text(p, -1, "cmdline", text, sizeof(text));
	size_t nr = 0, pos;
	char **argv, *copy;

	if (len <= 0 || !(copy = dump_strdup(d, text, (size_t)len)))
		return NULL;
	argv = dump_alloc(d, ((size_t)len + 1) * sizeof(char *));
	for (pos = 0; argv && pos < (size_t)len; pos += strlen(copy + pos) + 1)
		argv[nr++] = copy + pos;
	return argv;
}

static int fill_meta(struct checkpoint *c)
{
	struct image_meta *m = &c->meta;
	const struct proc *first = &c->dump.procs[0];
	struct utsname u;
	const char *uid;

	while (first->relaunch)
		first++;
	uid = proc_status(first->status, "Uid");
	uname(&u);
	snprintf(m->id, sizeof(m->id), "%s", c->req->id);
	snprintf(m->cgroup, sizeof(m->cgroup), "%s", c->req->cgroup);
	snprintf(m->host, sizeof(m->host), "%s", u.nodename);
	snprintf(m->kernel, sizeof(m->kernel), "%s", u.release);
	snprintf(m->arch, sizeof(m->arch), "%.31s", u.machine);
	m->xfeatures = c->info.xfeatures;
	m->xstate_size = c->info.xstate_size;
	m->uid = uid ? (uint32_t)strtoul(uid, NULL, 10) : 0;
	m->time = (int64_t)time(NULL);
	m->standstill_ns = c->res->standstill_ns;
	m->bytes = c->res->bytes;
	m->nr_tasks = c->res->nr_tasks;
	m->nr_threads = c->res->nr_threads;
	m->argv = read_argv(&c->dump, first);
	return vdso_hash(m->vdso, sizeof(m->vdso));
}

int checkpoint_commit(struct checkpoint *c)
{
	struct image_writer *w = c->writer;
	char path[PATH_MAX];
	int rc;

	rc = fill_meta(c);
	if (!rc)
		rc = image_path(path, sizeof(path), c->req->image_dir, c->req->id);
	if (!rc)
		rc = image_sync(w);
	if (!rc)
		rc = checkpoint_may_go_on(c);
	if (rc)
		return rc;
	c->res->generation = image_writer_generation(w);
	c->writer = NULL;
	rc = image_commit(w, &c->meta, c->req->keep ? c->req->keep : 1);
	if (!rc && !(c->res->image = strdup(path)))
		rc = fail(CK_FAILED, "out of memory");
	return rc;
}
