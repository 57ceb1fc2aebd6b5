#!/usr/bin/env python3
"""Builds the disks that a power cut may leave, recovers each as the next start would, and looks for what is lost.

The log is what QEMU's blklogwrites wrote (the format of the kernel's dm-log-writes, all little-endian): in the first
sector magic, version, number of entries (64 bits each) and sector size (32 bits); then for each entry a sector with
first sector, number of sectors, flags and length of data (64 bits each), and after it the sectors that were written.

What a completed flush has behind it is on the disk. Of the writes after it, cut into pieces, any may be there and any
may not; two writes to one place keep their order. Whatever was promised by the time of the next flush must be there:
that is the latest cut at which that disk is possible, and so the one at which most is asked of it.
"""

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

SECTOR = 512
MAGIC = 0x6A736677736872
FLUSH = 1
GUEST_DATA = "/mnt"  # where the virtual machine has the disk
SAVED = "saved"
NEXT = pathlib.Path(__file__).with_name("next.toml")

# What is written between two flushes, as pieces (offset, bytes), and what had been promised at its end: path -> word.
Interval = collections.namedtuple("Interval", "pieces promised")
Task = collections.namedtuple("Task", "interval mask then_record")


def read_log(path, disk_bytes, tear):
    """The log as intervals. What is written behind the file system says what was promised."""
    log = open(path, "rb")
    magic, version, entries, sector_bytes = struct.unpack("<QQQI", log.read(28))
    if (magic, version, sector_bytes) != (MAGIC, 1, SECTOR):
        sys.exit(f"{path} is no log of writes of version 1 with sectors of {SECTOR} bytes")
    log.seek(SECTOR)
    intervals, pieces, promised = [], [], {}
    for _ in range(entries):
        first, count, flags, _ = struct.unpack("<QQQQ", log.read(SECTOR)[:32])
        if flags == FLUSH and count == 0:
            intervals.append(Interval(pieces, dict(promised)))
            pieces = []
            continue
        if flags != 0:
            sys.exit(f"{path}: flags {flags} of an entry are not expected: the disk knows neither FUA nor discards")
        offset, data = first * SECTOR, log.read(count * SECTOR)
        if offset >= disk_bytes:
            said = json.loads(data)
            if said.get("type") == "progress" or said.get("status") == "Done":
                promised[said["path"]] = said.get("status", SAVED)
        else:
            pieces += torn(offset, data, tear)
    return intervals + [Interval(pieces, promised)]


def torn(offset, data, tear):
    """A write as pieces that end where the disk's blocks of `tear` bytes end."""
    begin = 0
    while begin < len(data):
        end = begin + tear - (offset + begin) % tear
        yield offset + begin, data[begin:end]
        begin = end


