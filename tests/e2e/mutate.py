#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutate.py bits|cuts|manifest IMAGE [COUNT]: restores changed copies of an image, one after another.

COUNT of all possible changes (all of them without it, or with 0), spread by the random seed of $SEED (printed; a fixed
one without it). Of each copy:

    bits, cuts   it is refused in one line with exit code 6
    manifest     all checksums are right: it is refused in one line, or the pod is restored, comes out equal
                 (--verify) and can be removed

and always it takes no longer than 120 s, little more memory than the image itself, and leaves nothing.
The last line counts what came out. Exit code 1 if anything else happened.
"""
import collections
import copy
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
from image import parse  # noqa: E402

PODCKPT = os.environ["PODCKPT"]
ROOT = os.environ["PODCKPT_ROOT"]
# Never those of the command line (2), of a pod that is not there (3), holds something (4), is busy (10), or of
# the user (11).
REFUSALS = {1: "failed", 5: "not on this host", 6: "malformed", 7: "differs", 8: "taken", 12: "not granted"}
TWICE = "\0twice "


# ---- what is left ----

def leftovers(name):
    found = [f"pods/{left}" for left in os.listdir(ROOT + "/pods") if not left.startswith(".")]
    with open("/proc/self/mountinfo", encoding="utf-8", errors="backslashreplace") as file:
        found += [line for line in file if ROOT + "/" in line]
    for top, directories, _ in os.walk("/sys/fs/cgroup"):
        if top.count("/") > 6:
            directories.clear()
        found += [os.path.join(top, one) for one in directories if name and name in one]
    return found


def run(*arguments):
    """Exit code, output, errors, peak memory in KB."""
    with tempfile.TemporaryFile("w+", errors="backslashreplace") as out, \
            tempfile.TemporaryFile("w+", errors="backslashreplace") as err:
        child = subprocess.Popen([PODCKPT, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        timer = threading.Timer(120, child.kill)
        timer.start()
        _, status, usage = os.wait4(child.pid, 0)
        timer.cancel()
        child.returncode = code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGKILL:
            return code, "", "killed, perhaps after 120 s", 0
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read(), usage.ru_maxrss


class Tried:
    def __init__(self, path, limit, exact):
        self.path, self.limit, self.exact = path, limit, exact
        self.counts, self.faults, self.peak = collections.Counter(), 0, 0
        self.texts = collections.Counter()

    def fault(self, what, why):
        self.faults += 1
        print(f"fault: {what}: {why}", flush=True)

    def judge(self, what, code, out, err, rss):
        lines = err.splitlines()
        self.peak = max(self.peak, rss)
        if rss > self.limit:
            self.fault(what, f"{rss} KB of memory")
        if code == 0:
            self.counts["restored"] += 1
            if self.exact:
                self.fault(what, "restored")
            return
        self.counts[REFUSALS.get(code, f"exit code {code}")] += 1
        if code not in REFUSALS or (self.exact and code != 6):
            self.fault(what, f"exit code {code}: {err.strip()}")
        elif not lines or out or (len(lines) > 1 and code not in (7, 12)):
            self.fault(what, f"not one line: {err.strip()!r} {out.strip()!r}")
        elif not all(line.startswith(f"podckpt: restore {self.path}: ") and line.isprintable() for line in lines):
            self.fault(what, f"not this image's: {err.strip()!r}")
        self.texts.update(re.sub(r"\d+", "N", line) for line in lines)

    def one(self, what, data, name):
        with open(self.path, "wb") as file:
            file.write(data)
        code, out, err, rss = run("restore", "-d", "--verify", self.path)
        self.judge(what, code, out, err, rss)
        if code == 0:
            for pod in os.listdir(ROOT + "/pods"):
                removed = run("rm", "-f", pod)
                if removed[0]:
                    self.fault(what, f"cannot be removed: {removed[2]}")
        left = leftovers(name)
        if left:
            self.fault(what, f"left behind: {left}")
            run("rm", "-f", "-a")


# ---- damage ----

def bits(image, random_bits):
    """Every bit; the text of the manifest's `tool` is under its checksum too."""
    for at in random_bits(len(image) * 8):
        changed = bytearray(image)
        changed[at // 8] ^= 1 << at % 8
        yield f"bit {at % 8} of byte {at // 8}", changed


def cuts(image, random_cuts):
    for at in random_cuts(len(image) - 1):
        yield f"cut at {at}", image[:at]


# ---- the manifest ----

def places(value, path=()):
    """Every value of the manifest with its path, but for those inside `tool`."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        if path + (key,) == ("tool",):
            continue
        yield path + (key,), inner
        if isinstance(inner, (dict, list)):
            yield from places(inner, path + (key,))


def replacements(value):
    """What stands there instead, by its name."""
    yield "null", None
    if isinstance(value, bool):
        yield "turned round", not value
        yield "a number", 7
    elif isinstance(value, int):
        yield "a string", "x"
        for number in (-1, 0, value + 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**64 - 1, -2**63, 10**40):
            if number != value:
                yield str(number), number
        yield "a fraction", 0.5
    elif isinstance(value, str):
        yield "a number", 7
        yield "empty", ""
        yield "long", "A" * 100000
        yield "two lines", value + "\nx\x1b[2J"
        yield "a NUL", value + "\0"
        if value.startswith("0x"):
            for text in ("0x0", "0xffffffffffffffff", "0x1ffffffffffffffff", "0x7fffffffffff", "0X1", "0x"):
                yield text, text
        if value.startswith("/"):
            for text in ("relative", "/../../../etc", "//", "/proc/self/root", "/" + "d/" * 3000 + "d"):
                yield text[:20], text
    elif isinstance(value, dict):
        yield "an array", []
        yield "a number", 7
        yield "empty", {}
        yield "one more field", {**value, "unheard-of": 1}
    elif isinstance(value, list):
        yield "an object", {}
        yield "a string", "x"
        yield "empty", []
        if value:
            yield "the first twice", [value[0], *value]
            yield "the last twice", [*value, value[-1]]
        if len(value) > 1:
            yield "turned round", value[::-1]


def changed(m, path, change):
    """A copy of the manifest where change(container, key) was done at the path; only that path is copied."""
    new = at = copy.copy(m)
    for key in path[:-1]:
        at[key] = copy.copy(at[key])
        at = at[key]
    change(at, path[-1])
    return new


def put(value):
    def change(container, key):
        container[key] = value
    return change


def remove(container, key):
    del container[key]


def twice(container, key):
    container[TWICE + key] = container[key]


def every_change(m):
    for path, value in places(m):
        name = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:]
        yield f"{name} removed", path, remove
        if isinstance(path[-1], str):
            yield f"{name} twice", path, twice
        for what, new in replacements(value):
            yield f"{name} = {what}", path, put(new)


def manifests(image, random_changes):
    whole = parse(image)
    everything = list(every_change(whole.m))
    m = whole.m
    for at in random_changes(len(everything)):
        what, path, change = everything[at]
        whole.text = json.dumps(changed(m, path, change)).replace(json.dumps(TWICE)[1:-1], "").encode()
        yield what, whole.build()


def main():
    mode, path = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] else 0
    seed = int(os.environ.get("SEED") or 20240229)
    pick = random.Random(seed)
    with open(path, "rb") as file:
        image = file.read()

    def some(total):
        return sorted(pick.sample(range(total), min(count, total))) if count else range(total)

    name = parse(image).m["pod"]["name"]
    base = run("inspect", path)
    assert base[0] == 0, base
    # The tests' own memory does not count for what it starts.
    limit = max(base[3], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) + 100 * 1024
    tried = Tried(path + ".changed.tar", limit, mode != "manifest")
    done = 0
    for what, data in {"bits": bits, "cuts": cuts, "manifest": manifests}[mode](image, some):
        tried.one(what, data, name)
        done += 1
    os.unlink(tried.path)
    if os.environ.get("TEXTS"):
        for text, n in tried.texts.most_common():
            print(f"{n:6} {text}")
    counts = ", ".join(f"{n} {what}" for what, n in sorted(tried.counts.items()))
    print(f"{mode}: {done} tried with seed {seed}: {counts}; {tried.faults} faults; {tried.peak} KB at most")
    sys.exit(1 if tried.faults or not done else 0)


main()
