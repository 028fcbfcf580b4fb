// SPDX-License-Identifier: GPL-2.0
/*
 * The client of a job step, as srun is one: it talks over sockets, which nobody
 * could restore, and has a helper; a restart starts it anew.
 *
 *	DIR/srun -n1 DIR STEP STATUS	the client; it ends with STATUS
 *	relaunch verify DIR		is what it writes, on stdin, all there?
 *	relaunch DIR			launches one, waits for it, and does verify it
 *
 * It writes "life L round R" again and again, and "life L ends".  A life begins
 * with each start of the program; it must find what the first one had found.
 */
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include "workload.h"

#define STATUS	42
#define STALE	"stale"		/* what the first life finds in SLURM_RESTART_DIR */

/* ---- what a life finds ---- */

static void add_line(char *text, size_t size, const char *format, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(text + len, size - len, format, ap);
	va_end(ap);
}

static unsigned long long status_mask(const char *key)
{
	unsigned long long mask = 0;
	char line[256], format[64];
	FILE *f = fopen("/proc/self/status", "re");

	wl_check(f, "/proc/self/status: %s", strerror(errno));
	snprintf(format, sizeof(format), "%s: %%llx", key);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, format, &mask) == 1)
			break;
	fclose(f);
	return mask;
}

static void find_facts(char *text, size_t size, int argc, char **argv)
{
	static const char *const masks[] = {
		"SigIgn", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
	};
	DIR *fds = opendir("/proc/self/fd");
	struct rlimit limit;
	struct dirent *e;
	char cwd[PATH_MAX];
	mode_t mask = umask(0);
	int i, signal = -1;

	umask(mask);
	/* An orphan's is whoever starts the job. */
	add_line(text, size, "pid %d of %d\narguments", getpid(), getenv("ORPHAN") ? 0 : getppid());
	for (i = 0; i < argc; i++)
		add_line(text, size, " %s", argv[i]);
	add_line(text, size, "\ndescriptors");
	for (i = 0; i < 1000; i++)
		if (i != dirfd(fds) && fcntl(i, F_GETFD) >= 0)
			add_line(text, size, " %d%s", i, fcntl(i, F_GETFD) ? "!" : "");
	while ((e = readdir(fds)))
		wl_check(atoi(e->d_name) < 1000, "it has descriptor %s", e->d_name);
	closedir(fds);
	for (i = 0; i < (int)(sizeof(masks) / sizeof(masks[0])); i++)
		add_line(text, size, "\n%s %llx", masks[i], status_mask(masks[i]));
	wl_must(getrlimit(RLIMIT_NOFILE, &limit));
	wl_must(prctl(PR_GET_PDEATHSIG, &signal));
	add_line(text, size, "\numask %o nice %d files %ju %ju death signal %d in %s\nHELLO %s\n", mask,
		 getpriority(PRIO_PROCESS, 0), (uintmax_t)limit.rlim_cur, (uintmax_t)limit.rlim_max,
		 signal, getcwd(cwd, sizeof(cwd)), getenv("HELLO"));
}

static void read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

