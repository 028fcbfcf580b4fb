#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measure ckctl and CRIU side by side, in the test VM ("make bench").

Stand-still is the largest gap that a ticking thread inside the job saw; the
rest is time by the clock, from the start of a command. Results go to DIR as
bench.md and bench.json.
"""
import argparse
import errno
import json
import mmap
import os
import platform
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
PROGRAMS = {
    "tiny": ("(a) tiny: one process", ["tiny"], []),
    "memory256": ("(b) 256 MB, rewritten by 2 threads", ["memory"], ["256"]),
    "memory1024": ("(b) 1 GB, rewritten by 2 threads", ["memory"], ["1024"]),
    "ring": ("(c) 50 processes of 4 threads, ring of pipes", ["ring"], ["50"]),
}
# How the cost grows with each of these, "--programs growth".
GROWTH = {
    f"{kind}{nr}": (f"{nr} {kind}", ["many"], [kind, str(nr)])
    for kind, series in {
        "processes": (100, 400, 1600), "threads": (100, 400, 1600), "mappings": (1000, 8000, 64000),
        "files": (1000, 8000, 64000), "pipes": (500, 4000),
    }.items() for nr in series
}
ALL = PROGRAMS | GROWTH
# What was set out to be reached: ckctl's share of CRIU's time, at most.
WANTED = {
    "standstill": {"tiny": 1 / 10, "memory256": 1 / 20, "memory1024": 1 / 20, "ring": 1 / 10},
    "checkpoint": {"memory256": 1 / 2, "memory1024": 1 / 2},
    "restart": {"tiny": 1 / 2, "memory256": 1 / 2, "memory1024": 1 / 2, "ring": 1 / 2},
}
WAIT_S = 300


class BenchError(Exception):
    pass


def run(args, **kwargs):
    """Run a command to its end: seconds, largest memory in MB, its output."""
    start = time.monotonic()
    process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               stdin=subprocess.DEVNULL, **kwargs)
    output = process.stdout.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchError(f"{' '.join(args)} ended with {process.returncode}:\n{output}")
    return time.monotonic() - start, usage.ru_maxrss / 1024, output


class Ticker:
    """The figures that a program shows in the file that it maps (ticker.h)."""

    FIELDS = ["ready", "ticks", "max_gap_ns", "reset", "errors"]

    def __init__(self, path):
        with open(path, "wb") as f:
            f.truncate(4096)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)

    def get(self, field):
        return struct.unpack_from("<Q", self.map, 8 * self.FIELDS.index(field))[0]

    def reset(self):
        struct.pack_into("<Q", self.map, 8 * self.FIELDS.index("reset"), 1)
        self.until(lambda: self.get("reset") == 0, "the program does not tick")

    def until(self, condition, sentence, limit=WAIT_S):
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                raise BenchError(sentence)
            time.sleep(0.0005)

    def until_tick(self):
        before = self.get("ticks")
        self.until(lambda: self.get("ticks") != before, "the restarted program does not tick")


def cgroup_of(pid):
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as f:
        return "/sys/fs/cgroup" + f.read().split("::")[1].strip()


def kill_cgroup(path):
    with open(path + "/cgroup.kill", "w", encoding="ascii") as f:
        f.write("1")
    end = time.monotonic() + WAIT_S
    while True:
        try:
            with open(path + "/cgroup.events", encoding="ascii") as f:
                if "populated 0" in f.read():
                    return
        except OSError as error:
            # Removed under our hands: a file that is already open says ENODEV.
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            return
        if time.monotonic() > end:
            raise BenchError(f"{path} does not die")
        time.sleep(0.005)


class Ckctl:
    name = "ckctl"

    def __init__(self, work):
        self.work = work
        self.keeper = None
        self.cgroup = cgroup_of(os.getpid()).rstrip("/") + "/ckpt-bench"

    def start(self, args):
        self.keeper = subprocess.Popen(
            ["ckctl", "run", "--name=bench", "--checkpoint-dir=" + self.work, "--"] + args,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def checkpoint(self):
        seconds, rss, output = run(["ckctl", "create", "bench", "--json"])
        result = json.loads(output)
        # Durable when it ends: it syncs before it says so.
        return {"checkpoint": seconds, "checkpoint_durable": seconds, "rss_mb": rss,
                "bytes": result["bytes"], "reported_standstill": result["standstill_ms"] / 1e3}

    def kill(self):
        kill_cgroup(self.cgroup)
        self.keeper.wait()

    def restart(self):
        self.keeper = subprocess.Popen(
            # --force: the file in which it shows its figures has changed since, for CRIU, too.
            ["ckctl", "restart", "-q", "--force", self.work + "/bench.ckpt"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def died(self):
        if self.keeper.poll() is None:
            return None
        return f"ckctl restart ended with {self.keeper.returncode}: {self.keeper.stderr.read().decode()}"


class Criu:
    name = "CRIU"

    def __init__(self, work):
        self.work = work
        self.process = None
        self.pid = None
        self.image = None
        self.nr = 0
        self.cgroup = "/sys/fs/cgroup/bench-criu"
        os.makedirs(self.cgroup, exist_ok=True)

    def start(self, args):
        def enter():
            os.setsid()
            with open(self.cgroup + "/cgroup.procs", "w", encoding="ascii") as f:
                f.write("0")
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=enter)
        self.pid = self.process.pid

    def checkpoint(self):
        if self.image:
            shutil.rmtree(self.image)
        self.nr += 1
        self.image = f"{self.work}/criu.{self.nr}"
        os.mkdir(self.image)
        start = time.monotonic()
        seconds, rss, _ = run(["criu", "dump", "-t", str(self.pid), "-D", self.image, "-v1",
                               "--leave-running"])
        run(["sync", "-f", self.image])
        durable = time.monotonic() - start
        size = sum(os.stat(os.path.join(self.image, f)).st_size for f in os.listdir(self.image))
        return {"checkpoint": seconds, "checkpoint_durable": durable, "rss_mb": rss, "bytes": size}

    def kill(self):
        kill_cgroup(self.cgroup)
        if self.process:
            self.process.wait()
            self.process = None
        # Restored ones are our children no more than those of the shell; init reaps them.
        end = time.monotonic() + WAIT_S
        while os.path.exists(f"/proc/{self.pid}") and time.monotonic() < end:
            time.sleep(0.005)

    def restart(self):
        seconds, rss, _ = run(["criu", "restore", "-D", self.image, "-d", "-v1"])
        return {"restart_command": seconds, "restart_rss_mb": rss}

    def died(self):
        return None


def measure(tool, program, work, reps, log):
    title, binary, args = ALL[program]
    path = f"{tool.work}/ticker"
    ticker = Ticker(path)
    tool.start([f"{work}/{binary[0]}", path] + args)
    ticker.until(lambda: ticker.get("ready"), f"{title} does not start")
    ticker.reset()
    time.sleep(2)       # the job by itself, for comparison: what a busy machine makes of it
    samples = [{"undisturbed": ticker.get("max_gap_ns") / 1e9}]
    for n in range(reps):
        ticker.reset()
        sample = tool.checkpoint()
        ticker.until_tick()
        sample["standstill"] = ticker.get("max_gap_ns") / 1e9
        samples.append(sample)
        log(f"{tool.name} {program} checkpoint {n + 1}: stood still {sample['standstill'] * 1e3:.1f} ms, "
            f"{sample['checkpoint']:.2f} s ({sample['checkpoint_durable']:.2f} s with sync), "
            f"{sample['bytes'] / 1e6:.1f} MB")
    tool.kill()
    for n in range(reps):
        before = ticker.get("ticks")
        start = time.monotonic()
        sample = tool.restart() or {}

        def lives():
            error = tool.died()
            if error:
                raise BenchError(error)
            return ticker.get("ticks") != before
        ticker.until(lives, "the restarted program does not tick")
        sample["restart"] = time.monotonic() - start
        samples.append(sample)
        log(f"{tool.name} {program} restart {n + 1}: {sample['restart']:.2f} s")
        tool.kill()
    if ticker.get("errors"):
        raise BenchError(f"{title} found {ticker.get('errors')} errors in itself")
    keys = {k for s in samples for k in s}
    return {k: {"median": statistics.median(v := [s[k] for s in samples if k in s]), "min": min(v),
                "max": max(v), "values": v} for k in sorted(keys)}


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    with open("/proc/meminfo", encoding="ascii") as f:
        memory = int(f.readline().split()[1]) // 1024
    try:
        hypervisor = open("/sys/class/dmi/id/sys_vendor", encoding="ascii").read().strip()
    except OSError:
        hypervisor = "?"
    clock = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", encoding="ascii").read().strip()
    return {
        "cpu": model.group(1) if model else "?", "cpus": os.cpu_count(), "memory_mb": memory,
        "vendor": hypervisor, "clocksource": clock, "kernel": platform.release(),
        "criu": run(["criu", "--version"])[2].split()[1], "ckctl": run(["ckctl", "--version"])[2].strip(),
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
    }


def touch_disk(directory):
    """Have every block of the disk written once: one of a virtual machine takes its room
    from the host when it is first written, which costs more than the writing, and whoever
    is measured first would pay for it."""
    path = os.path.join(directory, "touch")
    zeros = mmap.mmap(-1, 4 << 20)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
    try:
        while True:
            os.write(fd, zeros)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.close(fd)
        os.unlink(path)


def human(seconds):
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def spread(r, key):
    return f"{human(r[key]['median'])} ({human(r[key]['min'])}–{human(r[key]['max'])})" if key in r else "–"


def table(results):
    m, bw = results["machine"], results["bandwidth"]
    lines = [
        "# ckctl and CRIU on the same programs",
        "",
        f"{m['date']}; {m['cpu']}, {m['cpus']} processors, {m['memory_mb']} MB, {m['vendor']}; "
        f"kernel {m['kernel']}; {m['ckctl']}, CRIU {m['criu']}; images on ext4. "
        f"Medians of {results['reps']} (least–most).",
        "",
        f"In the same run: memcpy {bw['memcpy']} MB/s; writing 256 MB to this file system with fsync "
        f"{bw['write_fsync']} MB/s, with O_DIRECT {bw['write_direct']} MB/s; reading from the page cache "
        f"{bw['read_cached']} MB/s.",
        "",
        "| program | figure | ckctl | CRIU | ratio | wanted |",
        "|---|---|---|---|---|---|",
    ]
    rows = [
        ("standstill", "standstill", "stand-still, seen by a thread of the job"),
        ("undisturbed", "undisturbed", "the same without a checkpoint"),
        ("checkpoint", "checkpoint_durable", "checkpoint until it is on the disk"),
        ("checkpoint", "checkpoint", "command alone (CRIU does not sync)"),
        ("restart", "restart", "restart until the program ticks"),
        ("rss_mb", "rss_mb", "memory of the tool"),
    ]
    for program, r in results["programs"].items():
        a, b = r.get("ckctl", {}), r.get("CRIU", {})
        for wanted_key, key, text in rows:
            if key not in a and key not in b:
                continue
            ratio = wanted = ""
            if key in a and key in b and key not in ("undisturbed", "rss_mb"):
                share = a[key]["median"] / b[key]["median"]
                ratio = f"1/{1 / share:.1f}" if share < 1 else f"{share:.2f}"
                want = WANTED.get(wanted_key, {}).get(program)
                if want and key == wanted_key + ("_durable" if wanted_key == "checkpoint" else ""):
                    wanted = f"1/{1 / want:.0f}, {'reached' if share <= want else 'missed'}"
            if key == "rss_mb":
                cells = [f"{x[key]['max']:.0f} MB" if key in x else "–" for x in (a, b)]
                if key in a:
                    wanted = f"32 MB, {'reached' if a[key]['max'] < 32 else 'missed'}"
            else:
                cells = [spread(x, key) for x in (a, b)]
            lines.append(f"| {ALL[program][0]} | {text} | {cells[0]} | {cells[1]} | {ratio} | {wanted} |")
        for name, error in r.get("errors", {}).items():
            lines.append(f"| {ALL[program][0]} | failed | {error if name == 'ckctl' else ''} | "
                         f"{error if name == 'CRIU' else ''} | | |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--programs", default=",".join(PROGRAMS), help="which: " + ", ".join(ALL) + "; growth: the latter ones")
    parser.add_argument("--tools", default="ckctl,CRIU", help="which: ckctl, CRIU")
    parser.add_argument("--work", default="/mnt/disk", help="where images go (/mnt/disk)")
    parser.add_argument("--out", default=".", help="where the results go (here)")
    args = parser.parse_args()
    work = os.path.join(args.work, "bench")
    os.makedirs(work)
    for source in ("tiny", "memory", "ring", "many", "bandwidth"):
        run(["gcc", "-O2", "-std=gnu11", "-D_GNU_SOURCE", "-pthread", "-o", f"{work}/{source}",
             f"{HERE}/bench-programs/{source}.c"])

    def log(line):
        print(line, flush=True)
    touch_disk(work)
    results = {"machine": machine(), "reps": args.reps,
               "bandwidth": json.loads(run([f"{work}/bandwidth", work])[2]), "programs": {}}
    failed = False
    for program in GROWTH if args.programs == "growth" else args.programs.split(","):
        r = results["programs"][program] = {}
        for make in (Ckctl, Criu):
            if make.name not in args.tools.split(","):
                continue
            images = f"{work}/{make.name}-{program}"
            os.mkdir(images)
            tool = make(images)
            try:
                r[tool.name] = measure(tool, program, work, args.reps, log)
            except (BenchError, OSError) as error:
                failed = True
                log(f"{tool.name} {program}: {error}")
                r.setdefault("errors", {})[tool.name] = str(error).strip().splitlines()[-1]
                if os.path.isdir(tool.cgroup):
                    kill_cgroup(tool.cgroup)
            shutil.rmtree(images)
        # Written each time, so that an interrupted run leaves what it has.
        with open(os.path.join(args.out, "bench.json"), "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)
        with open(os.path.join(args.out, "bench.md"), "w", encoding="utf-8") as f:
            f.write(table(results))
    log("")
    log(table(results))
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
