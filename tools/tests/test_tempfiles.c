// SPDX-License-Identifier: GPL-2.0
/*
 * Temporary files.  Which they are, and their contents; and, without a restart, what
 * became of them, made again and taken away again, brought back; and nothing of
 * that for who puts something in the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "out.h"
#include "state/files.h"
#include "state/places.h"
#include "state/proc.h"
#include "state/remake.h"
#include "synthetic.h"
#include "tap.h"

#define SEED 5

extern const struct state_ops state_fds, state_tempfiles;

static struct image *img;
static struct restore r;
static char place[200];

/* The path of the image's temporary file, here. */
static const char *at(const char *name)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/%s", place, name);
	return path;
}

/* As after a checkpoint in which the file was at @name; owned by who runs this. */
static bool begin(const char *name)
{
	size_t i;
	int rc;

	if (synthetic_write(scratch(), "t", SEED, 1) != CK_OK ||
	    open_quietly(&img, scratch_image("t"), NULL, 0) != CK_OK)
		return false;
	for (i = 0; i < img->nr_processes; i++) {
		struct ckpt_rec_cred *cred = (struct ckpt_rec_cred *)img->processes[i].cred;

		cred->fsuid = geteuid();
		cred->fsgid = getegid();
		cred->nr_groups = 0;
	}
	free(img->shms[1].name);
	free(img->files[1].path);
	img->shms[1].name = strdup(at(name));
	img->files[1].path = strdup(at(name));
	r = (struct restore){ .image = img, .fd_base = 64 };
	r.file_fds = malloc(img->nr_files * sizeof(*r.file_fds));
	r.file_fate = calloc(img->nr_files, 1);
	memset(r.file_fds, -1, img->nr_files * sizeof(*r.file_fds));
	/* No standard stream, no pipe: they are not what this is about. */
	img->nr_files = 2;
	rc = fcntl(0, F_DUPFD, 64);
	r.file_fds[0] = rc;
	return rc >= 0;
}

static void end(void)
{
	remake_undo(&r);
	tempfiles_release(&r);
	close_range(64, ~0U, 0);
	free(r.file_fds);
	free(r.file_fate);
	img->nr_files = 3;
	image_close(img);
}

/* The file of then, which the image takes for its own from now on. */
static int write_file(const char *name, const char *text)
{
	int fd = open(at(name), O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct ckpt_rec_shm *rec = (struct ckpt_rec_shm *)img->shms[1].rec;
	struct stat st;

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fstat(fd, &st) < 0)
		return -1;
	rec->ino = st.st_ino;
	((struct ckpt_rec_file *)img->files[1].rec)->ino = st.st_ino;
	return fd;
}

static int quietly(int (*fn)(struct restore *), char *sentence, unsigned int size)
{
	char own[512];
	int rc;

	fail_capture(sentence ? sentence : own, sentence ? size : sizeof(own));
	out_quiet = true;
	rc = fn(&r);
	out_quiet = false;
	fail_capture(NULL, 0);
	return rc;
}

static bool holds_then(const char *name)
{
	int fd = open(at(name), O_RDONLY);
	struct stat st;
	bool good = fd >= 0 && synthetic_is_temp(fd, SEED) && fstat(fd, &st) == 0 &&
		    st.st_mtim.tv_sec == 1600000000 && st.st_mtim.tv_nsec == 5;

	close(fd);
	return good;
}

static bool is_there(const char *name)
{
	struct stat st;

	return lstat(at(name), &st) == 0;
}

static uid_t owner_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_uid : (uid_t)-1;
}

