#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""manifest-edit.py STATEMENT < IMAGE > NEW: the beginning of an image, its manifest `m` changed, well-formed.

What is refused by its manifest is refused before anything else of the image is read.
"""
import ctypes
import json
import sys

BLOCK = 512
image = bytearray(sys.stdin.buffer.read())
size = int(image[2 * BLOCK + 124:2 * BLOCK + 135], 8)
m = json.loads(image[3 * BLOCK:3 * BLOCK + size])
old = json.dumps(m)
exec(sys.argv[1])
text = json.dumps(m).encode()
assert text.decode() != old
xxh = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
xxh.restype, xxh.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]

record, head = image[BLOCK:2 * BLOCK], image[2 * BLOCK:3 * BLOCK]
at = record.index(b"comment=xxh3 ") + 13
record[at:at + 16] = b"%016x" % xxh(text, len(text))
head[124:136] = b"%011o\0" % len(text)
head[148:156] = b" " * 8
head[148:156] = b"%06o\0 " % sum(head)
sys.stdout.buffer.write(image[:BLOCK] + record + head + text + bytes(-len(text) % BLOCK) + bytes(2 * BLOCK))
