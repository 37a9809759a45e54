# SPDX-License-Identifier: Apache-2.0
"""The sweeps of tests/faults/run over podckpt migrate: a pod (traveller.c) moves between two hosts, and at each point
podckpt on one of them is killed, or the line between them breaks (tests/faults/line). After it exactly one pod runs,
at once or when migrate --resolve was asked; it has lost and repeated nothing (its counter, which is in a volume of
both hosts; a TCP connection from a client); nothing half-made is on either host; and it can move again."""
import glob, json, os, shutil, subprocess, sys, tempfile, time

import common
from common import BUILD, FAULT, HERE, Broken, errors_of, said_well

ADDRESS = {"hosta": "10.77.0.1", "hostb": "10.77.0.2"}
POD_ADDRESS = "10.77.0.50"
OTHER = {"hosta": "hostb", "hostb": "hosta"}
FRAMES = {1: "HELLO", 2: "WELCOME", 3: "OFFER", 4: "ACCEPT", 5: "REFUSE", 6: "HAVE", 7: "HAD", 8: "DATA", 9: "FILE",
          10: "END", 11: "READY", 12: "GO", 13: "RUNNING", 14: "DONE", 15: "FAILED", 16: "STATUS", 17: "STATE"}
GO, RUNNING = 12, 13
HANG = 150
UNDECIDED, MIGRATION = 13, 9

# The client of the pod: one connection for all its life. argv: address, file for the last number heard.
CLIENT = """
import os, socket, struct, sys, time
while True: # the program may not listen yet
    try:
        s = socket.create_connection((sys.argv[1], 4000))
        break
    except ConnectionRefusedError:
        time.sleep(0.01)
try:
    s.setsockopt(socket.IPPROTO_TCP, 44, 1000) # TCP_RTO_MAX_MS: not to wait longer than the fault lasts
except OSError:
    pass
heard = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
number = 0
try:
    while True:
        s.sendall(struct.pack("Q", number))
        answer = s.recv(8, socket.MSG_WAITALL)
        if len(answer) != 8 or struct.unpack("Q", answer)[0] != number + 1:
            sys.exit(f"{len(answer)} bytes, {answer!r} after {number}")
        number += 1
        os.pwrite(heard, struct.pack("Q", number), 0)
except OSError as e:
    sys.exit(f"after {number}: {e}")
"""