static void missing(const char *name, const char *dir)
{
	char link[64], path[400];
	struct stat st;
	ssize_t n;

	if (!begin(name))
		return;
	ok(quietly(tempfiles_find, NULL, 0) == CK_OK && tempfiles_fate(&r, 1) == TEMP_MISSING,
	   "%s is missing", name);
	ok(!dir || tempfiles_make_dir(&r, at(dir)), "its directory will be made");
	ok(!is_there(name), "nothing is there before its time");
	ok(quietly(remake_all, NULL, 0) == CK_OK && holds_then(name) && stat(at(name), &st) == 0 &&
	   (st.st_mode & 07777) == 0640 && st.st_nlink == 1, "it is made again as it was");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", r.file_fds[1]);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	ok(strcmp(path, at(name)) == 0 && lseek(r.file_fds[1], 0, SEEK_CUR) == 123,
	   "its description is open by that name, at its offset");
	remake_undo(&r);
	ok(!is_there(name) && (!dir || !is_there(dir)), "nothing is left of it");
	end();
}

static void made_twice(void)
{
	char path[64];
	int fd;

	if (!begin("twice"))
		return;
	quietly(tempfiles_find, NULL, 0);
	quietly(remake_all, NULL, 0);
	/* It stays, and the next restart meets it. */
	r.temps->files[1].made = false;
	end();
	if (!begin("twice"))
		return;
	ok(quietly(tempfiles_find, NULL, 0) == CK_OK && tempfiles_fate(&r, 1) == TEMP_AS_IT_IS &&
	   holds_then("twice"), "what a restart has made is taken as it is by the next one");
	end();
	/* The job that was restarted has gone on to write it: told by an attribute. */
	fd = open(at("twice"), O_WRONLY);
	if (write(fd, "later", 5) != 5 || close(fd) < 0 || !begin("twice"))
		return;
	if (getxattr(at("twice"), "user.ckpt", path, sizeof(path)) < 0)
		skip("no attributes here");
	else
		ok(quietly(tempfiles_find, NULL, 0) == CK_OK && tempfiles_fate(&r, 1) == TEMP_CHANGED,
		   "and is that file when it has changed");
	unlink(at("twice"));
	end();
}

/* Two tasks that had it open are continued at once, each by itself. */
static void made_by_two(void)
{
	if (!begin("two"))
		return;
	quietly(tempfiles_find, NULL, 0);
	quietly(remake_all, NULL, 0);
	/* As if it were the other one that did. */
	r.temps->files[1].made = false;
	r.file_fds[1] = -1;
	ok(quietly(remake_all, NULL, 0) == CK_OK && r.file_fds[1] >= 0 && holds_then("two"),
	   "what another task has made meanwhile is taken");
	remake_undo(&r);
	ok(is_there("two"), "and not taken away again");
	unlink(at("two"));
	end();
}

/* The first process has the file @rec mapped such that it writes it; NULL for none. */
static void mapped(const struct ckpt_rec_shm *rec)
{
	struct ckpt_rec_vma *vma = (struct ckpt_rec_vma *)img->processes[0].vmas[0].rec;

	vma->flags = rec ? MAP_SHARED : MAP_PRIVATE;
	vma->file_writable = rec != NULL;
	vma->dev = rec ? rec->dev : 0;
	vma->ino = rec ? rec->ino : 0;
}

static void closed(void)
{
	struct ckpt_rec_tempfile *temp;

	if (!begin("closed"))
		return;
	temp = (struct ckpt_rec_tempfile *)img->shms[1].temp;
	temp->flags = CKPT_TEMPFILE_CLOSED;
	temp->uid = geteuid();
	img->nr_files = 1;
	ok(quietly(tempfiles_find, NULL, 0) == CK_OK && quietly(remake_all, NULL, 0) == CK_OK &&
	   holds_then("closed"), "one that nobody had open is made again");
	remake_undo(&r);
	ok(!is_there("closed"), "and taken away again");
	close(write_file("closed", "later"));
	ok(quietly(tempfiles_find, NULL, 0) == CK_OK && quietly(remake_commit, NULL, 0) == CK_OK &&
	   !holds_then("closed"), "but not brought back");
	mapped(img->shms[1].rec);
	ok(quietly(tempfiles_find, NULL, 0) == CK_OK && quietly(remake_commit, NULL, 0) == CK_OK &&
	   holds_then("closed"), "unless the job wrote it through a mapping");
	unlink(at("closed"));
	quietly(tempfiles_find, NULL, 0);
	mkdir(at("closed"), 0700);
	ok(quietly(remake_all, NULL, 0) != CK_OK, "then it is missed, too");
	rmdir(at("closed"));
	mapped(NULL);
	quietly(tempfiles_find, NULL, 0);
	mkdir(at("closed"), 0700);
	ok(quietly(remake_all, NULL, 0) == CK_OK, "nor missed, when it cannot be made");
	rmdir(at("closed"));
	end();
}

