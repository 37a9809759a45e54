#!/usr/bin/env bats
# Connections whose other end is outside the pod, and which go on over checkpoints and restores.

bats_require_minimum_version 1.5.0
load helpers

SERVER=$BATS_TEST_DIRNAME/programs/tcp-server.py
CLIENT=$BATS_TEST_DIRNAME/programs/tcp-client.py

# server POD FAMILY
server() {
	podckpt run -d --name "$1" -- python3 -u "$SERVER" "$2" 5000
	wait_output "$1" listening
}

# client OUTPUT ADDRESS WHAT: in the background
client() {
	python3 -u "$CLIENT" "$2" 5000 "$3" >"$1" 2>&1 3>&- &
}

has() {
	grep -q "$2" "$1"
}

@test "traffic in both directions goes on over two cycles, no byte lost or doubled" {
	local ip

	server s 4
	ip=$(pod_ip s)
	client out "$ip" count
	until_ok 20 has out counting
	cycle s plain
	sleep 0.3
	cycle s verify
	sleep 0.3
	cycle s pipe
	sleep 0.3
	: >go
	until_ok 60 has out received
	cat out
	run cat out
	assert_line --regexp '^sent [0-9]+ received [0-9]+ gap '
	wait_output s "counted $(sed -n 's/^sent \([0-9]*\) .*/\1/p' out)"
}

@test "a connection survives a checkpoint that leaves the pod running" {
	local ip i

	server s 4
	ip=$(pod_ip s)
	client out "$ip" count
	until_ok 20 has out counting
	for i in 1 2 3 4 5; do
		podckpt checkpoint -R -o "$i.tar" s
	done
	: >go
	until_ok 60 has out received
	wait_output s "counted $(sed -n 's/^sent \([0-9]*\) .*/\1/p' out)"
}

@test "what waits in the queues at either side arrives, the ends of file too" {
	local ip

	server s 4
	ip=$(pod_ip s)
	client hold "$ip" hold
	client fill "$ip" fill
	client echo "$ip" echo
	until_ok 20 has hold full
	until_ok 20 has fill connected
	until_ok 20 has echo connected
	sleep 0.3
	cycle s plain
	cycle s verify
	: >"$(pod_path s /run/read)"
	: >go
	until_ok 60 has hold same
	until_ok 60 has fill "got 8388608"
	until_ok 60 has echo "answer hello"
	wait_output s "got 6"
}
