# SPDX-License-Identifier: Apache-2.0
"""Changes files without pause, in every way, and knows what each must hold.

The knowledge is in memory, so an image of one instant has both as they belong together. Once
/run/check exists: compares the tree with what it knows, says "good N" or what is wrong, and goes on when it is gone.
"""
import mmap
import os
import random
import stat

TOP = "/data/tree"
COUNT = 3000
random.seed(int(os.environ.get("SEED", "1")))
files = {}  # path -> a mutable [bytearray, mode], shared by hard links
directories = [TOP + "/d0"]
mapped = []  # [path, record, the mapping or None]: files that are only changed through mappings
numbers = iter(range(1 << 60))
changes = 0


def new_path():
    return f"{random.choice(directories)}/f{next(numbers)}"


def some_bytes(n):
    return random.randbytes(n)


def create():
    path, data = new_path(), bytearray(some_bytes(random.choice((0, 10, 5000, 70000))))
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, 0o600)
    files[path] = [data, 0o600]


def spot(data):
    n = random.randint(1, min(50, len(data)))
    return random.randint(0, len(data) - n), some_bytes(n)


def overwrite(path, record):
    if record[0]:
        at, piece = spot(record[0])
        with open(path, "r+b") as f:
            f.seek(at)
            f.write(piece)
        record[0][at:at + len(piece)] = piece


def through_mapping(path, record):
    if not record[0]:
        return
    with open(path, "r+b") as f:
        area = mmap.mmap(f.fileno(), 0)
    for _ in range(3):
        at, piece = spot(record[0])
        area[at:at + len(piece)] = piece
        record[0][at:at + len(piece)] = piece
    area.close()


def use_mapped(_path, _record):
    """Stores into a page that is dirty already: no time tells of these changes."""
    path, record, area = entry = random.choice(mapped)
    if area is None:
        with open(path, "r+b") as f:
            area = entry[2] = mmap.mmap(f.fileno(), 0)
    at = random.randint(0, 40)
    area[at:at + 8] = record[0][at:at + 8] = some_bytes(8)
    if random.random() < 0.02:
        area.close()
        entry[2] = None


def resize(path, record):
    size = random.randint(0, 20000)
    os.truncate(path, size)
    data = record[0]
    data[:] = data[:size] + bytes(max(0, size - len(data)))


def mode(path, record):
    record[1] = random.choice((0o600, 0o640, 0o755))
    os.chmod(path, record[1])


def rename(path, record):
    new = random.choice(list(files)) if random.random() < 0.5 else new_path()
    if files.get(new) is not record:  # of two names of one file, rename(2) leaves both
        os.rename(path, new)
        files[new] = files.pop(path)


def link(path, record):
    new = new_path()
    os.link(path, new)
    files[new] = record


def unlink(path, _record):
    os.unlink(path)
    del files[path]


def move_directory(_path, _record):
    old = random.choice(directories)
    new = f"{TOP}/d{next(numbers)}"
    os.rename(old, new)
    directories[directories.index(old)] = new
    for path in [p for p in files if p.startswith(old + "/")]:
        files[new + path[len(old):]] = files.pop(path)


def check():
    seen, wrong = 0, []
    known = {**files, **{path: record for path, record, _ in mapped}}
    for top, _, names in os.walk(TOP):
        for name in names:
            path = f"{top}/{name}"
            seen += 1
            record = known.get(path)
            with open(path, "rb") as f:
                data = f.read()
            if record is None:
                wrong.append(f"{path} should not be there")
            elif data != record[0]:
                wrong.append(f"{path} holds something else")
            elif stat.S_IMODE(os.stat(path).st_mode) != record[1]:
                wrong.append(f"{path} has another mode")
    if seen < len(known):
        wrong.append(f"{len(known) - seen} files are missing")
    print("wrong " + "; ".join(wrong[:5]) if wrong else f"good {changes}", flush=True)


os.makedirs(directories[0])
for i in range(1, 6):
    directories.append(f"{TOP}/d{next(numbers)}x")
    os.mkdir(directories[-1])
for i in range(COUNT):
    create()
for i in range(16):
    name = f"{TOP}/mapped{i}"
    with open(name, "wb") as f:
        f.write(bytes(4096))
    os.chmod(name, 0o600)
    files[name] = [bytearray(4096), 0o600]
    mapped.append([name, files.pop(name), None])
WAYS = (overwrite, through_mapping, use_mapped, use_mapped, resize, mode, rename, link, unlink,
        move_directory)
print("changing", flush=True)
asked = False
while True:
    if os.path.exists("/run/check"):
        if not asked:
            check()
        asked = True
        os.sched_yield()
        continue
    asked = False
    if len(files) < COUNT:
        create()
        continue
    target = random.choice(list(files))
    way = random.choice(WAYS)
    if way is move_directory and random.random() < 0.9:
        continue
    way(target, files[target])
    changes += 1
