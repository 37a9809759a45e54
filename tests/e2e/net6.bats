#!/usr/bin/env bats
# IPv6 addresses of pods: proved by traffic, carried like the IPv4 ones.

bats_require_minimum_version 1.5.0
load helpers

SERVER=$BATS_TEST_DIRNAME/programs/tcp-server.py
CLIENT=$BATS_TEST_DIRNAME/programs/tcp-client.py

pod_ip6() {
	pod_field "$1" ip6
}

server() {
	podckpt run -d --name "$1" "${@:2}" -- python3 -u "$SERVER" 6 5000
	wait_output "$1" listening
}

# client OUTPUT ADDRESS WHAT: in the background
client() {
	timeout 300 python3 -u "$CLIENT" "$2" 5000 "$3" >"$1" 2>&1 </dev/null 3>&- &
}

has() {
	grep -q "$2" "$1"
}

# answers ADDRESS: is there somebody, from where the command "${@:2}" runs it?
answers() {
	: >go
	"${@:2}" python3 -u "$CLIENT" "$1" 5000 echo | grep "answer hello"
}

# A host of its own: runs the script on standard input in a network namespace.
on_own_host() {
	cat >script
	unshare --net --mount --propagation private -- bash -c '
		mount -t tmpfs tmpfs /run
		ip link set lo up
		. ./script
		code=$?
		"$PODCKPT" rm -f -a
		exit $code'
}

@test "the host and other pods reach a pod's address, which is made from the IPv4 one" {
	local ip ip6

	server web
	ip=$(pod_ip web)
	ip6=$(pod_ip6 web)
	run python3 -c '
import ipaddress, sys
four, six = ipaddress.ip_address(sys.argv[1]), ipaddress.ip_address(sys.argv[2])
print(six.is_private, six.packed[-4:] == four.packed)' "$ip" "$ip6"
	assert_output "True True"
	run -0 answers "$ip6"
	: >"$BATS_TEST_TMPDIR/go"
	run podckpt run -v "$BATS_TEST_TMPDIR:/mnt" -w /mnt -- python3 -u "$CLIENT" "$ip6" 5000 echo
	assert_output --partial "answer hello"
	assert_equal "$(podckpt inspect web | jq -r .config.address.ip6)" "$ip6"
}

@test "concurrent runs get different addresses" {
	local i

	for i in 1 2 3 4 5 6; do
		podckpt run -d --name "p$i" -- sleep 1000 &
	done
	wait
	run bash -c '"$PODCKPT" ps --format json | jq -r ".pods[].ip6" | sort -u | wc -l'
	assert_output 6
}

@test "an address can be chosen, is taken once, and can be left out" {
	local made chosen text

	podckpt run -d --name first --ip 10.88.7.7 -- sleep 1000
	made=$(pod_ip6 first)
	chosen=${made%%::*}::1234
	podckpt run -d --name chosen --ip6 "$chosen" -- sleep 1000
	assert_equal "$(pod_ip6 chosen)" "$chosen"
	run podckpt run -d --name again --ip6 "$chosen" -- sleep 1000
	assert_failure 8
	assert_output --regexp "address $chosen is taken by another pod \(link 'pck[0-9a-f]+'\); choose another with --ip6"
	run podckpt run -d --name again --ip6 2001:db8::7 -- sleep 1000
	assert_failure
	assert_output --partial "address 2001:db8::7 is not one of the subnet ${made%%::*}::/64 of the bridge 'podckpt0'"
	for text in 1.2.3.4 :: ::1 fe80::1 ff02::1 ::ffff:1.2.3.4 x; do
		run podckpt run -d --ip6 "$text" -- sleep 1000
		assert_failure
		assert_output --partial "'$text' is not an IPv6 address of a pod, auto or none"
	done
	run podckpt ps -q
	refute_output --partial again
	podckpt run -d --name without --ip6 none -- sleep 1000
	assert_equal "$(pod_ip6 without)" null
	# What is made from an IPv4 address may have been chosen by another.
	podckpt rm -f first
	podckpt run -d --name taker --ip6 "$made" -- sleep 1000
	podckpt run -d --name first --ip 10.88.7.7 -- sleep 1000
	refute [ "$(pod_ip6 first)" = "$made" ]
	run podckpt exec first -- ip -6 -o address show dev eth0 scope global
	assert_output --partial "$(pod_ip6 first)/64"
}

@test "a pod finds its own address behind its name, also with another address" {
	local ip6

	podckpt run -d --name named -- sleep 1000
	ip6=$(pod_ip6 named)
	run podckpt exec named -- getent ahostsv6 named
	assert_output --regexp "^$ip6 +STREAM named"
	podckpt checkpoint -o named.tar named
	podckpt restore -d --verify --ip 10.88.7.7 named.tar
	run podckpt exec named -- getent ahostsv4 named
	assert_output --regexp "^10\.88\.7\.7 +STREAM named"
	run podckpt exec named -- getent ahostsv6 named
	assert_output --regexp "^$(pod_ip6 named) +STREAM named"
	assert_equal "$(podckpt exec named -- grep -cw named /etc/hosts)" 2
}

