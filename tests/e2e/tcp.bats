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
	until_ok 120 has out counting
	cycle s plain
	sleep 0.3
	cycle s verify
	sleep 0.3
	cycle s pipe
	sleep 0.3
	: >go
	until_ok 120 has out received
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
	until_ok 120 has out counting
	for i in 1 2 3 4 5; do
		podckpt checkpoint -R -o "$i.tar" s
	done
	: >go
	until_ok 120 has out received
	wait_output s "counted $(sed -n 's/^sent \([0-9]*\) .*/\1/p' out)"
}

@test "what waits in the queues at either side arrives, the ends of file too" {
	local ip

	server s 4
	ip=$(pod_ip s)
	client hold "$ip" hold
	client fill "$ip" fill
	client echo "$ip" echo
	until_ok 120 has hold full
	until_ok 120 has fill connected
	until_ok 120 has echo connected
	sleep 0.3
	cycle s plain
	cycle s verify
	: >"$(pod_path s /run/read)"
	: >go
	until_ok 120 has hold same
	until_ok 120 has fill "got 8388608"
	until_ok 120 has echo "answer hello"
	wait_output s "got 6, segments are as large"
}

@test "at another address connections are refused, or given up with --tcp-close at both ends" {
	local ip other

	server s 4
	ip=$(pod_ip s)
	client first "$ip" echo
	client second "$ip" echo
	until_ok 120 has first connected
	until_ok 120 has second connected
	podckpt checkpoint -o s.tar s
	other=${ip%.*}.201
	run podckpt restore -d --ip "$other" s.tar
	assert_failure
	assert_output "podckpt: restore s.tar: the pod has 2 TCP connections that cannot go on at another address; restore it without --ip, --ip6 and --mac, or give them up with --tcp-close"
	podckpt restore -d --tcp-close --verify --ip "$other" s.tar
	python3 -u "$CLIENT" "$other" 5000 echo >third 2>&1 3>&- &
	until_ok 120 has third connected
	podckpt rm -f s
	podckpt restore -d --tcp-close s.tar
	: >go
	until_ok 120 has first "reset by peer"
	until_ok 120 has second "reset by peer"
	rm go
	client fourth "$ip" echo
	until_ok 120 has fourth connected
	: >go
	until_ok 120 has fourth "answer hello"
}

@test "podckpt killed at any moment leaves no connection behind that cannot speak" {
	local ip i

	server s 4
	ip=$(pod_ip s)
	client out "$ip" count
	client echo "$ip" echo
	until_ok 120 has out counting
	until_ok 120 has echo connected
	for i in $(seq 20); do
		podckpt checkpoint -R -o k.tar s 3>&- &
		sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
		kill -9 $! || true
		wait $! || true
		until_ok 120 status_is s running
		run -0 has out counting
	done
	: >go
	until_ok 120 has out received
	until_ok 120 has echo "answer hello"
	wait_output s "counted $(sed -n 's/^sent \([0-9]*\) .*/\1/p' out)"
}

@test "a kernel that cannot tell how a connection is, once: it goes on, or the restore fails and the next does it" {
	local fault=$BUILD/tests/faults/fault ip place places n=0 failed=0
	local restore=("$BUILD/.libs/podckpt" restore -d t.tar)

	server s 4
	ip=$(pod_ip s)
	client out "$ip" count
	until_ok 120 has out counting
	export LD_LIBRARY_PATH=$BUILD/.libs
	podckpt checkpoint -o t.tar s
	"$fault" -l calls -w 0 -- "${restore[@]}"
	# ENOMEM of getsockopt, at each place that it is called from.
	mapfile -t places < <(awk '$1 == "call" && $3 == 55 { print $5 }' calls | sort -u)
	for place in "${places[@]}"; do
		podckpt checkpoint -o t.tar s
		if ! "$fault" -l hits -w 0 -s 55 -p "$place" -n 1 -e 12 -- "${restore[@]}"; then
			failed=$((failed + 1))
			podckpt restore -d t.tar
		fi
		! grep -q '^hit 55 ' hits || n=$((n + 1))
	done
	echo "$n of ${#places[@]}, $failed failed"
	assert [ "$n" -gt 3 ]
	: >go
	until_ok 120 has out received
	wait_output s "counted $(sed -n 's/^sent \([0-9]*\) .*/\1/p' out)"
}

@test "peers that are gone delay nothing, and the pod learns of it" {
	local ip

	server s 4
	ip=$(pod_ip s)
	client out "$ip" hold
	until_ok 120 has out full
	podckpt checkpoint -o s.tar s
	kill -9 $!
	wait $! || true
	timeout 240 "$PODCKPT" restore -d --verify s.tar
	client out "$ip" echo
	until_ok 120 has out connected
	: >go
	until_ok 120 has out "answer hello"
}

@test "clients that have tried in vain for 20 seconds go on, with what waited at either side" {
	local ip

	server s 4
	ip=$(pod_ip s)
	client out "$ip" count
	client hold "$ip" hold
	client fill "$ip" fill
	until_ok 120 has out counting
	until_ok 120 has hold full
	until_ok 120 has fill connected
	podckpt checkpoint -o s.tar s
	# So long that their kernels send again only every 13 seconds.
	sleep 20
	podckpt restore -d --verify s.tar
	: >"$(pod_path s /run/read)"
	: >go
	until_ok 120 has out received
	until_ok 120 has hold same
	until_ok 120 has fill "got 8388608"
	wait_output s "counted $(sed -n 's/^sent \([0-9]*\) .*/\1/p' out)"
}
