#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""short-client.py ADDRESS CLIENTS STOP: clients that connect, ask and read the answer to its end, again and again without pause.

Until the file STOP is there; then prints "all N". Prints "answers N" for each hundred of the client that has the
fewest, and ends with a message and 1 when a connection fails or an answer is not whole.
"""
import os
import socket
import sys
import threading
import time

address, clients, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
answers = [0] * clients


def ask(i):
    try:
        while not os.path.exists(stop):
            with socket.create_connection((address, 7300)) as c:
                c.sendall(b"?")
                answer = c.makefile("rb").read()
            if answer != b"x" * 2000:
                print("client", i, "got", len(answer), "bytes", flush=True)
                os._exit(1)
            answers[i] += 1
    except OSError as e:
        print("client", i, "after", answers[i], "answers:", e, flush=True)
        os._exit(1)


threads = [threading.Thread(target=ask, args=(i,)) for i in range(clients)]
for thread in threads:
    thread.start()
told = 0
while any(thread.is_alive() for thread in threads):
    time.sleep(0.02)
    least = min(answers) // 100 * 100
    if least > told:
        told = least
        print("answers", told, flush=True)
print("all", sum(answers))
