# SPDX-License-Identifier: Apache-2.0
"""What the sweeps of tests/faults/run share."""
import errno, glob, os, re, signal, subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
FAULT = f"{BUILD}/tests/faults/fault"
UNISTD = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"


class Broken(Exception):
    """A promise that was not kept."""


def call_names():
    with open(UNISTD) as f:
        return {int(n): name for name, n in re.findall(r"^#define __NR_(\w+) (\d+)$", f.read(), re.M)}


NUMBERS = {name: number for number, name in call_names().items()}


# What a system call can return of EIO, ENOMEM, EINTR, ENOSPC; those that are not here cannot return any of them.
# (munmap can, but then the C library itself aborts.)
CAN = {
    "EIO": """read pread64 preadv readv write pwrite64 writev pwritev close fsync fdatasync openat openat2 open
        newfstatat fstat statx readlinkat readlink getdents64 fstatfs statfs ioctl linkat unlinkat
        renameat renameat2 mkdirat mknodat symlinkat fchownat fchmodat fchmod utimensat ftruncate
        fallocate copy_file_range listxattr llistxattr flistxattr getxattr lgetxattr fgetxattr
        setxattr lsetxattr fsetxattr ptrace mount umount2 move_mount open_tree""",
    "ENOMEM": """openat openat2 open mmap mprotect mremap madvise brk read newfstatat statx readlinkat socket
        socketpair connect bind listen accept4 sendmsg sendto recvmsg setsockopt getsockopt setns
        unshare clone clone3 fork vfork pidfd_open pidfd_getfd process_vm_readv process_vm_writev pipe2
        epoll_create1 epoll_ctl timerfd_create signalfd4 memfd_create userfaultfd linkat unlinkat
        renameat renameat2 mkdirat mknodat symlinkat mount move_mount open_tree fsopen fsmount ppoll poll
        setxattr lsetxattr fsetxattr fcntl ioctl chroot chdir fchdir""",
    "EINTR": """openat openat2 open read pread64 write pwrite64 close wait4 waitid recvmsg sendmsg recvfrom sendto
        connect accept4 poll ppoll epoll_wait epoll_pwait fsync flock fcntl getrandom ftruncate fallocate dup2
        dup3 nanosleep clock_nanosleep""",
    "ENOSPC": """write pwrite64 writev pwritev fsync fallocate copy_file_range linkat renameat mkdirat
        mknodat symlinkat setxattr lsetxattr fsetxattr epoll_ctl mount""",
}
CREATES = os.O_CREAT | 0o20000000


def errors_of(name, third):
    able = [e for e, names in CAN.items() if name in names.split()]
    if name == "openat" and third & CREATES:
        able.append("ENOSPC")
    return able


def points_of(log, who, faults):
    """Every point of a run that was logged: (who, which of the calls at that place, fault, name, place)."""
    names, nth, points = call_names(), {}, []
    for line in log.splitlines():
        if line.startswith("call "):
            _, _, number, third, place, *_ = line.split()
            name = names.get(int(number), "?")
            nth[place] = nth.get(place, 0) + 1
            points += [(who, nth[place], fault, name, place) for fault in faults(name, int(third))]
    return points


def fault_of(point):
    """The arguments of fault for it. Without a place: which of all calls."""
    who, call, fault, name, *place = point
    how = ["-k"] if fault == "KILL" else ["-e", str(getattr(errno, fault))]
    how += ["-s", str(NUMBERS[name])] if name in NUMBERS and (place or fault != "KILL") else []
    return ["-n", str(call), *how, *(["-p", place[0]] if place else [])]


def run(command, env, limit):
    """The exit code (negative: a signal) and all that it said. Hanging is a promise not kept."""
    p = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        out, _ = p.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        where = subprocess.run(["sh", "-c", f"for p in $(pgrep -g {p.pid}); do cat /proc/$p/comm; "
                                "cat /proc/$p/task/*/syscall /proc/$p/task/*/stack; done"],
                               capture_output=True, text=True).stdout
        os.killpg(p.pid, signal.SIGKILL)
        p.communicate()
        raise Broken(f"{' '.join(command)} hung for {limit} s: {where}")
    return p.returncode, out


def said_well(code, out, killed):
    """An exit code of ours, with words where it is not 0."""
    if killed and code in (128 + signal.SIGKILL, -signal.SIGKILL):
        return
    if code >= 126 or code < 0 or code == 125:
        raise Broken(f"podckpt ended with {code}: {out.strip()}")
    if code != 0 and not re.search(r"^podckpt: .*\S", out, re.M):
        raise Broken(f"podckpt failed with {code} and said nothing of it: {out!r}")


def cgroup_mounts():
    with open("/proc/self/mountinfo") as f:
        rows = [line.split() for line in f]
    return [r[4] for r in rows if r[r.index("-") + 1] in ("cgroup", "cgroup2")]


def tasks_of(cgroup):
    for mount in cgroup_mounts():
        if os.path.exists(f"{mount}{cgroup}/cgroup.procs"):
            with open(f"{mount}{cgroup}/cgroup.procs") as f:
                return [int(line) for line in f]
    return []


def trouble_of_tasks(pids, cgroup):
    """Why the tasks of a pod do not go on, or None."""
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/status"):
            with open(path) as f:
                text = f.read()
            state, tracer = re.search(r"State:\s(\w)", text)[1], re.search(r"TracerPid:\s(\d+)", text)[1]
            if tracer != "0":
                return f"{path} is traced by {tracer}"
            if state in "TtZX":
                return f"{path} is in state {state}"
    for mount in cgroup_mounts():
        for name, bad in ("cgroup.freeze", "1"), ("freezer.state", "FR"):
            path = f"{mount}{cgroup}/{name}"
            if os.path.exists(path):
                with open(path) as f:
                    if f.read().startswith(bad):
                        return f"{path} says that it is frozen"
    return None
