# SPDX-License-Identifier: Apache-2.0
"""Who talks to the pod of tests/faults/run from outside, by connections that no descriptor in the pod leads to: some wait to be
accepted with their bytes, some were closed by the server while it had more to send, one is over."""
import socket, time

AHEAD, REST = 5000, 30000  # of tests/victims/busy.c
# Seconds for an answer: a busy host drops packets, and who has no room to send asks again after ever longer times.
PATIENCE = 100
OVER_FOR = 45  # seconds that what is left of a connection is surely there, of 60
TIME_WAIT = "06"
# tcp_byte() of tests/victims/tcp.h
STREAM = bytes((at * 2654435761 & 0xffffffff) >> 13 & 0xff for at in range(REST + 1))


class Clients:
    def __init__(self, ip):
        self.ip, self.waiting, self.unread, self.over, self.since = ip, [], [], None, 0

    def forget(self):
        for s in self.waiting + self.unread:
            s.close()
        self.waiting, self.unread, self.over = [], [], None

    def connect(self, port=4001):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(PATIENCE)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10000)
        s.connect((self.ip, port))
        return s

    def visit(self, proc):
        """Why the pod whose /proc/PID this is does not serve them as it should, or None. Others stand there afterwards."""
        what = "its server"
        try:
            with self.connect(4000) as s:
                if exactly(s, 5) != b"here\n":
                    return "its server says nothing"
                what = "what is left of a connection that is over"
                if self.over and time.monotonic() < self.since + OVER_FOR and not self.is_over(proc):
                    return f"{what} is not there"
                what = "a connection that waited to be accepted"
                for c in self.waiting:
                    self.served(s, c)
                what = "a connection that the server had closed"
                for c in self.unread:
                    self.reads_rest(c)
                what = "a new connection"
                self.stand(s, proc)
                s.shutdown(socket.SHUT_WR)
                while s.recv(100):
                    pass
        except (OSError, ValueError) as e:
            return f"{what}: {e}"
        return None

    def served(self, s, c):
        s.sendall(b"s")
        if exactly(c, AHEAD) != STREAM[1:AHEAD + 1]:
            raise ValueError("the answer differs")
        c.close()
        said(s)

    @staticmethod
    def reads_rest(c):
        if exactly(c, REST) != STREAM[:REST]:
            raise ValueError("the rest differs")
        if c.recv(1):
            raise ValueError("there is more than was sent")
        c.close()

    def stand(self, s, proc):
        self.waiting, self.unread = [], []
        if time.monotonic() > self.since + OVER_FOR:
            c = self.connect()
            s.sendall(b"t")
            said(s)
            self.over, self.since = c.getsockname()[1], time.monotonic()
            while c.recv(1):
                pass
            c.close()
            while not self.is_over(proc):
                if time.monotonic() > self.since + PATIENCE:
                    raise ValueError("its end takes too long")
                time.sleep(0.001)
        for ended in False, True:
            c = self.connect()
            if ended:
                c.shutdown(socket.SHUT_WR)
            s.sendall(b"o")
            said(s)
            self.unread.append(c)
        for ended in False, True:
            c = self.connect()
            c.sendall(STREAM[:AHEAD])
            if ended:
                c.shutdown(socket.SHUT_WR)
            self.waiting.append(c)

    def is_over(self, proc):
        """man 5 proc_net"""
        with open(f"{proc}/net/tcp") as f:
            rows = [line.split() for line in f][1:]
        return any(r[2].endswith(f":{self.over:04X}") and r[3] == TIME_WAIT for r in rows)


def exactly(s, count):
    data = b""
    while len(data) < count:
        more = s.recv(count - len(data))
        if not more:
            raise ValueError(f"it ends after {len(data)} bytes of {count}")
        data += more
    return data


def said(s):
    """The server says again what it was asked for when it is done."""
    exactly(s, 1)
