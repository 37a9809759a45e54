#!/usr/bin/env bats
# Sockets whose other end is not in the pod, and addresses that change.

bats_require_minimum_version 1.5.0
load helpers

# A listening unix socket of the host's, in the background; says "gone" and ends with its first client.
host_server() {
	python3 - "$1" <<-END 3>&- &
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[1])
		s.listen(1)
		c, _ = s.accept()
		c.recv(100)
		c.send(b"gone")
	END
	until_ok 120 test -S "$1"
}

@test "a connection to a socket of the host is refused by name, and carried once its end is gone" {
	mkdir shared
	host_server "$PWD/shared/host"
	podckpt run -d --name c --net none -v "$PWD/shared:/shared" -- python3 -u -c '
import os, socket, time
s = socket.socket(socket.AF_UNIX)
s.connect("/shared/host")
print("connected")
while not os.path.exists("/shared/close"): time.sleep(0.05)
s.send(b"bye")
while not os.path.exists("/shared/go"): time.sleep(0.05)
print(s.recv(100), s.recv(100), s.getpeername())'
	wait_output c connected
	run podckpt checkpoint --dry-run c
	assert_failure 4
	assert_output "podckpt: checkpoint c: pid 2 (python3) fd 3: it is connected to a process outside the pod; close it first"
	: >shared/close
	wait
	cycle c plain -v "$PWD/shared:/shared"
	cycle c verify -v "$PWD/shared:/shared"
	: >shared/go
	wait_output c "b'gone' b'' $PWD/shared/host"
}

@test "a socket in a volume is found by newcomers after a restore, with the mode that it had" {
	mkdir shared
	podckpt run -d --name v --net none -v "$PWD/shared:/shared" -- python3 -u -c '
import os, socket
s = socket.socket(socket.AF_UNIX)
s.bind("/shared/pod")
os.chmod("/shared/pod", 0o660)
s.listen(5)
print("listening")
while True:
    c, _ = s.accept()
    c.sendall(b"hello")
    c.close()'
	wait_output v listening
	cycle v plain -v "$PWD/shared:/shared"
	cycle v verify -v "$PWD/shared:/shared"
	assert_equal "$(stat -c %a shared/pod)" 660
	assert_equal "$(ls shared)" pod
	run python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print(s.recv(100))' "$PWD/shared/pod"
	assert_output "b'hello'"
}

@test "sockets bound to the pod's address move along with it" {
	local other

	podckpt run -d --name a -- python3 -u -c '
import socket
s = socket.socket()
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.connect(("192.0.2.1", 9))
s.bind((probe.getsockname()[0], 5000))
s.listen(5)
print("listening")
while True:
    c, _ = s.accept()
    c.sendall(c.getsockname()[0].encode())
    c.close()'
	wait_output a listening
	podckpt checkpoint -o a.tar a
	other=$(tar xOf a.tar manifest.json | jq -r .pod.address.ip | sed 's/[0-9]*$/201/')
	podckpt restore -d --verify --ip "$other" a.tar
	assert_equal "$(pod_ip a)" "$other"
	run python3 -c '
import socket, sys
print(socket.create_connection((sys.argv[1], 5000), 120).recv(100).decode())' "$other"
	assert_output "$other"
}

# What waits at the pod u's socket, in the kernel's measure
unread() {
	nsenter -t "$(pod_field u pid)" -n ss -Huan 'sport = :5000' | awk '{ print $2 }'
}

more_unread() {
	[ "$(unread)" -gt "$1" ]
}

@test "datagrams that came from outside are read after the restore, from where they came" {
	local ip

	podckpt run -d --name u -- python3 -u -c '
import os, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 5000))
print("bound")
while not os.path.exists("/run/go"): time.sleep(0.05)
for i in range(3): print(*s.recvfrom(2000))'
	wait_output u bound
	ip=$(pod_ip u)
	for i in 1 2 3; do
		before=$(unread)
		python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 5055))
i = int(sys.argv[2])
s.sendto(b"%d" % i * i, (sys.argv[1], 5000))' "$ip" "$i"
		until_ok 120 more_unread "$before"
	done
	cycle u plain
	cycle u verify
	: >"$(pod_path u /run/go)"
	wait_output u "b'333'"
	run podckpt logs u
	assert_line --regexp "^b'1' \('[0-9.]+', 5055\)$"
	assert_line --regexp "^b'22' \('${ip%.*}\.1', 5055\)$"
}
