#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""short-server.py: answers one request of each connection with 2000 bytes and closes it. Accepts nothing while /run/wait is there."""
import os
import socket
import time

server = socket.create_server(("", 7300), backlog=100)
print("listening", flush=True)
while True:
    while os.path.exists("/run/wait"):
        time.sleep(0.02)
    client, _ = server.accept()
    try:
        client.recv(100)
        client.sendall(b"x" * 2000)
    except OSError:
        pass
    client.close()