class Hosts:
    """Two hosts and a client (tests/e2e/hosts.bash), and one pod, which is on the host `here`."""

    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="podckpt-travel.", dir="/var/tmp")
        self.name = f"travel-{os.getpid()}"
        self.volume = f"{self.base}/volume"
        self.spec = f"{self.base}/spec"
        self.log = f"{self.base}/log"
        self.client = None
        self.here = "hosta"
        self.killed = None
        os.mkdir(self.volume)
        self.env = {**os.environ, "LD_LIBRARY_PATH": f"{BUILD}/.libs"}
        self.env.pop("PODCKPT_ROOT", None)
        self.program = f"{BUILD}/.libs/podckpt"
        with open(f"{self.base}/there", "w") as f:
            f.write(f"""#!/bin/sh
# podckpt receive, for the first time with a fault where there is to be one.
export LD_LIBRARY_PATH={BUILD}/.libs
if [ -e {self.base}/fault ] && mkdir {self.base}/fault.used 2>/dev/null; then
	exec {FAULT} $(cat {self.base}/fault) -- {self.program} "$@"
fi
exec {self.program} "$@"
""")
        os.chmod(f"{self.base}/there", 0o755)
        said = self.fixture("hosts_setup && printf '%s\\n' \"$HOSTS\" \"$RSH\"")
        self.hosts, self.rsh = said.splitlines()[-2:]
        self.pids = {}
        for name in "hosta", "hostb", "client":
            with open(f"{self.hosts}/{name}.pid") as f:
                self.pids[name] = int(f.read())

    def fixture(self, what):
        p = subprocess.run(["bash", "-c", f". '{HERE}/../lib.bash'; . '{HERE}/../e2e/hosts.bash'; {what}"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                           env={**self.env, "BUILD": BUILD, "PODCKPT": self.program,
                                "HOSTS": getattr(self, "hosts", "")})
        if p.returncode:
            raise Broken(f"the fixture of the hosts failed: {p.stdout}")
        return p.stdout

    # -- podckpt --

    def on(self, host, *command):
        return ["nsenter", "-t", str(self.pids[host]), "-n", "-m", "--", *command]

    def podckpt(self, host, *args, fault=()):
        command = [FAULT, "-l", self.log, *fault, "--", self.program] if fault else [self.program]
        return common.run(self.on(host, *command, *args), self.env, HANG)

    def must(self, host, *args):
        code, out = self.podckpt(host, *args)
        if code != 0:
            raise Broken(f"podckpt {args[0]} on {host} without a fault failed with {code}: {out.strip()}")
        return out

    def migration(self, line=False):
        rsh = f"{HERE}/line {self.spec} {self.rsh}" if line else self.rsh
        return ["migrate", self.name, "--host", ADDRESS[OTHER[self.here]], "--rsh", rsh,
                "--remote-podckpt", f"{self.base}/there"]

    # -- what is seen --

    def state(self, host):
        """state.json of the pod there, None: it is not there."""
        try:
            with open(f"{self.hosts}/state-{host}/pods/{self.name}/state.json") as f:
                return json.load(f)
        except FileNotFoundError:
            return None

    def status(self, host):
        state = self.state(host)
        return state and state["status"]

    def monitors(self, host):
        state = self.state(host)
        if not state:
            return []
        keeper = state["monitor"]["pid"]
        try:
            with open(f"/proc/{keeper}/task/{keeper}/children") as f:
                return [keeper, *map(int, f.read().split())]
        except OSError:
            return [keeper]

    def programs(self, host):
        """Processes of podckpt on that host which are not the pod's monitor."""
        found, known = [], self.monitors(host)
        space = os.readlink(f"/proc/{self.pids[host]}/ns/mnt")
        for path in glob.glob("/proc/[0-9]*"):
            pid = int(path[6:])
            try:
                if os.readlink(f"{path}/ns/mnt") != space or "podckpt" not in os.readlink(f"{path}/exe"):
                    continue
                with open(f"{path}/stat") as f:
                    text = f.read()
                if text.rsplit(")", 1)[1].split()[0] not in "ZX" and pid not in known:
                    found.append(f"process {pid} ({text.split('(')[1].split(')')[0]})")
            except OSError:
                pass
        return found

    def left(self, host):
        """What is there of podckpt that should not be there."""
        root, state = f"{self.hosts}/state-{host}", self.state(host) or {}
        found = self.programs(host)
        found += [f"directory {p}" for p in glob.glob(f"{root}/pods/*") + glob.glob(f"{root}/pods/.[!.]*")
                  if (os.path.basename(p) != self.name or not state) and not self.unclaimed(p)]
        found += [f"entry {p}" for p in glob.glob(f"{root}/migrations/*") + glob.glob(f"{root}/migrations/.[!.]*")
                  if not self.tolerated(p)]
        found += [f"note {p}" for p in glob.glob(f"{root}/pods/{self.name}/*migration*")]
        with open(f"/proc/{self.pids[host]}/net/dev") as f:
            links = [line.split(":")[0].strip() for line in f]
        found += [f"link {link}" for link in links if link.startswith("pck") and link != state.get("link")]
        with open(f"/proc/{self.pids[host]}/mountinfo") as f:
            found += [f"mount {line.split()[4]}" for line in f
                      if root in line.split()[4] or "/var/lib/podckpt/" in line.split()[4]]
        return found

    def unclaimed(self, path):
        """Who was killed when it had made the directory and not yet written whose it is: the next takes it."""
        return self.killed and not os.path.exists(f"{path}/state.json")

    def tolerated(self, entry):
        """Who was killed leaves a note that the next podckpt receive takes away; or, when its pod has left already,
        one there that nobody confirms: it is forgotten some day."""
        if not self.killed:
            return False
        try:
            with open(entry) as f:
                return json.load(f)["phase"] == ("running" if self.killed == "gone" else "building")
        except FileNotFoundError:
            return True
        except ValueError:
            return os.path.basename(entry).startswith(".")

    def cgroups(self):
        known = [(self.state(h) or {}).get("cgroup") for h in ADDRESS]
        return [f"cgroup {p}" for m in common.cgroup_mounts() for p in glob.glob(f"{m}/podckpt/{self.name}-*")
                if p[len(m):] not in known]

    def numbers(self):
        """How far the pod has counted; every number must be there once, in order."""
        try:
            with open(f"{self.volume}/numbers", "rb") as f:
                f.seek(self.read_to)
                lines = f.read().split(b"\n")
        except FileNotFoundError: # not begun yet
            return self.next_number
        for line in lines[:-1]:
            if int(line) != self.next_number:
                raise Broken(f"the pod counted {int(line)} where {self.next_number} was due")
            self.next_number += 1
            self.read_to += len(line) + 1
        return self.next_number

    def heard(self):
        if self.client.poll() is not None:
            raise Broken(f"the connection of the client is lost: {self.client.stderr.read().strip()}")
        with open(f"{self.base}/heard", "rb") as f:
            return int.from_bytes(f.read(8), "little")

    # -- promises --

    def await_(self, what, trouble, patience=120):
        """Until trouble() is None, or something empty."""
        until = time.monotonic() + patience
        while True:
            try:
                now = trouble()
            except OSError as e: # of a task that has ended since it was listed
                now = str(e)
            if not now:
                return
            if time.monotonic() > until:
                raise Broken(f"{what}: {now}")
            time.sleep(0.01)

    def trouble_of_pod(self, host):
        state = self.state(host)
        if not state or state["status"] != "running":
            return f"it is {state and state['status']} on {host}"
        pids = common.tasks_of(state["cgroup"])
        if len(pids) < 3:
            return f"only {len(pids)} processes are left on {host}: {self.logs(host)}"
        return common.trouble_of_tasks(pids, state["cgroup"])

    def healthy(self, host):
        """It runs there and nowhere else, whole, and there is nothing else of it."""
        self.await_("the pod is not what it was", lambda: self.trouble_of_pod(host))
        number, heard = self.numbers(), self.heard()
        self.await_("it makes no progress", lambda: self.numbers() < number + 3 and f"stays at {number}")
        self.await_("its connection makes no progress", lambda: self.heard() < heard + 3 and f"stays at {heard}")
        self.await_("left behind", lambda: self.left("hosta") + self.left("hostb") + self.cgroups(), 120)
        if self.state(OTHER[host]):
            raise Broken(f"the pod is on {OTHER[host]} too: {self.status(OTHER[host])}")
        self.here = host

    def decided(self):
        """All that was under way has ended: where the pod is, by its status on both."""
        for host in ADDRESS:
            self.podckpt(host, "ps")
        self.await_("still under way", lambda: [p for h in ADDRESS for p in self.programs(h)], 150)
        self.await_("still under way", lambda: [s for s in map(self.status, ADDRESS)
                                                if s not in (None, "running", "migrating")], 120)
        return self.status(self.here), self.status(OTHER[self.here])

    def resolve(self):
        code, out = self.podckpt(self.here, "migrate", "--resolve", self.name)
        if code and not self.state(self.here):
            return out  # podckpt was killed when it had told the monitor, which has settled it since
        if code:
            raise Broken(f"--resolve cannot tell ({code}): {out.strip()}")
        return out

    def settle(self, code, out, killed):
        """After a fault: exactly one pod runs, at the latest when it was resolved; and podckpt said what is so."""
        left, came = self.decided()
        self.killed = killed and ("here" if left else "gone")
        if code == 0 and (left, came) != (None, "running"):
            raise Broken(f"podckpt migrate succeeded, and the pod is {left} here and {came} there")
        if code == MIGRATION and (left, came) != ("running", None):
            raise Broken(f"podckpt migrate failed, and the pod is {left} here and {came} there")
        if (code == UNDECIDED and left != "migrating") or left == came:
            raise Broken(f"the pod is {left} here and {came} there")
        if left == "migrating":
            said = self.resolve()
            left, after = self.decided()
            if after != came or (left is None) != (came == "running"):
                raise Broken(f"after --resolve ({said.strip()}) it is {left} here and {after} there, was {came}")
        self.healthy(self.here if left else OTHER[self.here])

    def forget(self):
        """What is tolerated after a kill, of a pod that has left."""
        if self.killed == "gone":
            for path in glob.glob(f"{self.hosts}/state-*/migrations/*"):
                os.unlink(path)
        self.killed = None

    def move(self):
        """Without a fault."""
        self.forget()
        self.must(self.here, *self.migration())
        self.healthy(OTHER[self.here])

    # -- its life --

    def exists(self):
        return self.client is not None

    def start(self):
        for path in "numbers", "../heard":
            if os.path.exists(f"{self.volume}/{path}"):
                os.unlink(f"{self.volume}/{path}")
        self.next_number = self.read_to = 0
        self.here = "hosta"
        self.must(self.here, "run", "-d", "--name", self.name, "--ip", POD_ADDRESS, "-v", f"{self.volume}:/volume",
                  "--", f"{BUILD}/tests/faults/traveller", "/volume/numbers")
        self.client = subprocess.Popen(self.on("client", sys.executable, "-c", CLIENT, POD_ADDRESS,
                                               f"{self.base}/heard"), stderr=subprocess.PIPE, text=True)
        self.await_("no connection", lambda: not os.path.exists(f"{self.base}/heard") and
                    (self.client.poll() is not None and self.client.stderr.read() or "not yet"), 120)
        self.healthy(self.here)

    def prepare(self):
        for path in ("spec.done", "spec.log", "spec.dark", "log", "fault"):
            if os.path.exists(f"{self.base}/{path}"):
                os.unlink(f"{self.base}/{path}")
        if os.path.exists(f"{self.base}/fault.used"):
            os.rmdir(f"{self.base}/fault.used")
        if not self.exists():
            self.start()

    def logs(self, host):
        try:
            return self.podckpt(host, "logs", self.name)[1].strip()
        except Broken:
            return ""

    def words(self):
        said = [f"{h}: {self.logs(h)} {self.state(h)}" for h in ADDRESS if self.state(h)]
        return f" [the pod says: {', '.join(said)}]"

    def remove(self):
        if self.client:
            self.client.kill()
            self.client.wait()
        self.client = None
        for host in ADDRESS:
            try:
                self.podckpt(host, "rm", "-f", "-a")
            except Broken:
                pass
            for path in glob.glob(f"{self.hosts}/state-{host}/migrations/*"):
                os.unlink(path)

    def release(self):
        self.remove()
        self.fixture("hosts_teardown")
        shutil.rmtree(self.base, ignore_errors=True)

    # -- points --

    def set_line(self, kind, nth, what):
        with open(self.spec, "w") as f:
            json.dump({"type": kind, "nth": nth, "what": what.removesuffix("-dark"), "dark": what.endswith("-dark")}, f)

    def hit_line(self):
        return os.path.exists(f"{self.spec}.done")

    def read_log(self):
        try:
            with open(self.log) as f:
                return f.read()
        except FileNotFoundError:
            return ""


class MigrationSweep:
    def __init__(self, name, what, sample):
        self.name, self.what, self.sample = name, what, sample

    def make(self):
        return Hosts()

    def end(self, pod):
        pod.prepare()
        pod.move()
        pod.remove()

    def rest(self, pod, tried):
        pass


class LineSweep(MigrationSweep):
    """The line breaks at each frame. A point: type of the frame, which of them, what happens."""

    def points(self, pod):
        pod.prepare()
        pod.set_line(0, 0, "none")
        pod.must(pod.here, *pod.migration(line=True))
        pod.healthy(OTHER[pod.here])
        with open(f"{pod.spec}.log") as f:
            kinds = [int(line.split()[2]) for line in f]
        points = []
        for i, kind in enumerate(kinds):
            nth = kinds[:i].count(kind)
            points += [(kind, nth, what, FRAMES[kind]) for what in ("before", "within", "after", "kill", "kill-before")]
        for kind in GO, RUNNING:
            points += [(kind, 0, f"{what}-dark", FRAMES[kind]) for what in ("before", "within", "after")]
            points += [(kind, 0, "stall", FRAMES[kind])]
        return points

    def try_point(self, pod, point):
        kind, nth, what, _ = point
        pod.prepare()
        pod.set_line(kind, nth, what)
        code, out = pod.podckpt(pod.here, *pod.migration(line=True))
        said_well(code, out, what.startswith("kill"))
        if what.endswith("-dark") and pod.hit_line() and not (kind == GO and what.startswith(("before", "within"))):
            if kind == GO and code != UNDECIDED:
                raise Broken(f"exit code {code} although nobody answers: {out.strip()}")
        if os.path.exists(f"{pod.spec}.dark"):
            os.unlink(f"{pod.spec}.dark")
        try:
            pod.settle(code, out, what.startswith("kill"))
            pod.move()
        except Broken as e:
            raise Broken(f"{e} [exit code {code}: {out.strip()}]")
        return pod.hit_line(), code


class FaultSweep(MigrationSweep):
    """podckpt is killed before each of its system calls, or that fails: on the host that the pod leaves ("here"), on that which it
    comes to ("there"), and while it resolves a migration after which the pod runs there (0) or not (1)."""

    def __init__(self, name, what, sample, kill=True):
        super().__init__(name, what, sample)
        self.kill = kill

    def migrate(self, pod, fault):
        """With a fault in podckpt of one of the two."""
        if self.what == "here":
            return pod.podckpt(pod.here, *pod.migration(), fault=fault)
        with open(f"{pod.base}/fault", "w") as f:
            f.write(" ".join(["-l", pod.log, *fault]))
        return pod.podckpt(pod.here, *pod.migration())

    def leave_open(self, pod, gone):
        """podckpt is killed right after GO, or right before it."""
        pod.prepare()
        pod.set_line(GO, 0, "kill-before" if gone else "kill")
        pod.podckpt(pod.here, *pod.migration(line=True))
        if not pod.hit_line() or pod.decided() != ("migrating", None if gone else "running"):
            raise Broken(f"the pod was not left undecided: {pod.decided()}")

    def once(self, pod, who, fault):
        if self.what != "resolve":
            pod.prepare()
            return self.migrate(pod, fault)
        self.leave_open(pod, who)
        return pod.podckpt(pod.here, "migrate", "--resolve", pod.name, fault=fault)

    def points(self, pod):
        points = []
        for who in (0, 1) if self.what == "resolve" else (0,):
            code, out = self.once(pod, who, ["-w", "0"])
            if code != 0:
                raise Broken(f"without a fault: {out}")
            points += common.points_of(pod.read_log(), who, self.faults)
            pod.healthy(pod.here if who else OTHER[pod.here])
        return points

    def faults(self, name, third):
        return ["KILL"] if self.kill else errors_of(name, third)

    def try_point(self, pod, point):
        who, _, fault, *_ = point
        code, out = self.once(pod, who, ["-w", "0", *common.fault_of(point)])
        hit = "\nhit " in "\n" + pod.read_log()
        said_well(code, out, fault == "KILL")
        try:
            if self.what == "resolve":
                self.settle_resolved(pod, who)
            else:
                pod.settle(code, out, fault == "KILL")
            if code:
                pod.move()
            else:
                pod.forget()
        except Broken as e:
            raise Broken(f"{e} [exit code {code}: {out.strip()}]")
        return hit, code

    @staticmethod
    def settle_resolved(pod, gone):
        left, came = pod.decided()
        pod.killed = "here" if left else "gone"
        if left == "migrating":
            pod.resolve()
            pod.killed = None
            left, came = pod.decided()
        if (left, came) != (("running", None) if gone else (None, "running")):
            raise Broken(f"resolved to {left} here and {came} there, it was {'gone' if gone else 'running'}")
        pod.healthy(pod.here if gone else OTHER[pod.here])


SWEEPS = [
    LineSweep("migrate-line", "line", sample=10),
    FaultSweep("migrate-killed", "here", sample=10),
    FaultSweep("migrate-errors", "here", sample=10, kill=False),
    FaultSweep("receive-killed", "there", sample=12),
    FaultSweep("receive-errors", "there", sample=12, kill=False),
    FaultSweep("resolve-killed", "resolve", sample=5),
]
