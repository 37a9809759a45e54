#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""slow-client.py ADDRESS PATH GO FILE: asks for PATH by HTTP with hardly any room for the answer, reads nothing
until the file GO is there, and then writes the body to FILE."""
import os
import socket
import sys
import time

address, path, go, file = sys.argv[1:]
with socket.socket() as c:
    c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.connect((address, 80))
    c.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    while not os.path.exists(go):
        time.sleep(0.02)
    answer = c.makefile("rb").read()
with open(file, "wb") as f:
    f.write(answer.split(b"\r\n\r\n", 1)[1])
