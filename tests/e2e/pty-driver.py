#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives programs on a terminal: pty-driver.py SECONDS <script

Lines of the script:
    spawn COMMAND...    starts it on a new terminal of 24x80
    spawnraw COMMAND... likewise, the terminal being raw from the start: nothing typed early is
                        echoed or eaten
    send TEXT           types it (\\n, \\x10, ... as in Python)
    expect TEXT         waits until it was printed since the last match
    end CODE            waits until the program ends, with this exit code
    shell COMMAND...    runs it beside, and fails if it fails
    size ROWS COLUMNS   changes the terminal's size
Exit code 0 when everything came as expected; what was printed goes to stderr otherwise.
"""
import fcntl, os, pty, select, shlex, signal, struct, subprocess, sys, termios, time, tty

deadline = time.monotonic() + float(sys.argv[1])
pid = master = None
seen = b""
everything = b""


def fail(text):
    sys.stderr.write("pty-driver: %s\n-- printed:\n%s\n" % (text, everything.decode(errors="replace")))
    if pid:
        os.kill(pid, signal.SIGKILL)
    sys.exit(1)


def read_some():
    """Reads what is there; False at the end of the terminal."""
    global seen, everything
    left = deadline - time.monotonic()
    if left <= 0:
        fail("time is up at: " + line)
    ready, _, _ = select.select([master], [], [], left)
    if not ready:
        fail("time is up at: " + line)
    try:
        data = os.read(master, 65536)
    except OSError:
        data = b""
    seen += data
    everything += data
    return bool(data)


def size(rows, columns):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


for line in sys.stdin:
    line = line.strip("\t\n")
    word, _, rest = line.partition(" ")
    if word in ("spawn", "spawnraw"):
        ready, go = os.pipe()
        pid, master = pty.fork()
        if pid == 0:
            os.close(go)
            os.read(ready, 1)
            args = shlex.split(rest)
            os.execvp(args[0], args)
        if word == "spawnraw":
            tty.setraw(master)
        size(24, 80)
        os.close(ready)
        os.close(go)
        seen = b""
    elif word == "send":
        os.write(master, rest.encode().decode("unicode_escape").encode("latin1"))
    elif word == "expect":
        text = rest.encode()
        while text not in seen:
            if not read_some():
                fail("the program ended, expected: " + rest)
        seen = seen[seen.index(text) + len(text):]
    elif word == "end":
        while read_some():
            pass
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        pid = None
        os.close(master)
        if code != int(rest):
            fail("exit code %d, expected %s" % (code, rest))
    elif word == "size":
        size(*map(int, rest.split()))
    elif word == "shell":
        if subprocess.call(["bash", "-c", rest], stdin=subprocess.DEVNULL) != 0:
            fail("failed: " + rest)
    elif word:
        fail("no such word: " + word)
