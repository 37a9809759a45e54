#!/usr/bin/env bats
# Pods that go to another host: podckpt restore --host, podckpt migrate.

bats_require_minimum_version 1.5.0
load helpers
load hosts

setup_file() {
	lib_setup migrate
	hosts_setup
}

teardown_file() {
	hosts_teardown
	lib_teardown
}

teardown() {
	hosts_clean
}

counter() {
	ona run -d --name "$1" --net none "${@:2}" -- python3 "$BATS_TEST_DIRNAME/programs/counter.py"
	until_ok 120 counts hosta "$1" 3
}

# The last number a counter on that host has printed.
number() {
	on "$1" "$PODCKPT" logs "$2" 2>/dev/null | sed -n 's/^count \([0-9]*\) .*/\1/p' | tail -n 1
}

counts() {
	local n

	n=$(number "$1" "$2")
	[ "${n:-0}" -ge "$3" ]
}

goes_on() {
	until_ok 120 counts "$1" "$2" "$(($(number "$1" "$2") + 3))"
}

# No number left out, none twice.
unbroken() {
	on "$1" "$PODCKPT" logs "$2" | sed -n 's/^count \([0-9]*\) .*/\1/p' >got
	seq 0 "$(tail -n 1 got)" | cmp got -
}

absent() {
	! on "$1" "$PODCKPT" inspect "$2" >/dev/null 2>&1
}

@test "restore --host brings an image back on the other host" {
	counter c
	ona checkpoint -o "$PWD/c.tar" c
	run there restore "$PWD/c.tar"
	assert_success
	assert_output c
	goes_on hostb c
	unbroken hostb c
	assert absent hosta c
}

@test "migrate moves a running pod, and nothing of it stays" {
	counter c
	run there migrate c
	assert_success
	goes_on hostb c
	unbroken hostb c
	assert absent hosta c
	assert_equal "$(ls "$HOSTS/state-hostb/migrations")" ""
}

@test "what the other host has itself is not sent" {
	counter c
	run --separate-stderr there migrate --stats c
	assert_success
	echo "$output" | jq -e '.version == 1 and .downtime > 0 and .files_left_out > 0 and
		.bytes_left_out > 1000000 and .sent_bytes < .image_bytes + .bytes_left_out and
		([.phases[].name] == ["connect", "check", "send", "build", "hand over", "remove"])'
	goes_on hostb c
	unbroken hostb c
}

@test "a pod goes back and forth, with its memory" {
	local mode

	ona run -d --name c --net none -- python3 "$BATS_TEST_DIRNAME/programs/counter.py" 32
	until_ok 120 counts hosta c 3
	for mode in --verify --compress=lz4; do
		there migrate "$mode" c
		back migrate c
	done
	goes_on hosta c
	unbroken hosta c
	assert absent hostb c
}

@test "an address moves with its pod, and new connections find it" {
	ona run -d --name web --ip 10.77.0.50 -- python3 -u -c '
import socket
s = socket.create_server(("0.0.0.0", 7000))
n = 0
while True:
    c, peer = s.accept()
    n += 1
    c.sendall(b"answer %d" % n)
    c.close()'
	ask() { on client timeout 120 socat -t 60 -T 60 TCP:10.77.0.50:7000 - </dev/null; }
	until_ok 120 ask
	run ask
	assert_output --regexp '^answer [0-9]+$'
	there migrate web
	assert absent hosta web
	run ask
	assert_success
	assert_output --regexp '^answer [0-9]+$'
	assert [ "${output#answer }" -ge 3 ]
}

@test "connections over IPv6 move with their pod" {
	local ip6

	ona run -d --name s --ip 10.77.0.51 -- python3 -u "$BATS_TEST_DIRNAME/programs/tcp-server.py" 6 5000
	until_ok 120 logged hosta s listening
	ip6=$(ona inspect s | jq -r .config.address.ip6)
	assert_equal "$ip6" fd40:2352:b44b:a4d::a4d:33
	for what in count hold fill echo; do
		{
			exec >"$what" 2>&1 </dev/null 3>&-
			on client env -C "$PWD" timeout 300 python3 -u "$BATS_TEST_DIRNAME/programs/tcp-client.py" \
				"$ip6" 5000 "$what"
		} &
	done
	until_ok 120 grep counting count
	until_ok 120 grep full hold
	until_ok 120 grep connected fill
	until_ok 120 grep connected echo
	# Somebody there has taken the address while nobody could answer for it.
	on hosta ip link set eth0 down
	onb run -d --name other --ip6 "$ip6" -- sleep 1000
	on hosta ip link set eth0 up
	run there migrate s
	assert_failure
	assert_output --partial "$HOSTB: address $ip6 is taken by another pod"
	onb rm -f other
	there migrate s
	assert absent hosta s
	onb migrate s --host "$HOSTA" --rsh "$RSH" --remote-podckpt "$PODCKPT" --verify
	there migrate s
	onb exec s -- touch /run/read
	: >go
	until_ok 120 grep received count
	until_ok 120 grep same hold
	until_ok 120 grep "got 8388608" fill
	until_ok 120 grep "answer hello" echo
	until_ok 120 logged hostb s "counted $(sed -n 's/^sent \([0-9]*\) .*/\1/p' count)"
}