static void quick_stranger(void)
{
	char sentence[512];
	int fd;

	if (!begin("quick"))
		return;
	quietly(tempfiles_find, NULL, 0);
	fd = open(at("quick"), O_RDWR | O_CREAT, 0600);
	ok(quietly(remake_all, sentence, sizeof(sentence)) != CK_OK && *sentence,
	   "somebody's file that is there by then: %s", sentence);
	remake_undo(&r);
	ok(is_there("quick"), "stays");
	close(fd);
	unlink(at("quick"));
	end();
}

static void changed(void)
{
	int fd;

	if (!begin("changed"))
		return;
	fd = write_file("changed", "later");
	ok(quietly(tempfiles_find, NULL, 0) == CK_OK && tempfiles_fate(&r, 1) == TEMP_AS_IT_IS,
	   "one that somebody has open for writing is left alone");
	tempfiles_release(&r);
	close(fd);
	ok(quietly(tempfiles_find, NULL, 0) == CK_OK && tempfiles_fate(&r, 1) == TEMP_CHANGED,
	   "one that has changed");
	ok(!holds_then("changed") && quietly(remake_commit, NULL, 0) == CK_OK && holds_then("changed"),
	   "is brought back at the end");
	ok(quietly(tempfiles_find, NULL, 0) == CK_OK && tempfiles_fate(&r, 1) == TEMP_AS_IT_IS,
	   "and is then what it was");
	((struct ckpt_rec_tempfile *)img->shms[1].temp)->btime_sec = 1;
	fd = write_file("changed", "by another run");
	close(fd);
	quietly(tempfiles_find, NULL, 0);
	ok(tempfiles_fate(&r, 1) == TEMP_AS_IT_IS, "one of that inode that was born later is another");
	link(at("changed"), at("other name"));
	((struct ckpt_rec_tempfile *)img->shms[1].temp)->btime_sec = 0;
	quietly(tempfiles_find, NULL, 0);
	ok(tempfiles_fate(&r, 1) == TEMP_AS_IT_IS, "one with a second name is left alone");
	unlink(at("other name"));
	unlink(at("changed"));
	end();
}

static void link_in_the_way(void)
{
	char sentence[512];

	mkdir(at("elsewhere"), 0755);
	symlink("elsewhere", at("gone"));
	if (!begin("gone/file"))
		return;
	ok(quietly(tempfiles_find, sentence, sizeof(sentence)) == CK_REFUSED &&
	   strstr(sentence, "symbolic link"), "no symbolic link is followed: %s", sentence);
	end();
	/* It comes between the look and the making. */
	unlink(at("gone"));
	if (!begin("gone/file"))
		return;
	quietly(tempfiles_find, NULL, 0);
	symlink("elsewhere", at("gone"));
	ok(quietly(remake_all, sentence, sizeof(sentence)) == CK_REFUSED &&
	   strstr(sentence, "symbolic link") && !is_there("elsewhere/file"), "nor then: %s", sentence);
	unlink(at("gone"));
	rmdir(at("elsewhere"));
	end();
}

