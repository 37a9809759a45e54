#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""together.py FILE SLOT MEGABYTES: says without pause, in memory that it shares with other pods, that it runs.

Slot SLOT of FILE is four doubles: the seconds since 1970 of the last look at the clock; when the longest pause between
two looks began and ended; and the number of looks. The megabytes of random memory make its checkpoint take time.
"""
import mmap
import os
import struct
import sys
import time

memory = os.urandom(int(sys.argv[3]) << 20)
with open(sys.argv[1], "r+b") as file:
    shared = mmap.mmap(file.fileno(), 4096)
slot = struct.Struct("4d")
at = int(sys.argv[2]) * slot.size
begin = end = before = time.time()
looks = 0
print("looking", flush=True)
while True:
    now = time.time()
    if now - before > end - begin:
        begin, end = before, now
    before = now
    looks += 1
    slot.pack_into(shared, at, now, begin, end, looks)
    if looks % 100 == 0:
        time.sleep(0.001)