@test "a connection over IPv6 goes on over two cycles, no byte lost or doubled" {
	local ip6

	server s
	ip6=$(pod_ip6 s)
	client out "$ip6" count
	client hold "$ip6" hold
	client fill "$ip6" fill
	until_ok 120 has out counting
	until_ok 120 has hold full
	until_ok 120 has fill connected
	cycle s plain
	cycle s verify
	assert_equal "$(pod_ip6 s)" "$ip6"
	: >"$(pod_path s /run/read)"
	: >go
	until_ok 120 has out received
	until_ok 120 has hold same
	until_ok 120 has fill "got 8388608"
	wait_output s "counted $(sed -n 's/^sent \([0-9]*\) .*/\1/p' out)"
}

@test "a second copy gets other addresses, and without connections only" {
	local ip6

	server s
	ip6=$(pod_ip6 s)
	client out "$ip6" echo
	until_ok 120 has out connected
	podckpt checkpoint -R -o s.tar s
	run podckpt restore -d --tcp-close --name copy --ip 10.88.7.7 --ip6 "$ip6" s.tar
	assert_failure 8
	assert_output --partial "address $ip6 is taken by another pod"
	assert_output --partial "choose another with --ip6"
	run podckpt restore -d --name copy --ip 10.88.7.7 s.tar
	assert_failure
	assert_output --partial "the pod has 1 TCP connection that cannot go on at another address"
	podckpt restore -d --verify --tcp-close --name copy --ip 10.88.7.7 s.tar
	refute [ "$(pod_ip6 copy)" = "$ip6" ]
	run -0 answers "$(pod_ip6 copy)"
	podckpt restore -d --verify --tcp-close --name other --ip 10.88.7.8 --ip6 "${ip6%%::*}::99" s.tar
	assert_equal "$(pod_ip6 other)" "${ip6%%::*}::99"
	run -0 answers "$(pod_ip6 other)"
	until_ok 120 has out "answer hello"
	podckpt rm -f s
	run podckpt restore -d --ip6 "${ip6%%::*}::98" s.tar
	assert_failure
	assert_output --partial "cannot go on at another address; restore it without --ip, --ip6 and --mac"
}

@test "sockets at the pod's own address are at its new one in a copy" {
	local ip6

	podckpt run -d --name own --ip 10.88.7.6 -- python3 -u -c '
import socket
address = next(i[4][0] for i in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET6))
s = socket.create_server((address, 5000), family=socket.AF_INET6)
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.bind((address, 5000))
print("ready")
while True:
    c, _ = s.accept()
    text = f"{s.getsockname()[0]} {u.getsockname()[0]} {c.getsockname()[0]}"
    c.sendall(text.encode())'
	wait_output own ready
	podckpt checkpoint -o own.tar own
	podckpt restore -d --verify --ip 10.88.7.7 own.tar
	ip6=$(pod_ip6 own)
	run timeout 120 socat -t 60 -T 60 "TCP6:[$ip6]:5000" -
	assert_output "$ip6 $ip6 $ip6"
	podckpt rm -f own
	run podckpt restore -d --ip6 none own.tar
	assert_failure
	assert_output --partial "the pod has sockets at its IPv6 address, so it needs one here too; leave out --ip6 none"
}

@test "an image from before has no address and gets none, unless asked for" {
	podckpt run -d --name old -- sleep 1000
	podckpt checkpoint -o new.tar old
	python3 "$BATS_TEST_DIRNAME/image-edit.py" '[m["pod"]["address"].pop(k, 0) for k in ("ip6", "prefix6", "gateway6")]' \
		<new.tar >old.tar
	podckpt restore -d --verify old.tar
	assert_equal "$(pod_ip6 old)" null
	run podckpt exec old -- ip -6 -o address show dev eth0 scope global
	assert_output ""
	cycle old verify
	podckpt rm -f old
	podckpt restore -d --verify --ip6 auto old.tar
	run podckpt exec old -- getent ahostsv6 old
	assert_output --regexp "^$(pod_ip6 old) +STREAM old"
}

@test "an address that was changed inside is told about" {
	local pid ip6

	podckpt run -d --name changed -- sleep 1000
	pid=$(pod_field changed pid)
	ip6=$(pod_ip6 changed)
	nsenter -t "$pid" -n ip address delete "$ip6/64" dev eth0
	nsenter -t "$pid" -n ip address add 2001:db8::7/64 dev eth0
	run podckpt checkpoint -o c.tar changed
	assert_failure
	assert_output --partial "address 2001:db8::7/64 on eth0 was set up inside"
	assert_output --partial "address $ip6/64 is gone from eth0"
}

