#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Measure ckctl and CRIU side by side on the same programs, in a test VM.

usage: bench-guest.py [REPETITIONS]     (as root; "make bench" calls it)

Writes /share/bench.json and /share/bench.md (or into $VM_SHARE).  The stand-still
is what a ticking thread inside the job saw as its largest gap; times of commands
are wall-clock times of the whole command.  All figures are medians.
"""
import json
import os
import platform
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DISK = "/mnt/disk"
SHARE = os.environ.get("VM_SHARE", "/share")
REPS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
JOB = DISK + "/job"
TICKS = DISK + "/ticks"
PROGRAMS = [
    ("tiny", ["tiny"]),
    ("256 MB", ["memory", "256"]),
    ("1 GB", ["memory", "1024"]),
    ("50 processes x 4 threads", ["ring", "50", "4"]),
]


def run(*args):
    """Run a command; returns (seconds, largest resident set of it in MiB)."""
    begin = time.monotonic()
    child = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    words = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - begin
    if status:
        raise RuntimeError(f"{' '.join(args)} failed: {words.decode(errors='replace')[-2000:]}")
    return seconds, usage.ru_maxrss / 1024


def ticks():
    """(largest gap in ms, ticks so far) as the job says."""
    try:
        with open(TICKS, "rb") as file:
            gap, count = struct.unpack("=QQ", file.read(16))
    except (FileNotFoundError, struct.error):
        return 0.0, 0
    return gap / 1e6, count


def wait_progress(seconds=120):
    """Until the job has ticked on."""
    _, before = ticks()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ticks()[1] != before:
            return
        time.sleep(0.01)
    raise RuntimeError("the job does not run")


def job_pid():
    """The first process of the job: the one that has no parent of its own kind."""
    pids = subprocess.run(["pgrep", "-x", "job"], capture_output=True, text=True).stdout.split()
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            parent = file.read().rsplit(")", 1)[1].split()[1]
        if parent not in pids:
            return int(pid)
    raise RuntimeError("no job runs")


def kill_job(waiting):
    subprocess.run(["pkill", "-9", "-x", "job"])
    if waiting:
        waiting.wait()
    while subprocess.run(["pgrep", "-x", "job"], stdout=subprocess.DEVNULL).returncode == 0:
        time.sleep(0.01)


def gap_of(checkpoint):
    """Run checkpoint(); returns (its result, largest gap that the job saw meanwhile)."""
    os.kill(job_pid(), signal.SIGUSR1)
    wait_progress()
    result = checkpoint()
    wait_progress()
    return result, ticks()[0]


def quiet_gap(seconds=1.0):
    """What the ticker sees when nothing happens: the floor of this machine."""
    return gap_of(lambda: time.sleep(seconds))[1]


class Ckctl:
    """ckctl, images on ext4, durable when the command ends."""

    def start(self, args):
        return subprocess.Popen(["ckctl", "run", "--name=bench", "--checkpoint-dir=" + DISK, "--",
                                 JOB, TICKS] + args, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True)

    def checkpoint(self):
        seconds, rss = run("ckctl", "create", "bench")
        return seconds, seconds, rss

    def restart(self):
        return run("ckctl", "restart", "-q", "--detach", DISK + "/bench.ckpt")


class Criu:
    """CRIU from Debian; a sync makes its images as durable as ours."""

    def start(self, args):
        return subprocess.Popen([JOB, TICKS] + args, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True)

    def checkpoint(self):
        shutil.rmtree(DISK + "/criu", ignore_errors=True)
        os.mkdir(DISK + "/criu")
        os.sync()
        seconds, rss = run("criu", "dump", "-t", str(job_pid()), "-D", DISK + "/criu", "-v1",
                           "--leave-running")
        return seconds, seconds + run("sync", "-f", DISK)[0], rss

    def restart(self):
        return run("criu", "restore", "-D", DISK + "/criu", "-v1", "-d")


def measure(tool, args):
    """All figures of one tool on one program."""
    rows = {"floor": [], "standstill": [], "checkpoint": [], "durable": [], "rss": [],
            "restart": []}
    for _ in range(REPS):
        if os.path.exists(TICKS):
            os.unlink(TICKS)
        job = tool.start(args)
        wait_progress()
        rows["floor"].append(quiet_gap())
        (seconds, durable, rss), gap = gap_of(tool.checkpoint)
        rows["standstill"].append(gap)
        rows["checkpoint"].append(seconds)
        rows["durable"].append(durable)
        kill_job(job)
        seconds, restart_rss = tool.restart()
        rows["restart"].append(seconds)
        rows["rss"].append(max(rss, restart_rss))
        wait_progress()
        kill_job(None)
    return {name: statistics.median(values) for name, values in rows.items()}


def table(results):
    lines = ["| program | | ckctl | CRIU | ckctl / CRIU |", "|---|---|---|---|---|"]
    for name, both in results.items():
        ours, theirs = both["ckctl"], both["criu"]
        for key, text, unit, factor in (("standstill", "stand-still", "ms", 1),
                                        ("durable", "checkpoint, on disk", "ms", 1000),
                                        ("restart", "restart", "ms", 1000),
                                        ("rss", "memory of the tool", "MiB", 1)):
            a, b = ours[key] * factor, theirs[key] * factor
            lines.append(f"| {name} | {text} | {a:.1f} {unit} | {b:.1f} {unit} | {a / b:.3f} |")
        lines.append(f"| {name} | largest gap when nothing happens | {ours['floor']:.1f} ms | "
                     f"{theirs['floor']:.1f} ms | |")
    return "\n".join(lines) + "\n"


def main():
    subprocess.run(["gcc", "-O2", "-pthread", HERE + "/bench/job.c", "-o", JOB], check=True)
    bandwidth = json.loads(subprocess.run([JOB, DISK + "/bandwidth", "bandwidth"], check=True,
                                          capture_output=True).stdout)
    results = {}
    for name, args in PROGRAMS:
        results[name] = {"ckctl": measure(Ckctl(), args), "criu": measure(Criu(), args)}
        print(f"{name}: done", flush=True)
    report = {
        "kernel": platform.release(), "cpus": os.cpu_count(), "repetitions": REPS,
        "machine": platform.machine(), "file_system": "ext4",
        "criu": subprocess.run(["criu", "--version"], capture_output=True, text=True).stdout.split("\n")[0],
        "bandwidth_mib_per_s": bandwidth, "results": results,
    }
    text = table(results) + (
        f"\nMedians of {REPS}; {report['criu']}; kernel {report['kernel']}, {report['cpus']} CPUs, ext4. Plain bandwidth in the same "
        f"run: memcpy {bandwidth['memcpy']:.0f} MiB/s, write and fsync {bandwidth['write_fsync']:.0f} MiB/s, "
        f"with O_DIRECT {bandwidth['write_direct_fsync']:.0f} MiB/s.\n")
    with open(SHARE + "/bench.json", "w") as file:
        json.dump(report, file, indent=2)
    with open(SHARE + "/bench.md", "w") as file:
        file.write(text)
    print(text)


main()
