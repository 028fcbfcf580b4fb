// SPDX-License-Identifier: GPL-2.0
/*
 * A file that cannot be read must neither keep the job frozen nor be saved as if it
 * were empty: a file system in user space whose server answers when, and what, it is
 * told to.  The job has mapped a removed file of it, whose pages the module reads
 * while the job stands still.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "session.h"

#define CGROUP "/sys/fs/cgroup/test-stuck"
#define MOUNT "/tmp/test-stuck"
#define FILE_NODE 2
#define FILE_SIZE (16 * CKPT_PAGE_SIZE)
#define STANDSTILL_MS 1000
#define TOO_LONG 20

static struct shared {
	int pid, reading, go, seek_fails;
} *shared;

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static int await(const int *what)
{
	for (int n = 0; n < 60000; n++) {
		if (__atomic_load_n(what, __ATOMIC_ACQUIRE))
			return 0;
		pause_ms(1);
	}
	return -1;
}

/* ---- the file system: a directory with one file ---- */

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node, .nlink = 1, .blksize = CKPT_PAGE_SIZE,
		.mode = node == FILE_NODE ? S_IFREG | 0644 : S_IFDIR | 0755,
		.size = node == FILE_NODE ? FILE_SIZE : 0,
	};
}

static void answer(int fd, const struct fuse_in_header *in, int err, const void *data, size_t len)
{
	static char buf[sizeof(struct fuse_out_header) + FILE_SIZE];
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + len), .error = -err, .unique = in->unique };

	memcpy(buf, &out, sizeof(out));
	memcpy(buf + sizeof(out), data, len);
	if (write(fd, buf, out.len) < 0 && errno != ENOENT)
		_exit(3);
}