static void stranger_in_the_way(void)
{
	char sentence[512];
	struct stat st;

	if (geteuid() != 0) {
		skip("only root can be somebody else");
		return;
	}
	mkdir(at("gone"), 0777);
	chmod(at("gone"), 0777);
	if (chown(at("gone"), 1234, 1234) < 0 || !begin("gone/file"))
		return;
	ok(quietly(tempfiles_find, sentence, sizeof(sentence)) == CK_REFUSED &&
	   strstr(sentence, "belongs to somebody else"), "a directory of a stranger: %s", sentence);
	end();
	/* Root gives it to its user, with their rights. */
	if (!begin("file") || chmod(scratch(), 0711) < 0)
		return;
	((struct ckpt_rec_cred *)img->processes[0].cred)->fsuid = 1234;
	((struct ckpt_rec_cred *)img->processes[0].cred)->fsgid = 1234;
	((struct ckpt_rec_shm *)img->shms[1].rec)->mode = S_IFREG | 0400;
	quietly(tempfiles_find, NULL, 0);
	ok(quietly(remake_all, NULL, 0) == CK_OK && holds_then("file"), "root makes one for a user");
	ok(stat(at("file"), &st) == 0 && (st.st_mode & 07777) == 0400 &&
	   (fcntl(r.file_fds[1], F_GETFL) & O_ACCMODE) == O_RDWR,
	   "open for writing, which its mode does not allow any more");
	ok(r.temps->files[1].made && owner_of(at("file")) == 1234, "and it is the user's");
	end();
	ok(!is_there("file"), "root takes it away again");
	chmod(place, 0755);
	if (!begin("file"))
		return;
	((struct ckpt_rec_cred *)img->processes[0].cred)->fsuid = 1234;
	quietly(tempfiles_find, NULL, 0);
	ok(quietly(remake_all, sentence, sizeof(sentence)) == CK_PERM, "not where they may not: %s",
	   sentence);
	end();
	rmdir(at("gone"));
}

/* ---- at a checkpoint: a child that has stopped stands in for a frozen job ---- */

static void has_files(void)
{
	int fd = open("temporary", O_RDWR | O_CREAT, 0600);

	if (write(fd, "contents", 8) != 8 || ftruncate(fd, 100000) < 0)
		_exit(1);
	dup2(fd, 30);
	dup2(open("temporary", O_RDONLY), 31);
	dup2(open("temporary", O_PATH), 32);
	dup2(open("linked", O_RDWR | O_CREAT, 0600), 33);
	link("linked", "linked too");
	dup2(open("/dev/null", O_RDWR), 34);
	fd = open("read", O_RDWR | O_CREAT, 0600);
	if (write(fd, "contents", 8) != 8)
		_exit(1);
	close(fd);
	dup2(open("read", O_RDONLY), 35);
	mkdir("below", 0700);
	close(open("below/closed", O_RDWR | O_CREAT, 0600));
}

/* All that such a child has, to @d. */
static pid_t look(struct dump *d, struct places *where)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_range(3, ~0U, 0);
		has_files();
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, NULL, WUNTRACED);
	memset(d, 0, sizeof(*d));
	d->procs = calloc(1, sizeof(*d->procs));
	d->nr_procs = 1;
	d->places = where;
	if (!d->procs || proc_open(d->procs, pid) || proc_read_all(d) || state_fds.check(d) ||
	    state_tempfiles.check(d)) {
		ok(false, "the state of a child is read");
		exit(done());
	}
	return pid;
}

