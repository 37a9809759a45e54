#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chat.py [ADDRESS]: two that talk over TCP, this one with the other at ADDRESS, or with who calls.

Both send numbers in order without pause, a line each, and check that those of the other come in order. Prints
"heard N" for each thousandth. Where /run/stop is made it sends "end", reads what comes until the other's, and prints "all".
"""
import os
import socket
import sys
import threading
import time


def hear(c):
    expected = 0
    for line in c.makefile("r"):
        if line == "end\n":
            print("all", expected, flush=True)
            return
        if int(line) != expected:
            print("wrong", line, "for", expected, flush=True)
            os._exit(1)
        expected += 1
        if expected % 1000 == 0:
            print("heard", expected, flush=True)
    print("the other is gone", flush=True)
    os._exit(1)


if len(sys.argv) > 1:
    talk = socket.create_connection((sys.argv[1], 7000))
else:
    server = socket.create_server(("", 7000))
    print("listening", flush=True)
    talk, _ = server.accept()
    server.close()
ear = threading.Thread(target=hear, args=(talk,), daemon=True)
ear.start()
number = 0
try:
    while not os.path.exists("/run/stop"):
        talk.sendall("".join(f"{n}\n" for n in range(number, number + 50)).encode())
        number += 50
        time.sleep(0.001)
    print("said", number, flush=True)
    talk.sendall(b"end\n")
    ear.join()
except OSError as e:
    print("the other is gone:", e, flush=True)
    os._exit(1)
