#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tcp-client.py ADDRESS PORT WHAT: the end outside; see tcp-server.py. Prints what it has found out, line by line.

Waits for a file `go` in the current directory where it is to wait for the test.
"""
import hashlib
import os
import select
import socket
import struct
import sys
import time


def say(text):
    print(text, flush=True)


def wait_go():
    while not os.path.exists("go"):
        time.sleep(0.02)


def connect():
    info = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), type=socket.SOCK_STREAM)[0]
    c = socket.socket(info[0], info[1])
    c.settimeout(300)
    c.connect(info[4])
    return c


def count(c):
    """Both ways without pause until `go`; says how long the longest silence was."""
    c.setblocking(False)
    sent = expected = 0
    rest = out = b""
    last, gap = time.monotonic(), 0.0
    said = False
    while not os.path.exists("go"):
        if len(out) < 4096:
            out += b"".join(struct.pack("!I", sent + i) for i in range(1024))
            sent += 1024
        readable, writable, _ = select.select([c], [c] if len(out) else [], [], 0.1)
        if writable:
            out = out[c.send(out):]
        if not readable:
            continue
        data = c.recv(65536)
        if not data:
            sys.exit("end of file")
        gap, last = max(gap, time.monotonic() - last), time.monotonic()
        rest += data
        for i in range(0, len(rest) - 3, 4):
            number = struct.unpack_from("!I", rest, i)[0]
            if number != expected:
                sys.exit(f"bad {number} for {expected}")
            expected += 1
        rest = rest[len(rest) & ~3:]
        if expected > 1000 and not said:
            said = True
            say("counting")
        time.sleep(0.001)
    c.settimeout(300)
    c.sendall(out)
    c.shutdown(socket.SHUT_WR)
    while data := c.recv(65536):
        rest += data
        for i in range(0, len(rest) - 3, 4):
            if struct.unpack_from("!I", rest, i)[0] != expected:
                sys.exit("bad end")
            expected += 1
        rest = rest[len(rest) & ~3:]
    say(f"sent {sent} received {expected} gap {gap:.3f}")


def hold(c):
    """Sends until nothing goes any more."""
    c.setblocking(False)
    digest, n, quiet = hashlib.sha256(), 0, 0
    while quiet < 20:
        data = struct.pack("!I", n) * 1024
        try:
            done = c.send(data)
            digest.update(data[:done])
            n, quiet = n + 1, 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.01)
    c.settimeout(300)
    c.shutdown(socket.SHUT_WR)
    say("full")
    wait_go()
    got = b""
    while data := c.recv(65536):
        got += data
    say("same" if got.decode() == digest.hexdigest() else f"other {got}")


def fill(c):
    say("connected")
    wait_go()
    pattern, n = bytes(range(256)), 0
    while data := c.recv(65536):
        for i in range(0, len(data), 4099):
            if data[i] != pattern[(n + i) % 256]:
                sys.exit("bad byte")
        n += len(data)
    c.sendall(b"thanks")
    say(f"got {n}")


def echo(c):
    say("connected")
    wait_go()
    c.sendall(b"hello")
    say(f"answer {c.recv(100).decode()}")


client = connect()
client.sendall((sys.argv[3] + "\n").encode())
{"echo": echo, "count": count, "hold": hold, "fill": fill}[sys.argv[3]](client)
client.close()