static void end_look(struct dump *d, pid_t pid)
{
	dump_free(d);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static const struct dump_fd *find(const struct dump *d, int fd)
{
	return dump_fd_find(d, d->procs, fd);
}

/* The temporary file of that name; NULL. */
static const struct dump_content *temporary(const struct dump *d, const char *name)
{
	const struct dump_content *c = d->files->contents.first;

	while (c && (!c->temp || strcmp(c->path, at(name)) != 0))
		c = c->next;
	return c;
}

static void dump(void)
{
	struct places *where = places_open(".", "job");
	const struct dump_content *c;
	const struct dump_file *f;
	char text[32];
	struct dump d;
	pid_t pid;

	pid = look(&d, NULL);
	ok(!temporary(&d, "temporary"), "where there are no places, there are no temporary files");
	end_look(&d, pid);

	/* Not all that lies about in /tmp. */
	while (where->nr_dirs > 1)
		free(where->dirs[--where->nr_dirs]);
	free(where->dirs[0]);
	where->dirs[0] = strdup(place);
	pid = look(&d, where);
	f = find(&d, 30)->file;
	c = temporary(&d, "temporary");
	ok(d.nr_obstacles == 0 && c && c == f->object->content && c->written && !c->temp->flags,
	   "an open temporary file");
	ok(!temporary(&d, "linked") && !temporary(&d, "linked too"), "one with two names is none");
	ok(temporary(&d, "below/closed") && temporary(&d, "below/closed")->temp->flags ==
	   CKPT_TEMPFILE_CLOSED, "one that is closed");
	/* One of them is enough. */
	d.files->contents.copied = CONTENTS_MAX_COPY - 4096;
	tempfiles_capture(&d, NULL, false);
	ok(f->rec.object == c->rec.id && find(&d, 31)->file->rec.object == c->rec.id &&
	   !find(&d, 32)->file->rec.object && !find(&d, 33)->file->rec.object,
	   "both descriptions are of the contents");
	ok(c->ours && c->rec.size == 100000 && pread(c->fd, text, 32, 0) == 32 &&
	   memcmp(text, "contents\0", 9) == 0 && content_bytes(c) == 4096, "its contents, without a hole");
	f = find(&d, 35)->file;
	ok(f->rec.kind == CKPT_FILE_REG && !f->rec.object && f->object->content->err == EFBIG,
	   "what would be too much is saved by its path, what is only read first");
	end_look(&d, pid);
	places_close(where);
}

static void places(void)
{
	struct places *p;
	struct proc self;
	char dir[300], file[400], image[500];

	snprintf(dir, sizeof(dir), "%s/images", scratch());
	mkdir(dir, 0700);
	snprintf(file, sizeof(file), "%s/job.ckpt", dir);
	mkdir(file, 0700);
	p = places_open(file, "part");
	if (!ok(p != NULL, "places"))
		return;
	snprintf(image, sizeof(image), "%s/part.ckpt/gen-1/pages", file);
	ok(places_have(p, "/tmp/x", 1) && places_have(p, "/var/tmp/a/b", 1) && !places_have(p, "/tmpx", 1) &&
	   !places_have(p, "/home/user/tmp/x", 1), "/tmp, /var/tmp and what is in them");
	ok(!places_have(p, image, 1), "the image itself is none");
	snprintf(image, sizeof(image), "%s/job.json", file);
	ok(!places_have(p, image, 1), "nor that of which it is a part");
	ok(!places_have(p, "/usr/share/x", 1), "no other place before it is named");
	if (proc_open(&self, getpid()) == 0) {
		places_learn(p, &self);
		proc_close(&self);
	}
	ok(places_have(p, "/usr/share/x", 1) && !places_have(p, "/usr/lib/x", 1), "$TMPDIR, resolved");
	places_close(p);
}

int main(int argc, char **argv)
{
	(void)argc;
	/* What counts is the environment of the start. */
	if (!getenv("TMPDIR") || strcmp(getenv("TMPDIR"), "/usr/bin/../share") != 0) {
		setenv("TMPDIR", "/usr/bin/../share", 1);
		execv("/proc/self/exe", argv);
		return 1;
	}
	unsetenv("TMPDIR");
	snprintf(place, sizeof(place), "%s/place", scratch());
	mkdir(place, 0777);
	chmod(place, 01777);
	places();
	if (chdir(place) == 0)
		dump();
	missing("file", NULL);
	missing("a/b/file", "a");
	made_twice();
	made_by_two();
	closed();
	quick_stranger();
	changed();
	link_in_the_way();
	stranger_in_the_way();
	scratch_remove();
	return done();
}
