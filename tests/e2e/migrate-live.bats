#!/usr/bin/env bats
# Pods that go to another host while somebody is connected to them: clients notice a pause, not a loss.

bats_require_minimum_version 1.5.0
load helpers
load hosts

PROGRAMS=$BATS_TEST_DIRNAME/programs
declare -gA clients=()

setup_file() {
	lib_setup migrate-live
	hosts_setup
}

teardown_file() {
	hosts_teardown
	lib_teardown
}

teardown() {
	local pid

	if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		tail -n 5 ./*.out
	fi
	for pid in $(jobs -p); do
		kill "$pid" 2>/dev/null || true
	done
	hosts_clean
}

# Runs something on the third host, in the background; what it prints goes to NAME.out: client NAME COMMAND...
client() {
	local pid

	pid=$(cat "$HOSTS/client.pid")
	nsenter -t "$pid" -n -m -- env -u PODCKPT_ROOT "${@:2}" <&0 >"$1.out" 2>&1 3>&- &
	clients[$1]=$!
}

# It ends well.
client_ends() {
	await "${clients[$1]}"
	[ "$status" -eq 0 ] || tail -n 5 "$1.out"
	assert_equal "$1 $status" "$1 0"
}

says() {
	grep -qF -- "$2" "$1.out"
}

# The last number behind WORD in what the client NAME has said.
number_of() {
	sed -n "s/^$2 //p" "$1.out" | tail -n 1
}

beyond() {
	[ "$(number_of "$1" "$2")" -gt "$3" ]
}

on_client_open() {
	on client timeout 30 bash -c "exec 9<>/dev/tcp/$1/$2" 2>/dev/null
}

@test "redis clients that write without pause lose no connection and no write in ten migrations, and double none" {
	local way written options=(--verify)

	ona run -d --name redis --ip 10.77.0.60 -- redis-server --save '' --protected-mode no
	until_ok 120 on_client_open 10.77.0.60 6379
	client writer python3 "$PROGRAMS/writer.py" 10.77.0.60 4 "$PWD/stop"
	until_ok 120 says writer "written 100"
	for way in there back there back there back there back there back; do
		"$way" migrate "${options[@]}" redis
		options=()
		written=$(number_of writer written)
		until_ok 120 beyond writer written "$written"
	done
	: >stop
	client_ends writer
	run tail -n 1 writer.out
	assert_output --regexp '^all [0-9]+$'
	assert [ "$(number_of writer all)" -gt 4000 ]
}

@test "a large file that nginx serves to slow clients is whole after the migrations" {
	local i digest

	mkdir site
	head -c 24000000 /dev/urandom >site/file
	digest=$(sha256sum <site/file)
	cat >nginx.conf <<-END
		daemon off;
		worker_processes 2;
		pid /run/nginx.pid;
		error_log stderr notice;
		user nobody nogroup;
		events { worker_connections 64; }
		http {
			access_log off;
			client_body_temp_path /run/body;
			proxy_temp_path /run/proxy;
			fastcgi_temp_path /run/fastcgi;
			uwsgi_temp_path /run/uwsgi;
			scgi_temp_path /run/scgi;
			server { listen 8080; root $PWD/site; }
		}
	END
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$PWD" "$PWD/.." "$PWD/../.."
	PATH=$PATH:/usr/sbin ona run -d --name web --ip 10.77.0.61 -- nginx -c "$PWD/nginx.conf" -p "$PWD"
	until_ok 120 on_client_open 10.77.0.61 8080
	for i in 1 2 3; do
		client "reader$i" python3 "$PROGRAMS/slow-reader.py" 10.77.0.61 8080 /file "$PWD/go"
	done
	for i in 1 2 3; do
		until_ok 120 says "reader$i" begun
	done
	there migrate web
	back migrate web
	: >go
	for i in 1 2 3; do
		client_ends "reader$i"
		assert_equal "$(tail -n 1 "reader$i.out")" "${digest%% *}"
	done
}

# waits HOST: somebody is to be accepted by the pod s there.
waits() {
	"$1" exec s -- ss -Hltn 'sport = :7300' | awk '$2 > 0 { found = 1 } END { exit !found }'
}

@test "who waits to be accepted goes along, and is served when the server accepts again" {
	needs_waiting
	ona run -d --name s --ip 10.77.0.63 -- python3 -u "$PROGRAMS/short-server.py"
	until_ok 120 on_client_open 10.77.0.63 7300
	ona exec s -- touch /run/wait
	# The visitor is answered once, by the server that accepts already, or not at all: from then on it waits.
	client visitor python3 "$PROGRAMS/short-client.py" 10.77.0.63 1 "$PWD/leave"
	until_ok 120 ona exec s -- test -e /run/waiting
	until_ok 120 waits ona
	there migrate s
	waits onb
	back migrate s
	waits ona
	ona exec s -- rm /run/wait
	: >leave
	client_ends visitor
	says visitor "all "
}

@test "a login by ssh goes on typing across migrations" {
	local way lines

	ssh-keygen -q -t ed25519 -N '' -f host
	cat >sshd.conf <<-END
		Port 22
		HostKey $PWD/host
		PidFile none
		AuthorizedKeysFile $HOSTS/key.pub
		StrictModes no
		UsePAM no
		SetEnv SHLVL=2
		PermitRootLogin yes
		PrintMotd no
		PrintLastLog no
	END
	ona run -d --name login --ip 10.77.0.62 -- sh -c "mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e -f $PWD/sshd.conf"
	until_ok 120 on_client_open 10.77.0.62 22
	mkfifo keys
	exec 8<>keys
	# shellcheck disable=SC2086
	client session $RSH -tt root@10.77.0.62 'stty -echo; PS1= n=0 exec bash --norc --noprofile --noediting -i' <&8
	(
		n=0
		until [ -e stop ]; do
			echo 'echo typed $((++n))'
			n=$((n + 1))
			sleep 0.05
		done
		echo "$n" >typed
		echo 'exit 7'
	) >&8 &
	until_ok 120 says session "typed 10"
	for way in there back; do
		"$way" migrate login
		lines=$(wc -l <session.out)
		until_ok 120 longer session.out "$lines"
	done
	: >stop
	await "${clients[session]}"
	exec 8>&-
	assert_equal "$status" 7
	tr -d '\r' <session.out | sed -n 's/^typed //p' >got
	seq 1 "$(cat typed)" | cmp got -
}

longer() {
	[ "$(wc -l <"$1")" -gt "$2" ]
}

@test "a connection on which nobody says a word during the move is there afterwards" {
	ona run -d --name lines --ip 10.77.0.63 -- python3 -u "$PROGRAMS/silent.py"
	until_ok 120 on_client_open 10.77.0.63 7100
	client asker python3 "$PROGRAMS/silent.py" 10.77.0.63 "$PWD/first" "$PWD/second"
	until_ok 120 says asker "answered 0"
	there migrate lines
	: >first
	until_ok 120 says asker "answered 1"
	back migrate lines
	: >second
	client_ends asker
	assert_equal "$(tail -n 1 asker.out)" "answered 2"
}

heard() {
	on "$1" "$PODCKPT" logs "$2" | grep -c heard
}

hears_more() {
	[ "$(heard "$1" "$2")" -gt "$3" ]
}

@test "two pods that talk to each other go to another host as a set, and talk on" {
	local name count

	ona run -d --name left --ip 10.77.0.64 -- python3 -u "$PROGRAMS/chat.py"
	until_ok 120 listens hosta left
	ona run -d --name right --ip 10.77.0.65 -- python3 -u "$PROGRAMS/chat.py" 10.77.0.64
	for name in left right; do
		until_ok 120 hears_more hosta "$name" 0
	done
	ona checkpoint -o "$PWD/" left right
	run onb restore --verify "$PWD/left.tar" "$PWD/right.tar"
	assert_success
	assert_output $'left\nright'
	for name in left right; do
		count=$(heard hostb "$name")
		until_ok 120 hears_more hostb "$name" "$count"
	done
	for name in left right; do
		onb exec "$name" -- touch /run/stop
	done
	for name in left right; do
		assert_equal "$(onb wait "$name")" 0
	done
	for name in left right; do
		onb logs "$name" >"$name.log"
	done
	assert_equal "$(sed -n 's/^said //p' left.log)" "$(sed -n 's/^all //p' right.log)"
	assert_equal "$(sed -n 's/^said //p' right.log)" "$(sed -n 's/^all //p' left.log)"
}

listens() {
	on "$1" "$PODCKPT" logs "$2" | grep -q listening
}

# The client's port is shut again and again, for a moment: what comes then is lost.
lossy() {
	# shellcheck disable=SC2016
	on hub sh -c 'while [ -e "$1" ]; do
			ip link set client type bridge_slave state 0
			sleep 0.02
			ip link set client type bridge_slave state 3
			sleep 0.2
		done' sh "$PWD/lossy"
}

retransmitted() {
	on client awk '$1 == "Tcp:" { n = $13 } END { print n }' /proc/net/snmp
}

retransmits_more() {
	[ "$(retransmitted)" -gt "$1" ]
}

both_listen() {
	[ "$(ona logs s | grep -cxF listening)" = 2 ]
}

has_logged() {
	ona logs "$1" | grep -qxF "$2"
}

@test "connections over IPv4 and IPv6 go on across migrations although packets are lost all the time" {
	local ip6 what before shutter

	ona run -d --name s --ip 10.77.0.65 -- sh -c "python3 -u '$PROGRAMS/tcp-server.py' 4 5000 &
		exec python3 -u '$PROGRAMS/tcp-server.py' 6 5000"
	until_ok 120 both_listen
	ip6=$(ona inspect s | jq -r .config.address.ip6)
	before=$(retransmitted)
	: >lossy
	lossy 3>&- &
	shutter=$!
	for what in count fill echo; do
		client "four-$what" env -C "$PWD" python3 -u "$PROGRAMS/tcp-client.py" 10.77.0.65 5000 "$what"
		client "six-$what" env -C "$PWD" python3 -u "$PROGRAMS/tcp-client.py" "$ip6" 5000 "$what"
	done
	for what in four six; do
		until_ok 120 says "$what-count" counting
		until_ok 120 says "$what-fill" connected
		until_ok 120 says "$what-echo" connected
	done
	there migrate s
	back migrate s
	until_ok 120 retransmits_more "$((before + 10))"
	rm lossy
	wait "$shutter"
	: >go
	for what in four six; do
		until_ok 120 says "$what-count" received
		until_ok 120 says "$what-fill" "got 8388608"
		until_ok 120 says "$what-echo" "answer hello"
		until_ok 120 has_logged s "counted $(sed -n 's/^sent \([0-9]*\) .*/\1/p' "$what-count.out")"
	done
}
