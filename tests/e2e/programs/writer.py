#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""writer.py ADDRESS CLIENTS STOP: clients of a redis-server that append to a list each, without pause, over one connection each.

Every answer is the length of the list: a write that is lost, doubled or answered twice shows at once. Prints
"written N" for each hundredth of the client that has written least; when the file STOP is there, reads the lists and
prints "all N". Ends with a message and 1 when a connection ends or an answer is wrong.
"""
import os
import socket
import sys
import threading
import time

address, clients, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
written = [0] * clients


def fail(*words):
    print(*words, flush=True)
    os._exit(1)


def ask(stream, *words):
    stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
    stream.flush()
    return stream.readline()


def write(i):
    try:
        connection = socket.create_connection((address, 6379))
        stream = connection.makefile("rwb")
        key = b"list:%d" % i
        while not os.path.exists(stop):
            answer = ask(stream, b"RPUSH", key, b"%d" % written[i])
            written[i] += 1
            if answer != b":%d\r\n" % written[i]:
                fail("client", i, "wrote", written[i], "and got", answer)
        got = ask(stream, b"LRANGE", key, b"0", b"-1")
        if got != b"*%d\r\n" % written[i]:
            fail("client", i, "wrote", written[i], "and reads", got)
        for n in range(written[i]):
            stream.readline()
            value = stream.readline()
            if value != b"%d\r\n" % n:
                fail("client", i, "reads", value, "for", n)
    except OSError as e:
        fail("client", i, "has lost its connection:", e)


threads = [threading.Thread(target=write, args=(i,)) for i in range(clients)]
for thread in threads:
    thread.start()
told = 0
while any(thread.is_alive() for thread in threads):
    time.sleep(0.02)
    least = min(written) // 100 * 100
    if least > told:
        told = least
        print("written", told, flush=True)
print("all", sum(written))