@test "on a host without IPv6 pods have none, and those that had one are refused" {
	podckpt run -d --name six -- sleep 1000
	podckpt checkpoint -o six.tar six
	run on_own_host <<-'END'
		sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
		"$PODCKPT" check --format json | jq -c '.features[] | select(.name == "IPv6") | .present'
		"$PODCKPT" run -d --name four -- sleep 1000
		"$PODCKPT" ps --format json | jq -c '.pods[] | [.name, .ip6]'
		"$PODCKPT" checkpoint -R -o four.tar four
		"$PODCKPT" run -d --ip6 fd00::7 -- sleep 1000
		"$PODCKPT" rm -f four
		"$PODCKPT" restore -d six.tar
		"$PODCKPT" restore -d --name six --ip 10.88.7.7 --ip6 none six.tar
		"$PODCKPT" ps --format json | jq -c '.pods[] | [.name, .ip6]'
	END
	assert_line --index 0 false
	assert_line --index 2 '["four",null]'
	assert_line --index 4 --partial "the bridge 'podckpt0' cannot have the IPv6 address fd00::7: IPv6 is off on this host; do without with --ip6 none"
	assert_line --index 5 --partial "IPv6 is off on this host; do without with --ip6 none"
	assert_line --index 7 '["six",null]'
}

# A host and a world behind it, for on_own_host.
world() {
	cat <<-'END'
		unshare -n sleep 1000 &
		world=$!
		while [ "$(readlink /proc/$world/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
		ip link add out type veth peer name far netns /proc/$world/ns/net
		ip address add 2001:db8::2/64 dev out nodad
		ip link set out up
		nsenter -t $world -n ip address add 2001:db8::1/64 dev far nodad
		nsenter -t $world -n ip link set far up
		nsenter -t $world -n python3 -u -c '
		import socket
		s = socket.create_server(("::", 7000), family=socket.AF_INET6)
		while True:
		    c, peer = s.accept()
		    c.sendall(peer[0].encode())' &
		server=$!
		until nsenter -t $world -n ss -Hltn 'sport = :7000' | grep -q .; do sleep 0.05; done
	END
	cat
	echo 'kill $server $world'
}

@test "where the host forwards IPv6 pods reach out by NAT, elsewhere they know that they cannot" {
	run on_own_host < <(world <<-'END'
		outside='import socket
		try:
		    print("from", socket.create_connection(("2001:db8::1", 7000), 120).recv(99).decode())
		except OSError as e:
		    print(e.strerror)'
		"$PODCKPT" run --name in -- python3 -c "$outside"
		sysctl -qw net.ipv6.conf.all.forwarding=1
		"$PODCKPT" run --name out -- python3 -c "$outside"
		"$PODCKPT" run -d --name out2 -- sleep 1000
		"$PODCKPT" checkpoint -o out2.tar out2
		"$PODCKPT" restore -d --verify out2.tar
		"$PODCKPT" exec out2 -- python3 -c "$outside"
		"$PODCKPT" checkpoint -o out2.tar out2
		sysctl -qw net.ipv6.conf.all.forwarding=0
		"$PODCKPT" restore -d --verify out2.tar
		"$PODCKPT" exec out2 -- python3 -c "$outside"
		"$PODCKPT" checkpoint -o out2.tar out2
	END
	)
	assert_line --index 0 "Network is unreachable"
	assert_line --index 1 "from 2001:db8::2"
	assert_line --index 5 "from 2001:db8::2"
	assert_line --index 8 "Network is unreachable"
	assert_success
}

@test "the subnet that this host has already is left alone, and a bridge keeps its own" {
	run on_own_host <<-'END'
		ip link add other type veth peer name far
		ip link set far up
		ip link set other up
		ip -6 route add fd40:2352:b44b:a58::/63 dev other
		"$PODCKPT" run --name a --rm -- ip -6 -br address show dev eth0 scope global
		"$PODCKPT" network rm podckpt0
		ip link add podckpt0 type bridge
		ip address add 2001:db8:7::9/64 dev podckpt0
		"$PODCKPT" run --name b --rm -- ip -6 -br address show dev eth0 scope global
		"$PODCKPT" network ls
	END
	assert_success
	assert_line --index 0 --partial "fd40:2352:b44b:a5a::a58:2/64"
	assert_line --index 1 --partial "2001:db8:7::a58:2/64"
	assert_line --index 3 --regexp "^podckpt0 +10\.88\.0\.1/16 +2001:db8:7::9/64 "
}

sends_in_vain() {
	nsenter -t "$(podckpt ps --format json | jq '.pods[0].pid')" -n -- ss -Hnt6 state established |
		awk '$2 > 0 { n++ } END { exit !n }'
}

@test "a pod whose peer takes nothing is removed at once" {
	server s
	client fill "$(pod_ip6 s)" fill
	until_ok 120 has fill connected
	until_ok 120 sends_in_vain
	# The kernel would try for more than a minute.
	run -0 timeout 40 "$PODCKPT" rm -f s
	until_ok 40 nothing_left
}
