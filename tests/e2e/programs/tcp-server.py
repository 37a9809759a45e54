#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tcp-server.py FAMILY PORT: the end in the pod. Each connection begins with a line that says what it is for:

echo            every byte comes back
count           numbers, four bytes each, in order, until the client closes; what it sends is checked likewise
hold            reads nothing until /run/read exists, then everything, and answers with a digest
fill            sends 8 MB and ends; reads what comes and says how much it was on standard output, and
                whether segments to the client stayed as large as they were
"""
import hashlib
import os
import socket
import struct
import sys
import threading
import time


def line(c):
    text = b""
    while not text.endswith(b"\n"):
        text += c.recv(1)
    return text.decode().split()


def echo(c):
    while data := c.recv(65536):
        c.sendall(data)


def numbers(c, say):
    """Sends numbers and checks those that come."""
    def check():
        expected, rest = 0, b""
        while data := c.recv(65536):
            rest += data
            while len(rest) >= 4:
                number = struct.unpack("!I", rest[:4])[0]
                if number != expected:
                    say(f"bad {number} for {expected}")
                    os._exit(1)
                expected, rest = expected + 1, rest[4:]
        say(f"counted {expected}")
    reader = threading.Thread(target=check)
    reader.start()
    n = 0
    try:
        while reader.is_alive():
            c.sendall(struct.pack("!I", n))
            n += 1
            if n % 50 == 0:
                time.sleep(0.001)
    except OSError:
        pass
    reader.join()


def hold(c):
    while not os.path.exists("/run/read"):
        time.sleep(0.02)
    digest = hashlib.sha256()
    while data := c.recv(65536):
        digest.update(data)
    c.sendall(digest.hexdigest().encode())


def segment(c):
    """TCP_INFO: tcpi_snd_mss"""
    return struct.unpack_from("I", c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 16)[0]


def fill(c):
    pattern = bytes(range(256)) * 4096
    before = segment(c)
    for _ in range(8):
        c.sendall(pattern)
    after = segment(c)
    c.shutdown(socket.SHUT_WR)
    got = 0
    while data := c.recv(65536):
        got += len(data)
    say(f"got {got}, segments are {'as large' if after == before else f'of {after}, not {before}'}")


def say(text):
    # In one piece, whoever else speaks at the time.
    os.write(1, f"{text}\n".encode())


def serve(c):
    words = line(c)
    {"echo": echo, "count": lambda c: numbers(c, say), "hold": hold, "fill": fill}[words[0]](c)
    c.close()


family = socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET
server = socket.create_server(("", int(sys.argv[2])), family=family)
say("listening")
while True:
    connection, _ = server.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