/* Where the images of its step are to be, says a file beside all jobs. */
static void check_restart_dir(const char *step, int life)
{
	const char *found = getenv("SLURM_RESTART_DIR");
	char path[PATH_MAX + 32], expected[PATH_MAX], text[PATH_MAX - 32];

	snprintf(path, sizeof(path), "%s/../step-images", wl_dir);
	read_file(path, text, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	snprintf(expected, sizeof(expected), "%s/%s", text, step);
	if (life == 1)
		wl_check(found && strcmp(found, STALE) == 0, "SLURM_RESTART_DIR is %s", found);
	else if (*text && access(expected, F_OK) == 0)
		wl_check(found && strcmp(found, expected) == 0,
			 "SLURM_RESTART_DIR is %s and not %s", found, expected);
	else
		wl_check(!found, "there are no images of its step, but SLURM_RESTART_DIR is %s", found);
}

/* The number of the life that begins; the first one's facts are what the others must find. */
static int begin_life(int argc, char **argv, const char *step, unsigned long long caught)
{
	static char facts[4096], first[4096];
	char name[32];
	struct stat st = { 0 };
	int fd, life;

	find_facts(facts, sizeof(facts), argc, argv);
	snprintf(name, sizeof(name), "facts.%s", step);
	read_file(wl_path(name), first, sizeof(first));
	fd = wl_must(open(wl_path(name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
	if (!*first)
		wl_check(write(fd, facts, strlen(facts)) == (ssize_t)strlen(facts), "cannot write facts");
	else
		wl_check(strcmp(facts, first) == 0, "what it found was:\n%sand is:\n%s", first, facts);
	close(fd);
	/* A byte for each life. */
	snprintf(name, sizeof(name), "lives.%s", step);
	fd = wl_must(open(wl_path(name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
	wl_check(write(fd, ".", 1) == 1 && fstat(fd, &st) == 0, "cannot count its lives");
	close(fd);
	life = (int)st.st_size;
	/* As the former one was when it was saved; but handlers are its own. */
	if (life > 1)
		wl_check(status_mask("SigBlk") & 1ULL << (SIGUSR2 - 1) && !caught,
			 "signals: %llx blocked, %llx caught", status_mask("SigBlk"), caught);
	check_restart_dir(step, life);
	return life;
}

/* ---- the client ---- */

static void __attribute__((noreturn)) helper(int fd)
{
	char c;

	while (read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1)
		;
	_exit(0);
}

static void *sleeper(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

/* Nothing of that could be saved; some is close-on-exec. */
static int hold_things(const char *step)
{
	char mark[64];
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct itimerspec second = { { 1, 0 }, { 1, 0 } };
	int sockets[2], ends[2], tcp, epoll;
	struct epoll_event event = { .events = EPOLLIN };
	pthread_t thread;
	sigset_t set;

	snprintf(mark, sizeof(mark), "ckpt-step:17.%s", step);
	wl_must(memfd_create(mark, MFD_CLOEXEC));
	tcp = wl_must(socket(AF_INET, SOCK_STREAM, 0));
	wl_must(bind(tcp, (struct sockaddr *)&any, sizeof(any)));
	wl_must(listen(tcp, 1));
	epoll = wl_must(epoll_create1(0));
	wl_must(epoll_ctl(epoll, EPOLL_CTL_ADD, tcp, &event));
	wl_must(timerfd_settime(wl_must(timerfd_create(CLOCK_MONOTONIC, 0)), 0, &second, NULL));
	wl_must(memfd_create("buffer", 0));
	wl_must(open("/proc/self/status", O_RDONLY));
	wl_must(pipe2(ends, O_CLOEXEC | O_DIRECT));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	wl_must(sigprocmask(SIG_BLOCK, &set, NULL));
	wl_check(pthread_create(&thread, NULL, sleeper, NULL) == 0, "no thread");
	wl_must(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	if (wl_must(fork()) == 0) {
		close(sockets[0]);
		helper(sockets[1]);
	}
	close(sockets[1]);
	return sockets[0];
}

static void say(const char *format, ...)
{
	char line[64];
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	wl_check(write(STDOUT_FILENO, line, (size_t)len) == len, "it cannot write: %s", strerror(errno));
}

static int client(int argc, char **argv)
{
	unsigned long long caught = status_mask("SigCgt");
	int life, fd, round = 0;
	char c = 'c';

	wl_check(argc == 5, "%d arguments", argc);
	wl_start(2, (char *[]){ argv[0], argv[2], NULL });
	life = begin_life(argc, argv, argv[3], caught);
	fd = hold_things(argv[3]);
	say("life %d round %d\n", life, ++round);
	if (mkdir(wl_path("ready"), 0755) < 0)
		wl_check(errno == EEXIST, "ready: %s", strerror(errno));
	while (!wl_stopping()) {
		wl_check(write(fd, &c, 1) == 1 && read(fd, &c, 1) == 1, "its helper has gone");
		say("life %d round %d\n", life, ++round);
		wl_pause_ms(20);
	}
	say("life %d ends\n", life);
	return atoi(argv[4]);
}

/* ---- who hears it ---- */

static void verify(FILE *f)
{
	int life = 0, round = 0, l, r, n;
	bool ended = false;
	char line[64];

	while (fgets(line, sizeof(line), f)) {
		wl_check(!ended, "\"%s\" comes after the end", line);
		n = 0;
		if (sscanf(line, "life %d round %d\n%n", &l, &r, &n) == 2 && n) {
			wl_check((l == life && r == round + 1) || (l > life && r == 1),
				 "life %d round %d comes after life %d round %d", l, r, life, round);
			life = l;
			round = r;
			continue;
		}
		ended = sscanf(line, "life %d ends\n%n", &l, &n) == 1 && n;
		wl_check(ended && l == life, "\"%s\" comes after life %d round %d", line, life, round);
	}
	wl_check(ended, "it ends with life %d round %d", life, round);
}

static void copy_self(const char *to)
{
	int from = wl_must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	int fd = wl_must(open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
	char buf[65536];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		wl_check(write(fd, buf, (size_t)n) == n, "cannot copy the program");
	close(from);
	close(fd);
}

/* Some of what a batch script's client would inherit. */
static void prepare(void)
{
	signal(SIGHUP, SIG_IGN);
	umask(027);
	wl_must(setpriority(PRIO_PROCESS, 0, 3));
	wl_must(chdir(wl_dir));
	setenv("HELLO", "from the script\nthat started it", 1);
	setenv("SLURM_RESTART_DIR", STALE, 1);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	int ends[2], status;
	pid_t pid;

	if (strcmp(slash ? slash + 1 : argv[0], "srun") == 0)
		return client(argc, argv);
	if (argc == 3 && strcmp(argv[1], "verify") == 0) {
		wl_start(2, (char *[]){ argv[0], argv[2], NULL });
		verify(stdin);
		return 0;
	}
	wl_start(argc, argv);
	copy_self(wl_path("srun"));
	wl_must(pipe(ends));
	pid = wl_must(fork());
	if (pid == 0) {
		prepare();
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execl(wl_path("srun"), "srun", "-n1", wl_dir, "0", "42", NULL);
		_exit(126);
	}
	close(ends[1]);
	verify(fdopen(ends[0], "r"));
	wl_check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == STATUS,
		 "the client ended with status %#x", status);
	wl_passed();
	return 0;
}
