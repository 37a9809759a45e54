#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""image-edit.py STATEMENT < IMAGE > NEW: an image whose parts were changed and whose checksums are right.

`image` is it (tests/e2e/image.py), `m` its manifest, `p` the first process, `t` that one's first thread.
"""
import sys
import tarfile  # noqa: F401  for STATEMENT

sys.dont_write_bytecode = True
from image import Chunk, Image, entry, parse  # noqa: E402,F401

original = sys.stdin.buffer.read()
image = parse(original)
m = image.m
p = m["processes"][0]
t = p["threads"][0]
exec(sys.argv[1])
new = image.build()
assert new != original
sys.stdout.buffer.write(new)
