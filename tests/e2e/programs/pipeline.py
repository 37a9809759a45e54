# SPDX-License-Identifier: Apache-2.0
"""Numbers travel through threads, a queue, pipes and two other processes, and must come back in order,
none lost, none doubled. Prints "passed N" now and then; SIGTERM ends it, with the verdict as exit code."""
import queue, signal, subprocess, sys, threading, time

STAGE = """
import sys
for line in sys.stdin:
    n = int(line)
    print(n {operation})
    sys.stdout.flush()
"""


def stage(operation):
    return subprocess.Popen([sys.executable, "-c", STAGE.format(operation=operation)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


numbers = queue.Queue(maxsize=50)
results = queue.Queue(maxsize=50)
ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())
triple, add = stage("* 3"), stage("+ 1")


def produce():
    n = 0
    while not ending.is_set():
        numbers.put(n)
        n += 1
        time.sleep(0.0005)
    numbers.put(None)


def feed():
    while (n := numbers.get()) is not None:
        print(n, file=triple.stdin, flush=True)
    triple.stdin.close()


def forward():
    for line in triple.stdout:
        add.stdin.write(line)
        add.stdin.flush()
    add.stdin.close()


def collect():
    for line in add.stdout:
        results.put(int(line))
    results.put(None)


threads = [threading.Thread(target=f) for f in (produce, feed, forward, collect)]
for t in threads:
    t.start()
expected = 0
while (n := results.get()) is not None:
    if n != expected * 3 + 1:
        print("wrong: got", n, "for", expected, flush=True)
        sys.exit(1)
    expected += 1
    if expected % 100 == 0:
        print("passed", expected, flush=True)
for t in threads:
    t.join()
if triple.wait() or add.wait():
    sys.exit(2)
print("finished after", expected, flush=True)
