#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""slow-reader.py HOST PORT PATH GO: fetches by HTTP, so slowly that the server waits, until the file GO is there.

Prints "begun" when it has some of it, and at the end the SHA-256 of what came; 1 when it is not all.
"""
import hashlib
import os
import socket
import sys
import time

host, port, path, go = sys.argv[1:]
connection = socket.create_connection((host, int(port)))
connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
stream = connection.makefile("rb", buffering=4096)
length = None
while (line := stream.readline().strip()) != b"":
    name, _, value = line.partition(b":")
    if name.lower() == b"content-length":
        length = int(value)
digest = hashlib.sha256()
got = 0
while data := stream.read1(65536):
    got += len(data)
    digest.update(data)
    if got == len(data):
        print("begun", flush=True)
    if not os.path.exists(go):
        time.sleep(0.05)
print(digest.hexdigest())
sys.exit(got != length)