logged() {
	on "$1" "$PODCKPT" logs "$2" | grep -qF "$3"
}

listens() {
	on "$1" ss -Hltn "sport = :$2" | grep -q .
}

# What the client hears on port 8080 of an address.
published() {
	on client timeout 120 socat -t 60 -T 60 "TCP:$1:8080" - </dev/null
}

address6() {
	on "$1" ip -6 -j address show dev podckpt0 scope global | jq -r '.[0].addr_info[0].local'
}

@test "published ports are published on the other host, over IPv4 and IPv6" {
	local host text=hello

	on hosta sysctl -qw net.ipv6.conf.all.forwarding=1
	ona run -d --name web --ip 10.77.0.51 -p 0.0.0.0:8080:80 -p '[::]:8080:80' -- python3 -u -c '
import socket
s = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    c, peer = s.accept()
    c.sendall(b"hello")
    c.close()'
	until_ok 120 published "$HOSTA"
	assert_equal "$(published "[$(address6 hosta)]")" "$text"
	run there migrate web
	assert_failure 5
	assert_output "podckpt: migrate web: $HOSTB: '[::]:8080:80': this host does not forward IPv6, so no port of it leads to a pod; see podckpt check, or leave it out"
	assert_equal "$(published "[$(address6 hosta)]")" "$text"
	on hostb sysctl -qw net.ipv6.conf.all.forwarding=1
	on hostb sh -c 'echo $$ >"$1"; exec socat -u TCP6-LISTEN:8080,ipv6only=1 OPEN:/dev/null' sh "$PWD/listener" >/dev/null 2>&1 3>&- &
	until_ok 120 listens hostb 8080
	run there migrate web
	kill "$(cat listener)"
	until_fails 120 listens hostb 8080
	assert_failure 8
	assert_output "podckpt: migrate web: $HOSTB: port 8080 (TCP over IPv6) of this host is taken by a program"
	run there migrate web
	assert_success
	assert_equal "$(published "$HOSTB")" "$text"
	assert_equal "$(published "[$(address6 hostb)]")" "$text"
	run published "[$(address6 hosta)]"
	assert_failure
	onb rm -f web
	for host in hosta hostb; do
		on "$host" sysctl -qw net.ipv6.conf.all.forwarding=0
	done
}

@test "--dry-run asks and changes nothing" {
	counter c
	run there migrate -n c
	assert_success
	assert_output ""
	goes_on hosta c
	assert absent hostb c
	assert_equal "$(ls "$HOSTS/state-hostb/migrations")" ""
}

@test "what speaks against it is said at once, and the pod runs on" {
	mkdir vol
	onb run -d --name c --net none -- sleep 1000
	ona run -d --name c --net none -v "$PWD/vol:/vol" -- \
		python3 "$BATS_TEST_DIRNAME/programs/counter.py"
	until_ok 120 counts hosta c 3
	run there migrate --volume-map "$PWD/vol:/no/such/place" c
	assert_failure
	assert_line --partial "$HOSTB: '/no/such/place', the volume for '/vol', is not there"
	assert_line --partial "$HOSTB: the name 'c' is taken"
	goes_on hosta c
	onb rm -f c
	run there migrate c
	assert_success
	goes_on hostb c
}

@test "an address that a third has is refused before the pod stops; the pod itself may have it" {
	ona run -d --name c --ip 10.77.0.51 -- python3 "$BATS_TEST_DIRNAME/programs/counter.py"
	until_ok 120 counts hosta c 3
	on client ip address add 10.77.0.51/32 dev eth0
	run there migrate c
	assert_failure
	assert_line --regexp '^podckpt: .*address 10.77.0.51 is taken: [0-9a-f:]* answers for it on the bridge'
	goes_on hosta c
	on client ip address del 10.77.0.51/32 dev eth0
	ona checkpoint -R -o "$PWD/c.tar" c
	run there restore "$PWD/c.tar"
	assert_failure
	assert_line --regexp 'address 10.77.0.51 is taken: [0-9a-f:]* answers for it'
	there migrate c
	goes_on hostb c
	unbroken hostb c
}