static void serve_one(int fd, const struct fuse_in_header *in, const void *arg)
{
	static const char zeros[FILE_SIZE];
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = CKPT_PAGE_SIZE };
	struct fuse_entry_out entry = { .nodeid = FILE_NODE, .attr_valid = 1000, .attr = attributes(FILE_NODE) };
	struct fuse_attr_out attr = { .attr_valid = 1000, .attr = attributes(in->nodeid) };
	struct fuse_open_out opened = { 0 };

	switch (in->opcode) {
	case FUSE_INIT:
		answer(fd, in, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		answer(fd, in, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		answer(fd, in, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(fd, in, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		__atomic_store_n(&shared->reading, 1, __ATOMIC_RELEASE);
		await(&shared->go);
		answer(fd, in, 0, zeros, ((const struct fuse_read_in *)arg)->size);
		break;
	case FUSE_LSEEK:
		answer(fd, in, shared->seek_fails ? EIO : ENOSYS, NULL, 0);
		break;
	case FUSE_UNLINK:
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		answer(fd, in, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(fd, in, ENOSYS, NULL, 0);
	}
}

static void __attribute__((noreturn)) serve(int fd)
{
	static char buf[FUSE_MIN_READ_BUFFER + FILE_SIZE] __attribute__((aligned(16)));

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n >= (ssize_t)sizeof(struct fuse_in_header))
			serve_one(fd, (void *)buf, buf + sizeof(struct fuse_in_header));
		else if (n < 0 && errno != EINTR && errno != ENOENT)
			_exit(0);	/* unmounted */
	}
}

static int mount_it(void)
{
	char options[64];
	int fd, pid;

	fd = system("modprobe -q fuse") < 0 ? -1 : open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return because("this kernel has no FUSE");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0", fd);
	mkdir(MOUNT, 0755);
	if (mount("test", MOUNT, "fuse", 0, options))
		return because("it cannot be mounted: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		serve(fd);
	close(fd);
	return pid < 0 ? because("no process") : 0;
}

/* ---- the job ---- */

static void __attribute__((noreturn)) job(void)
{
	FILE *f = fopen(CGROUP "/cgroup.procs", "we");
	int fd = open(MOUNT "/file", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!f || fprintf(f, "0\n") < 0 || fclose(f) || fd < 0 ||
	    mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED || unlink(MOUNT "/file"))
		_exit(2);
	close(fd);
	__atomic_store_n(&shared->pid, getpid(), __ATOMIC_RELEASE);
	for (;;)
		pause();
}

static bool runs(void)
{
	int fd = open(CGROUP "/cgroup.events", O_RDONLY | O_CLOEXEC);
	char text[256] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	close(fd);
	return n > 0 && strstr(text, "frozen 0");
}

static int freeze(struct nl *nl, uint32_t deadline_ms)
{
	struct nl_msg *msg = nl_new(nl, CKPT_CMD_FREEZE);
	int fd = open(CGROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	struct nl_event ev = { 0 };

	nla_put_s32(msg, CKPT_A_CGROUP_FD, fd);
	nla_put_u32(msg, CKPT_A_DEADLINE_MS, deadline_ms);
	rc = ss_request(nl, msg, CKPT_EVENT_FROZEN, &ev);
	close(fd);
	return rc ? because("the job cannot be frozen") : ss_prove(nl, &shared->pid, 1, "mem", false);
}

static int without_its_data(struct nl *nl)
{
	struct nl_event ev = { 0 };

	shared->seek_fails = 1;
	if (freeze(nl, 60 * STANDSTILL_MS))
		return because("the proof was refused");
	if (!ss_snapshot(nl, CKPT_MODE_COW, &ev))
		return because("the snapshot succeeded");
	if (ev.reason != CKPT_REASON_IO)
		return because("the snapshot failed for reason %d: %s", ev.reason, ev.message);
	return runs() ? 0 : because("the job is frozen");
}

static int until_the_deadline(struct nl *nl)
{
	struct nl_msg *msg;
	struct nl_event ev = { 0 };

	shared->seek_fails = 0;
	shared->go = 0;
	if (freeze(nl, STANDSTILL_MS))
		return because("the proof was refused");
	msg = nl_new(nl, CKPT_CMD_SNAPSHOT);
	nla_put_u32(msg, CKPT_A_MODE, CKPT_MODE_COW);
	if (nl_request(nl, msg, NULL, NULL))
		return because("the snapshot was refused");
	/* Read it must be, or this shows nothing. */
	if (await(&shared->reading))
		return because("the file was not read");
	for (int n = 0; n < TOO_LONG * STANDSTILL_MS && !runs(); n++)
		pause_ms(1);
	if (!runs())
		return because("the job is frozen after %d times its deadline", TOO_LONG);
	__atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
	if (!nl_wait(nl, CKPT_EVENT_SNAPPED, 60000, NULL, &ev) || ev.reason != CKPT_REASON_DEADLINE)
		return because("the snapshot failed for reason %d: %s", ev.reason, ev.message);
	return 0;
}

static void test(const char *what, int (*fn)(struct nl *nl))
{
	struct nl *nl = NULL;
	int rc = await(&shared->pid) ? because("the job did not start") : 0;

	if (!rc)
		rc = nl_open(&nl) ? because("no connection to the module") : fn(nl);
	/* Let go of everything, whatever came of it. */
	__atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
	nl_end(nl);
	ss_result(rc, what, "");
}

int main(void)
{
	int kill_fd;

	shared = ss_begin(CGROUP);
	if (mount_it()) {
		printf("1..0 # SKIP %s\n", reason);
		return 4;
	}
	if (fork() == 0)
		job();
	test("a file whose data cannot be found is not saved without it", without_its_data);
	test("a file that is not read in time does not keep the job frozen", until_the_deadline);
	kill_fd = open(CGROUP "/cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (write(kill_fd, "1", 1) == 1 && shared->pid)
		waitpid(shared->pid, NULL, 0);
	umount2(MOUNT, MNT_DETACH);
	rmdir(MOUNT);
	for (int n = 0; n < 10000 && rmdir(CGROUP) < 0; n++)
		pause_ms(1);
	return ss_done();
}
