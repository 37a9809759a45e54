#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""short-server.py: answers one request of each connection with 2000 bytes and closes it. Accepts nothing while /run/wait is there,
and makes /run/waiting when it has seen that."""
import os
import socket
import time

server = socket.create_server(("", 7300), backlog=100)
print("listening", flush=True)
while True:
    if os.path.exists("/run/wait"):
        open("/run/waiting", "w").close()
        while os.path.exists("/run/wait"):
            time.sleep(0.02)
        os.unlink("/run/waiting")
    client, _ = server.accept()
    try:
        client.recv(100)
        client.sendall(b"x" * 2000)
    except OSError:
        pass
    client.close()