@test "an image of another CPU, or without a volume that is given, is refused there before it is sent" {
	counter c
	ona checkpoint -o "$PWD/c.tar" c
	python3 "$BATS_TEST_DIRNAME/image-edit.py" 'm["host"]["cpu"].append("no_such_feature")' <c.tar >cpu.tar
	run there restore "$PWD/cpu.tar"
	assert_failure 5
	assert_output --partial "this host's CPU lacks 'no_such_feature'"
	run there restore -v "$PWD:/nowhere" "$PWD/c.tar"
	assert_failure 2
	assert_output "podckpt: restore $PWD/c.tar: $HOSTB: the image has no volume at '/nowhere'"
	assert absent hostb c
}

@test "a host that cannot be reached, or has no podckpt, is an error and the pod runs on" {
	counter c
	run ona migrate c --host 10.77.0.99 --rsh "$RSH -o ConnectTimeout=1"
	assert_failure 9
	assert_output --partial "connect to '10.77.0.99'"
	run ona migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt /no/such/podckpt
	assert_failure 9
	assert_output --partial "podckpt was not found there"
	run ona migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt "echo hello world #"
	assert_failure 9
	assert_output --partial "does not speak podckpt's protocol"
	run ona migrate c --host -oProxyCommand=x
	assert_failure 2
	goes_on hosta c
	unbroken hosta c
}

# A tree with bash, cat and sleep, as if of another host: tree DIR
tree() {
	local file lib

	mkdir -p "$1"/{bin,data,tmp,proc,sys,dev,run}
	for file in bash cat sleep; do
		cp -L "$(command -v "$file")" "$1/bin/"
		for lib in $(ldd "$(command -v "$file")" | grep -o '/[^ ]*'); do
			mkdir -p "$1$(dirname "$lib")"
			cp -L "$lib" "$1$lib"
		done
	done
}

@test "files in / that the other host has otherwise: those of the image win, and only they are sent" {
	local host

	tree hosta
	tree hostb
	# What the pod has open: the same on both, another of the same size, one that is here only.
	head -c 3000000 /dev/urandom | tee hosta/data/same >hostb/data/same
	head -c 2000000 /dev/urandom >hosta/data/other
	head -c 2000000 /dev/urandom >hostb/data/other
	head -c 1000000 /dev/urandom >hosta/data/lacking
	cp "$(type -P true)" hostb/bin/cat
	mkdir tree
	for host in hosta hostb; do
		on "$host" mount --bind "$PWD/$host" "$PWD/tree"
	done
	# shellcheck disable=SC2016
	ona run -d --name c --net none --rootfs "$PWD/tree" -- /bin/bash -c '
		exec 5</data/same 6</data/other 7</data/lacking
		echo holding
		while [ ! -e /run/go ]; do /bin/sleep 0.1; done
		cd /data; while read -r -u 5 -d "" -N 65536 x; do :; done
		/bin/cat other lacking >/tmp/seen; echo done; /bin/sleep 1000'
	until_ok 120 bash -c "nsenter -t $(cat "$HOSTS/hosta.pid") -n -m -- env -u PODCKPT_ROOT '$PODCKPT' logs c | grep -q holding"
	ona checkpoint -o "$PWD/c.tar" c
	ona restore -d --rootfs "$PWD/tree" "$PWD/c.tar"
	run there migrate --stats c
	assert_success
	echo "$output" | jq -e '.bytes_left_out >= 3000000 and .image_bytes >= 3000000 and .sent_bytes >= 3000000 and
		.sent_bytes < .image_bytes + 1000000'
	pid=$(onb ps --format json | jq '.pods[0].pid')
	cmp "/proc/$pid/root/data/other" hosta/data/other
	cmp "/proc/$pid/root/data/lacking" hosta/data/lacking
	cmp "/proc/$pid/root/data/same" hosta/data/same
	onb rm -f c
	# The same image on both.
	for host in hosta hostb; do
		on "$host" "$PODCKPT" restore -d --verify --rootfs "$PWD/tree" "$PWD/c.tar"
		pid=$(on "$host" "$PODCKPT" ps --format json | jq '.pods[0].pid')
		cmp "/proc/$pid/root/data/other" hosta/data/other
		cmp "/proc/$pid/root/data/same" hosta/data/same
		on "$host" "$PODCKPT" rm -f c
		on "$host" umount "$PWD/tree"
	done
}
