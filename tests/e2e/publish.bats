#!/usr/bin/env bats
# Ports of the host that lead to pods. The host is a network namespace of the test, the world another one.

bats_require_minimum_version 1.5.0
load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	unshare -n sleep 1000 3>&- &
	world=$!
	until_ok 120 differs
	ip link add out type veth peer name far netns "/proc/$world/ns/net"
	ip address add 198.51.100.2/24 dev out
	ip address add 198.51.100.3/24 dev out
	ip link set out up
	nsenter -t "$world" -n ip address add 198.51.100.1/24 dev far
	nsenter -t "$world" -n ip link set far up
	ip address add 2001:db8::2/64 dev out nodad
	ip address add 2001:db8::3/64 dev out nodad
	nsenter -t "$world" -n ip address add 2001:db8::1/64 dev far nodad
}

teardown() {
	podckpt rm -f -a
	sysctl -qw net.ipv6.conf.all.forwarding=0
	ip link delete out
	kill "$world"
	until_ok 120 nothing_left || { show_left; return 1; }
}

differs() {
	[ "$(readlink "/proc/$world/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

server() {
	podckpt run -d --name "$1" "${@:2}" -- python3 -u -c '
import socket, threading
def datagrams():
    u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    u.bind(("::", 53))
    while True:
        data, peer = u.recvfrom(99)
        u.sendto(b"udp " + data, peer)
threading.Thread(target=datagrams, daemon=True).start()
s = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready")
while True:
    c, peer = s.accept()
    c.sendall(("hello " + peer[0].removeprefix("::ffff:")).encode())
    c.close()'
	wait_output "$1" ready
}

# The administrator lets this host forward IPv6.
forward6() {
	sysctl -qw net.ipv6.conf.all.forwarding=1
}

from_world() {
	nsenter -t "$world" -n timeout 120 socat -t 60 -T 60 "TCP:$1" - </dev/null
}

is_published() {
	[ "$(from_world 198.51.100.2:8080)" = "hello 198.51.100.1" ]
}

@test "a published port is reached from outside, from the host and from other pods, and goes with the pod" {
	server web -p 8080:80 -p 198.51.100.3:5300:53/udp
	run from_world 198.51.100.2:8080
	assert_output "hello 198.51.100.1"
	run from_world 198.51.100.3:8080
	assert_output "hello 198.51.100.1"
	run timeout 120 socat -t 60 -T 60 TCP:198.51.100.2:8080 -
	assert_output "hello 198.51.100.2"
	run podckpt run -- python3 -c '
import socket
print(socket.create_connection(("198.51.100.2", 8080), 120).recv(99).decode())'
	assert_success
	assert_output --partial hello
	run nsenter -t "$world" -n python3 -c '
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(120)
u.sendto(b"question", ("198.51.100.3", 5300))
print(*u.recvfrom(99))'
	assert_output "b'udp question' ('198.51.100.3', 5300)"
	podckpt rm -f web
	run from_world 198.51.100.2:8080
	assert_failure
	assert_output --partial "Connection refused"
}

# datagram ADDRESS PORT: what came back, from outside
datagram() {
	nsenter -t "$world" -n python3 -c '
import socket, sys
u = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(120)
u.sendto(b"question", (sys.argv[1], int(sys.argv[2])))
print(*u.recvfrom(99)[0:1], "from", sys.argv[1])' "$@"
}

@test "over IPv6 a published port is reached in the same ways" {
	forward6
	server web -p 8080:80 -p '[2001:db8::3]:5300:53/udp'
	run from_world '[2001:db8::2]:8080'
	assert_output "hello 2001:db8::1"
	run from_world '[2001:db8::3]:8080'
	assert_output "hello 2001:db8::1"
	run from_world 198.51.100.2:8080
	assert_output "hello 198.51.100.1"
	run timeout 120 socat -t 60 -T 60 'TCP:[2001:db8::2]:8080' -
	assert_output "hello 2001:db8::2"
	run podckpt run -- python3 -c '
import socket
print(socket.create_connection(("2001:db8::2", 8080), 120).recv(99).decode())'
	assert_success
	assert_output --partial hello
	run datagram 2001:db8::3 5300
	assert_output "b'udp question' from 2001:db8::3"
	run nsenter -t "$world" -n python3 -c '
import socket
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.settimeout(120)
u.connect(("2001:db8::2", 5300))
u.send(b"question")
try:
    print(u.recv(99))
except ConnectionRefusedError:
    print("refused")'
	assert_output refused
	podckpt rm -f web
	run from_world '[2001:db8::2]:8080'
	assert_failure
	assert_output --partial "Connection refused"
}

@test "an address says over what a port is published" {
	forward6
	server four -p 0.0.0.0:8080:80
	server six -p '[::]:8080:80'
	run from_world 198.51.100.2:8080
	assert_output "hello 198.51.100.1"
	run from_world '[2001:db8::2]:8080'
	assert_output "hello 2001:db8::1"
	podckpt rm -f four
	run from_world 198.51.100.2:8080
	assert_failure
	run from_world '[2001:db8::2]:8080'
	assert_output "hello 2001:db8::1"
	assert_equal "$(podckpt inspect six | jq -c .config.publish)" '["[::]:8080:80"]'
}

@test "a port that somebody has over IPv6 is refused" {
	forward6
	server web -p '[2001:db8::2]:8080:80'
	run podckpt run -d --name second -p 8080:80 -- sleep 1000
	assert_failure 8
	assert_output --regexp "port 8080 \(TCP over IPv6\) of this host is taken by another pod \(link 'pck[0-9a-f]+'\)"
	run podckpt run -d --name second -p '[2001:db8::2]:8080:81' -- sleep 1000
	assert_failure 8
	podckpt run -d --name second -p 0.0.0.0:8080:80 -p '[2001:db8::3]:8080:80' -p 8080:80/udp -- sleep 1000
	socat TCP6-LISTEN:8081,ipv6only=1 - 3>&- &
	until_ok 120 listens 8081
	run podckpt run -d --name third -p 8081:80 -- sleep 1000
	kill %?8081
	assert_failure 8
	assert_output --partial "port 8081 (TCP over IPv6) of this host is taken by a program"
	run podckpt ps -q
	refute_output --partial third
}

@test "ports are published over IPv6 where the pod and the host let them" {
	server web -p 8080:80
	run from_world 198.51.100.2:8080
	assert_output "hello 198.51.100.1"
	run from_world '[2001:db8::2]:8080'
	assert_failure
	run podckpt run -d --name other -p '[2001:db8::2]:8080:80' -- sleep 1000
	assert_failure
	assert_output --partial "'[2001:db8::2]:8080:80': this host does not forward IPv6, so no port of it leads to a pod"
	podckpt checkpoint -o web.tar web
	forward6
	podckpt restore -d -p 8080:80 web.tar
	run from_world '[2001:db8::2]:8080'
	assert_output "hello 2001:db8::1"
	run podckpt run -d --name other --ip6 none -p '[2001:db8::2]:8081:80' -- sleep 1000
	assert_failure
	assert_output --partial "'[2001:db8::2]:8081:80': the pod has no IPv6 address"
	server other --ip6 none -p 8081:80
	run from_world 198.51.100.2:8081
	assert_output "hello 198.51.100.1"
	run podckpt run -d --name third -p '[2001:db8::9]:80:80' -- sleep 1000
	assert_failure
	assert_output --partial "2001:db8::9 is no address of this host"
	run podckpt ps -q
	refute_output --partial third
}

@test "a port that somebody has is refused" {
	server web -p 8080:80
	run podckpt run -d --name second -p 198.51.100.2:8080:80 -- sleep 1000
	assert_failure 8
	assert_output --regexp "port 8080 \(TCP\) of this host is taken by another pod \(link 'pck[0-9a-f]+'\)"
	podckpt run -d --name second -p 8080:80/udp -- sleep 1000
	socat TCP-LISTEN:8081 - 3>&- &
	until_ok 120 listens 8081
	run podckpt run -d --name third -p 8081:80 -- sleep 1000
	kill %?8081
	assert_failure 8
	assert_output --partial "port 8081 (TCP) of this host is taken by a program"
	run podckpt ps -q
	refute_output --partial third
}

listens() {
	ss -Hltn "sport = :$1" | grep -q .
}

@test "a restore publishes again what is given again" {
	server web -p 8080:80
	podckpt checkpoint -o web.tar web
	run from_world 198.51.100.2:8080
	assert_failure
	run podckpt restore -d web.tar
	assert_failure 12
	assert_output --partial "the pod's port 80 (TCP) is published on port 8080 of the host; say where it may be here: -p 8080:80"
	podckpt restore --verify -d -p 8080:80 web.tar
	run from_world 198.51.100.2:8080
	assert_output "hello 198.51.100.1"
	podckpt checkpoint -o web.tar web
	podckpt restore -d -p 9090:80 web.tar
	run from_world 198.51.100.2:9090
	assert_output "hello 198.51.100.1"
	run from_world 198.51.100.2:8080
	assert_failure
	podckpt checkpoint -o web.tar web
	forward6
	podckpt restore --verify -d -p '[2001:db8::3]:9090:80' web.tar
	run from_world '[2001:db8::3]:9090'
	assert_output "hello 2001:db8::1"
	run from_world '[2001:db8::2]:9090'
	assert_failure
	podckpt checkpoint -o web.tar web
	run podckpt restore -d web.tar
	assert_failure 12
	assert_output --partial "is published on port 9090 of the host; say where it may be here: -p [2001:db8::3]:9090:80"
}

@test "ports of a pod whose monitor was killed are free after its removal" {
	local pid

	server web -p 8080:80
	for pid in $(jq .monitor.pid "$PODCKPT_ROOT/pods/web/state.json"); do kill -9 "$pid"; done
	until_ok 120 is_published
	podckpt rm -f web
	server again -p 8080:80
	run from_world 198.51.100.2:8080
	assert_output "hello 198.51.100.1"
}

@test "a table that is left over of a pod that is gone does not keep its port" {
	local link

	forward6
	server web -p 8080:80
	link=$(jq -r .link "$PODCKPT_ROOT/pods/web/state.json")
	ip link delete "$link"
	server again -p 8080:80
	run from_world 198.51.100.2:8080
	assert_output "hello 198.51.100.1"
	run from_world '[2001:db8::2]:8080'
	assert_output "hello 2001:db8::1"
}

@test "what is no port is refused" {
	local text

	for text in 80 0:80 80:0 65536:80 80:80/sctp 1.2.3:80:80 80:80:80:80 :80 a:80 '[::' '[]:80:80' '2001:db8::2:80:80' \
		'[1.2.3.4]:80:80' '[::ffff:1.2.3.4]:80:80' '[x]:80:80' '[2001:db8::2]80:80'; do
		run podckpt run -d -p "$text" -- sleep 1000
		assert_failure
		assert_output --partial "'$text' is not a port to publish ([IP:]HOST:POD[/udp])"
	done
	run podckpt run -d -p 80:80 -p 198.51.100.2:80:81 -- sleep 1000
	assert_output --partial "port 80 is published twice: '80:80' and '198.51.100.2:80:81'"
	run podckpt run -d -p 127.0.0.1:80:80 -- sleep 1000
	assert_output --partial "'127.0.0.1:80:80': a port of such an address (127.0.0.1, ::1, fe80::/10) cannot lead to a pod"
	run podckpt run -d -p '[::1]:80:80' -- sleep 1000
	assert_output --partial "'[::1]:80:80': a port of such an address"
	run podckpt run -d -p 80:80 -p '[2001:db8::2]:80:81' -- sleep 1000
	assert_output --partial "port 80 is published twice: '80:80' and '[2001:db8::2]:80:81'"
	run podckpt run -d -p 203.0.113.1:80:80 -- sleep 1000
	assert_output --partial "203.0.113.1 is no address of this host"
	run podckpt run -d --net none -p 80:80 -- sleep 1000
	assert_output --partial "ports are published for pods on a bridge only (--net bridge)"
}
