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
	# He is answered by the server that accepts already, and comes again.
	python3 "$PROGRAMS/short-client.py" "$ip" 1 "$PWD/leave" >visitor.out 2>&1 3>&- &
	visitor=$!
	until_ok 120 podckpt exec s -- test -e /run/waiting
	until_ok 120 waits
}

waits() {
	nsenter -t "$(pod_field s pid)" -n ss -Hltn 'sport = :7300' | awk '$2 > 0 { found = 1 } END { exit !found }'
}

# The server answers, once it accepts.
asks() {
	timeout 120 python3 -c '
import socket, sys
with socket.create_connection((sys.argv[1], 7300), 60) as c:
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

	needs_waiting
	server
	python3 "$PROGRAMS/short-client.py" "$ip" 4 "$PWD/stop" >clients.out 2>&1 3>&- &
	clients=$!
	until_ok 120 more_answers 0
	for _ in 1 2 3 4; do
		run podckpt checkpoint -R s
		assert_success
		before=$(answers)
		until_ok 120 more_answers "$before"
	done
	: >stop
	await "$clients"
	tail -n 1 clients.out
	assert_equal "$status" 0
	podckpt checkpoint s
	podckpt restore -d --verify s.tar
	until_ok 120 asks
}

@test "who waits to be accepted is carried, and served where the pod goes on" {
	local ip visitor

	needs_waiting
	server
	visit
	podckpt checkpoint -R s
	waits
	podckpt checkpoint s
	podckpt restore -d --verify s.tar
	waits
	podckpt checkpoint s
	podckpt restore -d --verify s.tar
	waits
	served
	until_ok 120 asks
}

@test "podckpt killed at a checkpoint leaves who waits to be accepted where he is" {
	local ip visitor pid moment

	server
	visit
	for moment in 0 0.03 0.06 0.1 0.2; do
		"$PODCKPT" checkpoint -R s -o killed.tar &
		pid=$!
		sleep "$moment"
		kill -9 "$pid" 2>/dev/null || true
		await "$pid"
		until_ok 120 status_is s running
		waits
	done
	served
	until_ok 120 asks
}

@test "--tcp-close gives up who waits to be accepted" {
	local ip visitor

	needs_waiting
	server
	visit
	podckpt checkpoint s
	run podckpt restore -d --ip 10.88.0.77 s.tar
	assert_failure
	assert_output "podckpt: restore s.tar: the pod has 1 TCP connection that cannot go on at another address; restore it without --ip, --ip6 and --mac, or give it up with --tcp-close"
	podckpt restore -d --tcp-close s.tar
	podckpt exec s -- rm /run/wait
	await "$visitor"
	assert_equal "$status" 1
	until_ok 120 asks
}

@test "where the kernel does not describe itself, who waits to be accepted is a refusal, and is served afterwards" {
	local ip visitor

	server
	visit
	run unshare -m sh -c 'mount --bind /dev/null /sys/kernel/btf/vmlinux && exec "$0" checkpoint s' "$PODCKPT"
	assert_failure 4
	assert_output "podckpt: checkpoint s: pid 2 (python3) fd 3: a TCP connection that waits to be accepted (at port 7300) cannot be read: this kernel does not describe its types (/sys/kernel/btf); accept it before the checkpoint"
	assert_equal "$(ls ./*.tar 2>/dev/null)" ""
	served
	until_ok 120 asks
}

# An answer that nginx has given, and closed, while its client has no room for it.
orphan() {
	nsenter -t "$(pod_field web pid)" -n ss -Hant state fin-wait-1 | grep -q ':80 '
}

runs_or_is_gone() {
	[ -z "$(podckpt ps -q)" ] || status_is web running
}

# nginx, and a client that has no room for the answer to its question yet.
slow_client() {
	mkdir web
	# More than the client has room for, less than nginx has: it is to close without waiting for anybody.
	head -c 30000 /dev/urandom >web/file
	cat >nginx.conf <<-EOF
		user root;
		daemon off;
		worker_processes 1;
		pid /run/nginx.pid;
		error_log stderr;
		events { worker_connections 64; }
		http {
			access_log off;
			keepalive_timeout 0;
			client_body_temp_path /run/body;
			proxy_temp_path /run/proxy;
			fastcgi_temp_path /run/fastcgi;
			uwsgi_temp_path /run/uwsgi;
			scgi_temp_path /run/scgi;
			server { listen 80; root $PWD/web; }
		}
	EOF
	podckpt run -d --name web -- nginx -c "$PWD/nginx.conf"
	ip=$(pod_ip web)
	until_ok 120 curl -sfo /dev/null "http://$ip/file"
	python3 "$PROGRAMS/slow-client.py" "$ip" /file "$PWD/go" got >client.out 2>&1 3>&- &
	client=$!
	until_ok 120 orphan
}

gets_the_rest() {
	: >go
	if ! wait "$client"; then
		cat client.out
		return 1
	fi
	cmp web/file got
}

@test "a slow client gets the rest of an answer whose server has closed the connection, from the restored pod" {
	local ip client

	slow_client
	podckpt checkpoint web
	podckpt restore -d --verify web.tar
	orphan
	podckpt checkpoint web
	podckpt restore -d --verify web.tar
	gets_the_rest
}

# Of the test below; its variables.
killed_at() {
	"$fault" -l log -n "$1" -k -- "${restore[@]}" || true
	until_ok 120 runs_or_is_gone
	[ "$(podckpt ps -q)" = web ] || return 0
	orphan
	went_on=$((went_on + 1))
	podckpt checkpoint web
}

@test "podckpt killed at the release of a pod does not take the rest of an answer along" {
	local fault=$BUILD/tests/faults/fault ip client restore n first last went_on=0

	slow_client
	podckpt checkpoint web
	restore=("$BUILD/.libs/podckpt" restore -d web.tar)
	export LD_LIBRARY_PATH=$BUILD/.libs
	"$fault" -l calls -w 0 -- "${restore[@]}"
	podckpt checkpoint web
	# The last three that it sends: the monitor is to be ready, to release, to set going.
	awk '$1 == "call" && $3 == 46 { print $2 }' calls | tail -n 3 >sent
	first=$(head -n 1 sent)
	last=$(tail -n 1 sent)
	for ((n = last + 4; n > first; n -= 3)); do
		killed_at "$n"
	done
	# Another run may need some calls more until its release.
	for ((n = last + 6; went_on < 2 && n < last + 400; n += 2)); do
		killed_at "$n"
	done
	assert [ "$went_on" -gt 1 ]
	podckpt restore -d --verify web.tar
	gets_the_rest
}

# remains: what is left in the pod of a connection whose client has gone.
remains() {
	nsenter -t "$(pod_field s pid)" -n ss -Hant state time-wait sport = :7300 | grep -q ':7300 '
}

@test "what is left of a connection waits for its time in the restored pod, too, though its peer has gone" {
	local ip

	cat >server.py <<-'EOF'
		import socket
		s = socket.create_server(("", 7300))
		while True:
		    s.accept()[0].close()
	EOF
	cat >client.py <<-'EOF'
		import socket, sys
		with socket.create_connection((sys.argv[1], 7300)) as s:
		    assert not s.recv(1)
	EOF
	podckpt run -d --name s -- python3 "$PWD/server.py"
	ip=$(pod_ip s)
	until_ok 120 python3 client.py "$ip"
	until_ok 120 remains
	for _ in 1 2; do
		podckpt checkpoint s
		podckpt restore -d --verify s.tar
		# Refused, by the pod: whatever was to be sent before that has been.
		run curl -sm 120 "http://$ip:9/"
		assert_equal "$status" 7
		remains
	done
}