def subsets(count, samples, rng):
    """Sets of pieces that reached the disk, as bit masks: all there are, or some of each kind. The set of all pieces is
    not among them, because it is the next interval's empty set, of which more is asked."""
    everything = (1 << count) - 1
    if everything <= samples:
        return range(everything)
    few = max(samples // 3, 1)
    prefixes = [(1 << n) - 1 for n in range(1, count)]
    holes = [everything ^ (1 << n) for n in range(count)]
    masks = {0, *rng.sample(prefixes, min(few, len(prefixes))), *rng.sample(holes, min(few, len(holes)))}
    while len(masks) < samples:
        masks.add(rng.randrange(1, everything))
    return sorted(masks)


def tasks(intervals, options):
    """The disks to look at, each content once for each interval, in the order of the log."""
    rng = random.Random(options.seed)
    on_disk, number = {}, 0
    for at, (pieces, _) in enumerate(intervals):
        seen = set()
        masks = list(subsets(len(pieces), options.samples, rng))
        for mask in masks + ([(1 << len(pieces)) - 1] if at == len(intervals) - 1 else []):
            reached = dict(piece for n, piece in enumerate(pieces) if mask >> n & 1)
            content = frozenset(item for item in reached.items() if on_disk.get(item[0]) != item[1])
            if content not in seen:
                seen.add(content)
                number += 1
                yield Task(at, mask, options.next > 0 and number % options.next == 0)
        on_disk.update(pieces)


class Bench:
    """One process's files: the disk as it was at the last flush, and the one that is looked at."""

    def __init__(self, intervals, options, folder, truth):
        self.intervals, self.options, self.truth = intervals, options, truth
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.flushed, self.image, self.mount = (self.folder / n for n in ("flushed.img", "cut.img", "mnt"))
        self.mount.mkdir()
        self.copy(options.before, self.flushed)
        self.at = 0

    def copy(self, source, target):
        subprocess.run(["cp", "--sparse=always", source, target], check=True)

    def look(self, task):
        """Problems of one disk, and what its data sets came to."""
        with open(self.flushed, "r+b") as flushed:
            for interval in self.intervals[self.at : task.interval]:
                apply(flushed, interval.pieces)
        self.at = task.interval
        pieces, promised = self.intervals[task.interval]
        self.copy(self.flushed, self.image)
        with open(self.image, "r+b") as image:
            apply(image, [piece for n, piece in enumerate(pieces) if task.mask >> n & 1])
        found = self.mounted if self.options.recover == "mount" else self.repaired
        return found(lambda data: self.examine(data, promised, task.then_record))

    def mounted(self, examine):
        """Recovers with the kernel. What it refuses is repaired first, as at a start; that is counted."""
        mount = ["mount", "-t", self.options.fs, "-o", f"loop,{self.options.options}", self.image, self.mount]
        done, repaired = subprocess.run(mount, capture_output=True, text=True), []
        if done.returncode != 0 and self.options.fs == "ext4":
            subprocess.run(["e2fsck", "-fy", self.image], capture_output=True)
            done, repaired = subprocess.run(mount, capture_output=True, text=True), ["(mounted after e2fsck)"]
        if done.returncode != 0:
            return [f"cannot be mounted: {done.stderr.strip()}"], []
        try:
            problems, words = examine(self.mount)
            return problems, words + repaired
        finally:
            subprocess.run(["umount", self.mount], check=True)

    def repaired(self, examine):
        """Recovers with e2fsck, which needs no rights."""
        done = subprocess.run(["e2fsck", "-fy", self.image], capture_output=True, text=True)
        if done.returncode > 1:
            return [f"cannot be repaired: {done.stdout.strip()}"], []
        with tempfile.TemporaryDirectory(dir=self.folder) as data:
            rdump = ["debugfs", "-R", f"rdump /img {data}", self.image]
            subprocess.run(rdump, check=True, capture_output=True)
            return examine(pathlib.Path(data))

    def examine(self, data, promised, then_record):
        problems, reports = self.verified(data)
        files = self.recorded(data)
        for path, word in promised.items():
            place = data / pathlib.Path(path).relative_to(GUEST_DATA)
            if word == SAVED:
                problems += lost(place, files.get(place), self.truth.get(path))
            elif not reports.get(place, {}).get("complete"):
                problems.append(f"{path} was done and is not complete")
        words = [kind(report) for report in reports.values()]
        if then_record and not problems:
            problems = self.record_again(data, reports)
        return problems, words

    def verified(self, data):
        """Problems, and the reports of all folders that are, or were to become, data sets."""
        folders = sorted(data.glob("img/*/*/*"))
        if not folders:
            return [], {}
        verify = [self.options.planktor, "verify", "--json", *folders]
        done = subprocess.run(verify, capture_output=True, text=True)
        reports = {pathlib.Path(r["folder"]): r for r in map(json.loads, done.stdout.splitlines())}
        problems = [f"not verified: {folder}: {done.stderr}" for folder in folders if folder not in reports]
        problems += [f"{f}: {p['at']}: {p['what']}" for f, r in reports.items() for p in r["problems"]]
        return problems, reports

    def recorded(self, data):
        """Each recorded frame and its digest. A torn line is none: `planktor verify` has the last word on it."""
        files = {}
        for records in data.glob("img/*/*/*/frames.jsonl"):
            for line in records.read_bytes().split(b"\n")[:-1]:
                try:
                    record = json.loads(line)
                    files[records.parent / record["file"]] = record["sha1"]
                except (ValueError, KeyError, TypeError):
                    pass
        return files

    def record_again(self, data, before):
        """The next acquisition works, and changes nothing of what was there."""
        run = [self.options.planktor, "run", "--twin", NEXT, "--hurry", "--data", data]
        done = subprocess.run(run, capture_output=True, text=True)
        problems, reports = self.verified(data)
        new = [report for folder, report in reports.items() if folder not in before]
        if done.returncode != 0 or [report["complete"] for report in new] != [True]:
            problems.append(f"the next acquisition failed: {done.stdout[-500:]} {done.stderr}")
        problems += [f"{f}: changed by the next acquisition" for f, r in before.items() if reports.get(f) != r]
        return problems


def apply(image, pieces):
    for offset, data in pieces:
        image.seek(offset)
        image.write(data)


def lost(place, recorded, true):
    """What is wrong with a frame that was promised."""
    if not place.is_file():
        return [f"{place.name} was promised and is lost"]
    content = place.name.encode() + b"\0" + place.read_bytes()
    if not true == recorded == hashlib.sha1(content).hexdigest():
        return [f"{place.name} was promised and is not as it was recorded, or has no record"]
    return []


def kind(report):
    """A report's words without names and numbers, to count them."""
    if report["complete"]:
        return "complete"
    if report["problems"]:
        return "NOT valid"
    words = report["report"].partition(": ")[2] if report["valid"] else report["report"]
    return " ".join("(name)" if word.endswith((".jpg", ".jpg.part")) else word for word in words.split()).split(";")[0]


def arguments():
    parser = argparse.ArgumentParser(prog="power.sh", description=__doc__.splitlines()[0])
    parser.add_argument("log", help=argparse.SUPPRESS)
    parser.add_argument("before", help=argparse.SUPPRESS)
    parser.add_argument("planktor", help=argparse.SUPPRESS)
    parser.add_argument("--fs", default="ext4", help=argparse.SUPPRESS)
    parser.add_argument("--options", default="defaults", help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, default=128, help="disks between two flushes at most (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the subsets that are drawn (%(default)s)")
    parser.add_argument("--tear", type=int, default=4096, help="bytes that a disk writes as a whole (%(default)s)")
    parser.add_argument("--next", type=int, default=100, help="record again on every so many-th disk (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at the same time (%(default)s)")
    parser.add_argument("--recover", choices=["mount", "e2fsck"], default="mount" if os.geteuid() == 0 else "e2fsck",
                        help="by the kernel, as root, or by e2fsck (%(default)s)")
    parser.add_argument("--only", metavar="INTERVAL:MASK", help="look at this one disk, and keep it beside the log")
    return parser.parse_args()


def truth_of(intervals, options, folder):
    """What all the log comes to: every promised frame's digest. Nothing else would be worth looking at."""
    last = len(intervals) - 1
    bench = Bench(intervals, options, folder, {})
    truth = {}

    def note(data, *_):
        problems, reports = bench.verified(data)
        truth.update({f"{GUEST_DATA}/{f.relative_to(data)}": sha1 for f, sha1 in bench.recorded(data).items()})
        return problems + [f"{f} is not complete" for f, r in reports.items() if not r["complete"]], []

    bench.examine = note
    problems, _ = bench.look(Task(last, (1 << len(intervals[last].pieces)) - 1, False))
    promised = {path for path, word in intervals[last].promised.items() if word == SAVED}
    if problems or not promised or promised != truth.keys():
        sys.exit(f"the run itself went wrong: {len(promised)} frames promised, {len(truth)} recorded {problems}")
    return truth


def start(*of):
    global bench
    bench = Bench(*of)


def look(task):
    return task, *bench.look(task)


def main():
    options = arguments()
    started = time.monotonic()
    intervals = read_log(options.log, os.path.getsize(options.before), options.tear)
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    failed, words, count, again = [], collections.Counter(), 0, 0
    with tempfile.TemporaryDirectory(prefix="power-", dir=memory) as folder:
        truth = truth_of(intervals, options, folder)
        if options.only:
            at, mask = options.only.split(":")
            one = Bench(intervals, options, folder, truth)
            problems, found = one.look(Task(int(at), int(mask, 16), False))
            kept = pathlib.Path(options.log).with_name("cut.img")
            one.copy(one.image, kept)
            print("\n".join(problems + found + [f"the disk, after its recovery: {kept}"]))
            return bool(problems)
        print(f"log: {len(intervals)} intervals between flushes, {sum(len(i.pieces) for i in intervals)} pieces of "
              f"at most {options.tear} bytes, {len(truth)} frames promised")
        with multiprocessing.Pool(options.jobs, start, (intervals, options, folder, truth)) as pool:
            for task, problems, found in pool.imap_unordered(look, tasks(intervals, options)):
                count += 1
                again += task.then_record
                words.update(found)
                if problems:
                    failed.append((task, problems))
    for task, problems in failed[:10]:
        print(f"FAILED --only {task.interval}:{task.mask:x}", *problems[:5], sep="\n  ")
    print(f"{count} disks recovered by {options.recover} and verified in {time.monotonic() - started:.0f} s, "
          f"{again} of them recorded on again; data sets found:")
    for word, times in words.most_common():
        print(f"  {times:7} {word}")
    print(f"{len(failed)} of {count} disks have lost what was promised, or have something that is not valid")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
