#!/usr/bin/env bats
# What has an end outside the pod, or is only held there, is refused by name, and the pod goes on.

bats_require_minimum_version 1.5.0
load helpers

# What a program of the host does with the pod, in the background, until the file "end" is there.
# host PROGRAM [COMMAND...]: in python, run by the command
host() {
	"${@:2}" python3 -c "
import array, os, pty, socket, sys, time
def until(name):
    end = time.monotonic() + 120
    while not os.path.exists(name) and time.monotonic() < end: time.sleep(0.02)
def listen(name):
    s = socket.socket(socket.AF_UNIX)
    s.bind(name)
    s.listen(5)
    return s
def connect(name):
    until(name)
    s = socket.socket(socket.AF_UNIX)
    s.connect(name)
    return s
$1
until('shared/end')" 3>&- &
}

refused() {
	run podckpt checkpoint "${@:2}" "$1"
	assert_failure 4
	[ "$output" = "$(sed "s/^/podckpt: checkpoint $1: /")" ] || { echo "$output"; return 1; }
}

@test "unix sockets: accepted from, waiting for and made by processes outside" {
	mkdir shared
	podckpt run -d --name u --net none -v "$PWD/shared:/shared" -- python3 -u -c '
import os, socket, time
def until(name):
    while not os.path.exists("/shared/" + name): time.sleep(0.02)
def listen(name):
    s = socket.socket(socket.AF_UNIX)
    s.bind("/shared/" + name + ".new")
    s.listen(5)
    os.rename("/shared/" + name + ".new", "/shared/" + name)
    return s
def connect(name):
    s = socket.socket(socket.AF_UNIX)
    s.connect(name)
    return s
listening = listen("accepts")
queue = listen("waits")
print("listening")
accepted = listening.accept()[0]
until("ready")
there = connect("/shared/host")
near = connect("\0near")
print("connected")
until("end")
print(accepted.recv(10), queue.accept()[0].recv(10))
for s in there, near:
    try: s.recv(10)
    except ConnectionResetError: print("never accepted")
print("went on")'
	wait_output u listening
	host "
a = connect('shared/accepts')
b = connect('shared/waits')
c = listen('shared/host')
until('shared/near')
open('shared/ready', 'w')"
	host "
a = listen('\0near')
open('shared/near', 'w')" nsenter "--net=/proc/$(pod_pid1 u)/ns/net"
	wait_output u connected
	refused u --dry-run <<-END
		pid 2 (python3) fd 5: a unix socket of another network (accepted from a process outside the pod, perhaps) is not carried; close it first
		pid 2 (python3) fd 4: a connection from outside the pod waits to be accepted; accept and close it first
		pid 2 (python3) fd 6: it waits to be accepted by a process outside the pod; close it first
		pid 2 (python3) fd 7: it waits to be accepted by a process outside the pod; close it first
	END
	: >shared/end
	wait
	wait_output u "went on"
	run podckpt logs u
	assert_line "b'' b''"
	[ "$(grep -c "never accepted" <<<"$output")" = 2 ]
}

@test "an epoll set: what it watches is only open outside" {
	mkdir shared
	podckpt run -d --name e --net none -v "$PWD/shared:/shared" -- python3 -u -c '
import array, os, select, socket, time
s = socket.socket(socket.AF_UNIX)
s.bind("/shared/new")
s.listen(1)
os.rename("/shared/new", "/shared/pod")
c = s.accept()[0]
e = select.epoll()
r, w = os.pipe()
e.register(r, select.EPOLLIN)
c.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [r, w]))])
c.close()
s.close()
os.close(r)
os.close(w)
while not os.path.exists("/shared/held"): time.sleep(0.02)
print("set", e.fileno(), r)
while not os.path.exists("/shared/end"): time.sleep(0.02)
print("went on", e.poll(0))'
	host "
s = connect('shared/pod')
fds = socket.recv_fds(s, 1, 2)[1]
s.close()
open('shared/held', 'w')"
	wait_output e "set 5 6"
	podckpt checkpoint --dry-run e
	refused e -o e.tar <<-END
		pid 2 (python3) fd 5: the epoll set watches what was descriptor 6, which no process of the pod has open any more; remove it from the set first
	END
	: >shared/end
	wait
	wait_output e "went on []"
}

@test "terminals: given to the pod by a process outside, and by exec" {
	local leader

	mkdir shared
	podckpt run -d --name t --net none -v "$PWD/shared:/shared" -- python3 -u -c '
import fcntl, os, socket, termios, time
def until(name):
    while not os.path.exists("/shared/" + name): time.sleep(0.02)
s = socket.socket(socket.AF_UNIX)
s.bind("/shared/new")
s.listen(1)
os.rename("/shared/new", "/shared/pod")
c = s.accept()[0]
t = socket.recv_fds(c, 1, 1)[1][0]
c.close()
s.close()
print("terminal", t)
until("lead")
if os.fork() == 0:
    os.setsid()
    fcntl.ioctl(t, termios.TIOCSCTTY, 0)
    os.close(t)
    print("leads as", os.getpid())
    until("end")
    os._exit(0)
os.close(t)
print("gave it away")
until("end")
os.wait()
print("went on")'
	host "
s = connect('shared/pod')
master, slave = os.openpty()
open('shared/name', 'w').write(os.ttyname(slave))
socket.send_fds(s, [b'x'], [slave])
os.close(slave)"
	wait_output t "terminal 5"
	refused t --dry-run <<-END
		pid 2 (python3) fd 5: $(cat shared/name) is a terminal outside the pod; start the program in a terminal of the pod (podckpt run -t)
	END
	: >shared/lead
	wait_output t "leads as"
	wait_output t "gave it away"
	leader=$(podckpt logs t | sed -n 's/^leads as //p')
	podckpt checkpoint --dry-run t
	refused t -o t.tar <<-END
		pid $leader (python3): its controlling terminal is outside the pod; start the program in a terminal of the pod (podckpt run -t)
	END
	: >shared/end
	wait
	wait_output t "went on"
}

@test "a terminal of exec, also when the command is not alone in it" {
	podckpt run -d --name x --net none -- sleep 98765
	sed "s|PODCKPT|$PODCKPT|" >script <<-'END'
		spawnraw PODCKPT exec -it x -- bash --norc -c '(sleep 98764 &); echo it st""ands; read'
		expect it stands
		shell PODCKPT checkpoint --dry-run x >findings 2>&1; test $? = 4
		send \n
		end 0
	END
	python3 "$BATS_TEST_DIRNAME/pty-driver.py" 300 <script
	run cat findings
	assert_line --regexp "^podckpt: checkpoint x: pid [0-9]+ \(bash\): it was started from outside \(podckpt exec\), where its parent and its streams are; end it first$"
	assert_line --regexp "^podckpt: checkpoint x: pid [0-9]+ \((bash|sleep)\) fd [0-2]: the master of terminal 0 is outside the pod \(podckpt exec -t\); end that first$"
	[ "${#lines[@]}" -eq 2 ]
}
