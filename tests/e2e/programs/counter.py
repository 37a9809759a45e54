# SPDX-License-Identifier: Apache-2.0
"""Counts for ever, ten lines a second: number, its own PID, seconds of the monotonic clock. SIGTERM ends it
with exit code 7. An argument is the megabytes of random memory to hold and to check at every count."""
import hashlib, os, signal, sys, time

size = int(sys.argv[1]) << 20 if len(sys.argv) > 1 else 0
memory = bytearray(os.urandom(size))
digest = hashlib.sha1(memory).digest()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
number = 0
while True:
    if size and number % 10 == 0 and hashlib.sha1(memory).digest() != digest:
        sys.exit("the memory has changed")
    print("count", number, os.getpid(), "%.3f" % time.monotonic(), flush=True)
    number += 1
    time.sleep(0.1)
