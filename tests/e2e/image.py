# SPDX-License-Identifier: Apache-2.0
"""Images taken apart and put together again with every checksum right, whatever their parts say.

What is changed is what a hostile writer would change: the manifest `m`, the tar members of the files, the
chunks of pages. `parse(bytes)` gives an Image, `build()` its bytes.
"""
import ctypes
import json
import struct
import tarfile

BLOCK = 512
PAGE = 4096
_xxh = ctypes.CDLL("libxxhash.so.0")
_xxh.XXH3_64bits.restype = ctypes.c_uint64
_xxh.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


class _Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


_xxh.XXH3_128bits.restype = _Hash128
_xxh.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def xxh3(data):
    return _xxh.XXH3_64bits(bytes(data), len(data))


def padded(data, to=BLOCK):
    return bytes(data) + bytes(-len(data) % to)


def header(name, size, kind, mtime=0):
    """A ustar header of podckpt's own members."""
    head = bytearray(BLOCK)
    for at, field in ((0, name.encode()), (100, b"0000600"), (108, b"0000000"), (116, b"0000000"),
                      (124, b"%011o" % size), (136, b"%011o" % mtime), (148, b" " * 8), (156, kind),
                      (257, b"ustar\0" + b"00"), (265, b"root"), (297, b"root"), (329, b"0000000"), (337, b"0000000")):
        head[at:at + len(field)] = field
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def record(text, length=0):
    line = b" comment=" + text + b"\n"
    total = len(line)
    while total != len(line) + len(str(total)):
        total = len(line) + len(str(total))
    assert not length or total == length
    return str(total).encode() + line


def small(name, data):
    """A small member: its checksum stands in its head."""
    extended = record(b"xxh3 %016x" % xxh3(data))
    return (header("PaxHeaders/" + name, len(extended), b"x") + padded(extended) +
            header(name, len(data), b"0") + padded(data))


class Chunk:
    """A chunk of pages: its header's fields, its runs [address, pages], its payload as stored."""

    def __init__(self, name, runs, payload, compression=0, pages=None, space=None):
        self.name, self.runs, self.payload, self.compression = name, runs, payload, compression
        self.pages = sum(n for _, n in runs) if pages is None else pages
        self.space = name.rsplit("/", 1)[0] if space is None else space
        self.n_runs = self.payload_size = None
        self.hash = 0

    @classmethod
    def parse(cls, name, data):
        size, compression = struct.unpack_from("<II", data, 12)
        pages, n_runs = struct.unpack_from("<QQ", data, 32)
        runs = [list(struct.unpack_from("<QQ", data, 128 + 16 * i)) for i in range(n_runs)]
        return cls(name, runs, data[size:], compression, pages)

    def data(self):
        table = b"".join(struct.pack("<QQ", *run) for run in self.runs)
        size = len(padded(bytes(128) + table, PAGE))
        count = len(self.runs) if self.n_runs is None else self.n_runs
        stored = len(self.payload) if self.payload_size is None else self.payload_size
        head = bytearray(padded(struct.pack("<8sIIIIQQQQQ64s", b"podpages", 1, size, self.compression, PAGE, stored,
                                            self.pages, count, xxh3(self.payload), 0, self.space.encode()) + table,
                                PAGE))
        self.hash = xxh3(head)
        struct.pack_into("<Q", head, 56, self.hash)
        return bytes(head) + self.payload

    def member(self, at):
        """As it stands in an image from byte `at` on."""
        data = self.data()
        length = PAGE - (at + 2 * BLOCK) % PAGE
        dots = length - len("%d comment=\n" % length)
        extended = record(b"." * dots, length)
        return (header("PaxHeaders/" + self.name, len(extended), b"x") + extended +
                header(self.name, len(data), b"0") + padded(data)), len(data)


def entry(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644, uid=0, pax=None, device=(0, 0), size=None):
    """A member of the files, head and data."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.uid, info.pax_headers = kind, link, mode, uid, dict(pax or {})
    info.devmajor, info.devminor = device
    info.size = len(data) if size is None else size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + padded(data)


class Image:
    def __init__(self, m, files, chunks):
        self.m, self.files, self.chunks = m, files, chunks
        self.text = None  # the manifest's, where it is not what `m` makes

    def find(self, name):
        """The number of the first member of the files whose path is that (of its last header)."""
        for i, (path, _) in enumerate(self.files):
            if path == name:
                return i
        raise KeyError(name)

    def add(self, *args, at=None, **kwargs):
        """A member of the files, at the end or in front of that name."""
        where = len(self.files) if at is None else self.find(at)
        self.files.insert(where, (args[0], entry(*args, **kwargs)))

    def build(self):
        text = self.text if self.text is not None else json.dumps(self.m).encode()
        out = [small("manifest.json", text)]
        rows = [("manifest.json", len(text), xxh3(text))]
        group = b"".join(data for _, data in self.files)
        if group:
            rows.append(("files", len(group), xxh3(group)))
            out.append(group)
        at = sum(map(len, out))
        for chunk in self.chunks:
            member, size = chunk.member(at)
            rows.append((chunk.name, size, chunk.hash))
            out.append(member)
            at += len(member)
        lines = "".join("%s %d %016x\n" % row for row in rows).encode()
        digest = _xxh.XXH3_128bits(lines, len(lines))
        end = {"version": 1, "members": [{"name": n, "size": s, "xxh3": "%016x" % x} for n, s, x in rows],
               "digest": "%016x%016x" % (digest.high, digest.low)}
        out.append(small("end.json", json.dumps(end).encode()))
        return b"".join(out) + bytes(2 * BLOCK)


def parse(image):
    m, files, chunks = None, [], []
    at = begin = 0
    name = None
    while image[at:at + BLOCK] != bytes(BLOCK):
        head = image[at:at + BLOCK]
        size = int(head[124:135].rstrip(b"\0 ") or b"0", 8)
        kind = head[156:157]
        data = image[at + BLOCK:at + BLOCK + size]
        at += BLOCK + len(padded(data))
        if kind == b"x":
            for line in data.split(b"\n"):
                if b" path=" in line:
                    name = line.split(b" path=", 1)[1].decode("utf-8", "surrogateescape")
            continue
        if name is None:
            prefix = head[345:500].rstrip(b"\0")
            name = (prefix + b"/" * bool(prefix) + head[:100].rstrip(b"\0")).decode("utf-8", "surrogateescape")
        if name == "manifest.json":
            m = json.loads(data)
        elif name.startswith(("mem/", "shm/")):
            chunks.append(Chunk.parse(name, data))
        elif name != "end.json":
            files.append((name.rstrip("/"), image[begin:at]))
        begin, name = at, None
    return Image(m, files, chunks)
