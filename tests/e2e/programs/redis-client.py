# SPDX-License-Identifier: Apache-2.0
"""Asks a redis-server over one connection for keys that redis.bats has set, for ever; every answer
is compared. Prints a line for each thousand good answers, ends with a message at a wrong one."""
import random, socket, sys

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
stream = connection.makefile("rwb")
good = 0
while True:
    n = random.randint(1, 200000)
    key = b"key:%d" % n
    stream.write(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key))
    stream.flush()
    length = stream.readline()
    value = stream.readline()
    if value != b"the value of %d\r\n" % n:
        sys.exit("wrong: %r %r" % (length, value))
    good += 1
    if good % 1000 == 0:
        print("good", good, flush=True)
