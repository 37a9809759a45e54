#!/usr/bin/env bats
# A server to which clients come and go without pause: at no instant is there no connection on its way.

bats_require_minimum_version 1.5.0
load helpers

PROGRAMS=$BATS_TEST_DIRNAME/programs

server() {
	podckpt run -d --name s -- python3 -u "$PROGRAMS/short-server.py"
	wait_output s listening
	ip=$(pod_ip s)
}

answers() {
	sed -n 's/^answers //p' clients.out | tail -n 1
}

more_answers() {
	local now

	now=$(answers)
	[ "${now:-0}" -gt "$1" ]
}

# One that waits to be accepted; its PID in $visitor.
visit() {
	podckpt exec s -- touch /run/wait
	# Mostly the server is about to accept one still.
	asks || true
	python3 "$PROGRAMS/short-client.py" "$ip" 1 "$PWD/leave" >visitor.out 2>&1 3>&- &
	visitor=$!
	until_ok 20 waits
}

waits() {
	nsenter -t "$(pod_field s pid)" -n ss -Hltn 'sport = :7300' | awk '$2 > 0 { found = 1 } END { exit !found }'
}

# The server answers, once it accepts.
asks() {
	timeout 5 python3 -c '
import socket, sys
with socket.create_connection((sys.argv[1], 7300), 3) as c:
	c.sendall(b"?")
	sys.exit(len(c.makefile("rb").read()) != 2000)' "$ip"
}

# The visitor is let in, and served until it leaves.
served() {
	podckpt exec s -- rm /run/wait
	: >leave
	await "$visitor"
	assert_equal "$status" 0
	assert_equal "$(sed 's/ .*//' visitor.out | tail -n 1)" all
	rm leave
}

@test "clients that come without pause do not keep a pod from being checkpointed, and none of them fails" {
	local ip clients before

	server
	python3 "$PROGRAMS/short-client.py" "$ip" 4 "$PWD/stop" >clients.out 2>&1 3>&- &
	clients=$!
	until_ok 30 more_answers 0
	for _ in 1 2 3 4; do
		run podckpt checkpoint -R s
		assert_success
		before=$(answers)
		until_ok 30 more_answers "$before"
	done
	: >stop
	await "$clients"
	tail -n 1 clients.out
	assert_equal "$status" 0
	podckpt checkpoint s
	podckpt restore -d --verify s.tar
	until_ok 20 asks
}

@test "who is not accepted at all is a refusal, and is served afterwards" {
	local ip visitor

	server
	visit
	run podckpt checkpoint s
	assert_failure 4
	assert_output "podckpt: checkpoint s: pid 2 (python3) fd 3: a TCP connection that waits to be accepted (at 0.0.0.0:7300) is not carried; accept it before the checkpoint"
	assert_equal "$(ls ./*.tar 2>/dev/null)" ""
	served
	until_ok 20 asks
}

@test "podckpt killed while nobody is let in leaves the door open" {
	local ip visitor pid moment

	server
	for moment in 0.1 0.3 0.6; do
		visit
		"$PODCKPT" checkpoint s &
		pid=$!
		until_ok 20 status_is s checkpointing
		sleep "$moment"
		kill -9 "$pid"
		await "$pid"
		assert_equal "$status" 137
		until_ok 20 status_is s running
		served
		until_ok 20 asks
	done
}
