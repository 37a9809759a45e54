#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""silent.py [ADDRESS TURN...]: a line protocol. Without arguments the server: answers "N: LINE" to the Nth line of a connection.

The client asks once at the beginning, once for each file TURN when it is there, and says nothing in between.
"""
import os
import socket
import sys
import threading
import time


def serve(c):
    for n, line in enumerate(c.makefile("r")):
        c.sendall(f"{n}: {line}".encode())


if len(sys.argv) == 1:
    server = socket.create_server(("", 7100))
    print("listening", flush=True)
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],)).start()
talk = socket.create_connection((sys.argv[1], 7100))
stream = talk.makefile("rw")
for n, turn in enumerate([None] + sys.argv[2:]):
    while turn and not os.path.exists(turn):
        time.sleep(0.05)
    stream.write(f"line {n}\n")
    stream.flush()
    answer = stream.readline()
    if answer != f"{n}: line {n}\n":
        sys.exit(f"asked {n}, got {answer!r}")
    print("answered", n, flush=True)
