#!/usr/bin/env bats
# The network of pods: proved by traffic.

bats_require_minimum_version 1.5.0
load helpers

server() {
	podckpt run -d --name "$1" "${@:2}" -- python3 -u -c '
import socket, sys
s = socket.create_server(("0.0.0.0", 7000))
print("ready")
while True:
    c, peer = s.accept()
    c.sendall(("hello " + peer[0]).encode())
    c.close()'
	wait_output "$1" ready
}

ask() {
	timeout 120 socat -t 60 -T 60 "TCP:$1:7000" - </dev/null
}

@test "the host reaches the pod's address" {
	server web
	run ask "$(pod_ip web)"
	assert_success
	assert_output --partial "hello "
}

@test "pods reach each other" {
	server web
	run podckpt run -- python3 -c "
import socket
print(socket.create_connection(('$(pod_ip web)', 7000), 120).recv(99).decode())"
	assert_success
	assert_output --partial "hello "
}

@test "concurrent runs get different addresses" {
	local i

	for i in 1 2 3 4 5 6; do
		podckpt run -d --name "p$i" -- sleep 1000 &
	done
	wait
	run bash -c '"$PODCKPT" ps --format json | jq -r ".pods[].ip" | sort -u | wc -l'
	assert_output 6
}

@test "an address can be chosen, and is taken once" {
	local ip mac=02:00:00:00:12:34

	podckpt run -d --name first -- sleep 1000
	ip=$(pod_ip first | sed 's/\.[0-9]*$/.77/')
	podckpt run -d --name chosen --ip "$ip" --mac "$mac" -- sleep 1000
	assert_equal "$(pod_ip chosen)" "$ip"
	assert_equal "$(podckpt exec chosen -- cat /sys/class/net/eth0/address)" "$mac"
	run podckpt run -d --name again --ip "$ip" -- sleep 1000
	assert_failure 8
	assert_output --partial "$ip"
	run podckpt ps -q
	refute_output --partial again
	run podckpt run -d --ip 8.8.8.8 -- sleep 1000
	assert_failure
}

@test "--net none has only lo, --net host is the host's" {
	run podckpt run --net none -- ls /sys/class/net
	assert_output lo
	run podckpt run --net none -- python3 -c '
import socket
s = socket.create_server(("127.0.0.1", 0))
socket.create_connection(s.getsockname()); print("lo works")'
	assert_output "lo works"
	run podckpt run --net host -- readlink /proc/self/ns/net
	assert_output "$(readlink /proc/self/ns/net)"
}

@test "the link of a pod is gone with the pod" {
	podckpt run -d --name linked -- sleep 1000
	link=$(jq -r .link "$PODCKPT_ROOT/pods/linked/state.json")
	run -0 ip link show "$link"
	podckpt rm -f linked
	run -1 ip link show "$link"
}

@test "names are resolved as on the host" {
	run podckpt run -- getent hosts localhost
	assert_success
	run podckpt run --name me -- getent hosts me
	assert_success
	run podckpt run -- cat /etc/resolv.conf
	assert_success
}

@test "a pod knows its own name and finds its own address behind it" {
	run podckpt run --rm --name named --ip 10.88.7.7 -- getent ahostsv4 named
	assert_success
	assert_output --regexp "^10\.88\.7\.7 +STREAM named"
	run podckpt run --rm --name named -- sh -c \
		'getent ahostsv4 named | head -n 1 | cut -d" " -f1; ip -4 -br address show eth0 | grep -o "10[0-9.]*"'
	assert_success
	assert_equal "${lines[0]}" "${lines[1]}"
	run podckpt run --rm --name named --net none -- getent hosts named
	assert_success
	assert_output --regexp "^127\.0\.1\.1 +named$"
}
