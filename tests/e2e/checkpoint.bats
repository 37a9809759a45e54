#!/usr/bin/env bats
# podckpt checkpoint and restore: their options and promises.

bats_require_minimum_version 1.5.0
load helpers

@test "checkpoint writes POD.tar here, prints its name and ends the pod" {
	counter c
	run podckpt checkpoint c
	assert_success
	assert_output c.tar
	assert_exist c.tar
	assert_equal "$(stat -c %a c.tar)" 600
	run podckpt ps -q
	assert_output ""
	run bash -c 'ls -A'
	assert_output c.tar
}

@test "restore brings back PIDs, host name, output and the count, none left out, none twice" {
	local before

	counter c 0 --hostname box
	podckpt checkpoint c
	run podckpt restore -d c.tar
	assert_success
	assert_output c
	before=$(number c)
	assert [ "$before" -ge 3 ]
	goes_on c
	assert_equal "$(podckpt exec c -- uname -n)" box
	assert_equal "$(podckpt exec c -- cat /proc/2/comm)" python3
	run bash -c '"$PODCKPT" logs c | sed -n "s/^count \([0-9]*\) 2 .*/\1/p" >got; seq 0 "$(tail -n 1 got)" | cmp got -'
	assert_success
}

@test "-R lets the pod run on, and the image is good as well" {
	counter c
	podckpt checkpoint -R c
	goes_on c
	podckpt rm -f c
	podckpt restore -d c.tar
	goes_on c
}

@test "-o names the file, also in another directory" {
	counter c
	mkdir sub
	run podckpt checkpoint -R -o sub/image c
	assert_success
	assert_exist sub/image
	run podckpt checkpoint -R -o no/such/directory/image c
	assert_failure
	assert_output --partial "no/such/directory"
	goes_on c
	podckpt rm -f c
	podckpt restore -d sub/image
	goes_on c
}

@test "through a pipe there is no file, and a terminal is refused" {
	counter c
	run script -qec "'$PODCKPT' checkpoint -o - c" /dev/null
	assert_failure 2
	assert_output --partial "not written to a terminal"
	goes_on c
	bash -c 'set -o pipefail; "$PODCKPT" checkpoint -o - c | "$PODCKPT" restore -d -'
	goes_on c
	run bash -c 'ls -A'
	assert_output ""
}

@test "--dry-run tells and touches nothing" {
	counter c
	run podckpt checkpoint -n c
	assert_success
	assert_output ""
	run bash -c 'ls -A'
	assert_output ""
	goes_on c
}

@test "compressed images are smaller and come back" {
	local method plain

	podckpt run -d --name big --net none -- python3 -c '
import time
b = bytearray(b"text that repeats itself " * 4000000)
print("ready", flush=True)
while True: time.sleep(1)'
	wait_output big ready
	podckpt checkpoint -R -o plain.tar big
	plain=$(stat -c %s plain.tar)
	for method in lz4 zstd zstd:9; do
		podckpt checkpoint -R --compress "$method" -o "$method.tar" big
		assert [ "$(stat -c %s "$method.tar")" -lt $((plain / 2)) ]
		podckpt restore -d --verify --name "big-${method/:/-}" "$method.tar"
		podckpt rm -f "big-${method/:/-}"
	done
	run podckpt checkpoint --compress zstd:99 big
	assert_failure 2
	run podckpt checkpoint --compress gzip big
	assert_failure 2
}

@test "--stats is JSON with the times in microseconds" {
	counter c
	run bash -c '"$PODCKPT" checkpoint --stats c | jq -e ".version == 1 and .frozen_time > 0 and .memdump_time >= 0 and .processes >= 1 and .image_bytes > 100000"'
	assert_success
	run bash -c '"$PODCKPT" restore -d --stats c.tar | jq -e ".version == 1 and .restore_time > 0"'
	assert_success
	bash -c '"$PODCKPT" checkpoint -R --stats -o - c 2>stats >image'
	jq -e '.frozen_time > 0' stats
	run podckpt inspect ./image
	assert_success
}

@test "restore in the foreground has the pod's streams and exit code" {
	counter c
	podckpt checkpoint c
	"$PODCKPT" restore c.tar >out &
	until_ok 120 grep -q count out
	podckpt kill -s TERM c
	await $!
	assert_equal "$status" 7
}

@test "a pod on standard input and in the foreground does not lose its own standard input" {
	podckpt run -d -i --name reader --net none -- sh -c 'echo ready; read x; echo "read: $x"; exit 3'
	wait_output reader ready
	podckpt checkpoint reader
	"$PODCKPT" restore - <reader.tar >out &
	until_ok 120 status_is reader running
	sleep 1
	assert status_is reader running
	podckpt rm -f reader
	await $!
}

@test "a name is taken once; under another name there is a second pod from one image" {
	counter c
	podckpt checkpoint -R c
	run podckpt restore -d c.tar
	assert_failure 8
	assert_output --partial "podckpt: restore c.tar: "
	run podckpt restore -d --name d c.tar
	assert_success
	assert_output d
	goes_on c
	goes_on d
}

@test "an address is taken once; with another one there is a second pod from one image" {
	local ip other

	podckpt run -d --name web -- python3 -m http.server 8000
	ip=$(pod_ip web)
	other=${ip%.*}.78
	until_ok 120 curl -sf "http://$ip:8000/" -o /dev/null
	podckpt checkpoint -R web
	run podckpt restore -d --name web2 web.tar
	assert_failure 8
	assert_output --partial "$ip"
	run podckpt ps -q
	assert_output web
	podckpt restore -d --name web2 --ip "$other" web.tar
	assert_equal "$(pod_ip web2)" "$other"
	until_ok 120 curl -sf "http://$other:8000/" -o /dev/null
	curl -sf "http://$ip:8000/" -o /dev/null
}

@test "the address and the Ethernet address come back" {
	local ip mac

	podckpt run -d --name web -- python3 -m http.server 8000
	ip=$(pod_ip web)
	mac=$(podckpt exec web -- cat /sys/class/net/eth0/address)
	until_ok 120 curl -sf "http://$ip:8000/" -o /dev/null
	cycle web plain
	assert_equal "$(pod_ip web)" "$ip"
	assert_equal "$(podckpt exec web -- cat /sys/class/net/eth0/address)" "$mac"
	until_ok 120 curl -sf "http://$ip:8000/" -o /dev/null
}

# jumps POD SECONDS: has its clock gone on by so much between two counts?
jumps() {
	podckpt logs "$1" | awk -v most="$2" '
		$1 == "count" { if (n++ && $4 - last > most) { print "a jump of", $4 - last; jump = 1 } last = $4 }
		END { exit !jump }'
}

@test "the clocks of the pod do not jump over the time in the image" {
	counter c
	podckpt checkpoint c
	sleep 4
	podckpt restore -d c.tar
	goes_on c
	# Each count is a tenth of a second after the one before, also over the gap. On a host that is so slow itself, a longer gap
	# tells.
	if jumps c 3.5; then
		podckpt checkpoint c
		sleep 60
		podckpt restore -d c.tar
		goes_on c
		run ! jumps c 59
	fi
}

@test "files that the pod wrote come back, and the host has none of them" {
	podckpt run -d --name w --net none -- sh -c 'echo kept >/var/tmp/podckpt-kept; mkdir /opt/podckpt-new; echo ready; while :; do sleep 1; done'
	wait_output w ready
	assert_not_exist /var/tmp/podckpt-kept
	cycle w verify
	assert_equal "$(podckpt exec w -- cat /var/tmp/podckpt-kept)" kept
	podckpt exec w -- test -d /opt/podckpt-new
	assert_not_exist /var/tmp/podckpt-kept
}

@test "--leave-stopped leaves the processes stopped until they are told to go on" {
	local n

	counter c
	podckpt checkpoint c
	podckpt restore -d --leave-stopped c.tar
	# What it had said before may be on its way to the log still.
	stays() { n=$(number c); sleep 1; [ "$(number c)" = "$n" ]; }
	until_ok 120 stays
	all_stopped() { podckpt exec c -- sed -n 's/^State:.\(.\).*/\1/p' /proc/2/status | grep -qx T; }
	until_ok 120 all_stopped
	stays
	podckpt kill -s CONT c
	goes_on c
}

@test "a pod of several processes that was left stopped goes on as a whole" {
	podckpt run -d --name s --net none -- sh -c 'sh -c "while :; do echo x; sleep 0.1; done" & wait'
	wait_output s x
	podckpt checkpoint s
	podckpt restore -d --leave-stopped s.tar
	states() {
		podckpt exec s -- ps -eo pid=,stat= | sed -n 's/^ *[0-9]* \([TSRD]\).*/\1/p' | grep -c T
	}
	all_stopped() { [ "$(states)" -ge 2 ]; }
	until_ok 120 all_stopped
	podckpt kill -s CONT s
	none_stopped() { [ "$(states)" = 0 ]; }
	until_ok 120 none_stopped
	n=$(podckpt logs s | wc -l)
	more() { [ "$(podckpt logs s | wc -l)" -gt "$n" ]; }
	until_ok 120 more
}

@test "--rm removes the restored pod when it ends" {
	counter c
	podckpt checkpoint c
	podckpt restore -d --rm c.tar
	podckpt kill c
	until_fails 120 bash -c '"$PODCKPT" ps -q | grep -q .'
}

@test "a volume has to be named again: no image mounts a path of the host by itself" {
	mkdir data other
	# It has no file of the volume open: that one would have to be there too.
	podckpt run -d --name v --net none -v ./data:/data -- sh -c '
trap "date >/data/now" USR1
echo ready
while :; do sleep 0.1; done'
	wait_output v ready
	podckpt checkpoint v
	run podckpt restore -d v.tar
	assert_failure 12
	assert_output "podckpt: restore v.tar: the pod has a volume at '/data' (it was '$PWD/data'); say what is to be there: -v SOURCE:/data"
	podckpt restore -d -v ./data:/data v.tar
	podckpt kill -s USR1 v
	until_ok 120 test -s data/now
	podckpt rm -f v
	podckpt restore -d -v ./other:/data v.tar
	podckpt kill -s USR1 v
	until_ok 120 test -s other/now
	podckpt rm -f v
	rm -r data
	run podckpt restore -d -v "$PWD/data:/data" v.tar
	assert_failure
	assert_output --partial "$PWD/data"
	run podckpt ps -q
	assert_output ""
}

@test "what cannot be carried is refused by name before the pod is touched" {
	podckpt run -d --name tcp -- python3 -u -c '
import socket, time
s = socket.create_server(("127.0.0.1", 7000))
a = socket.create_connection(("127.0.0.1", 7000))
b, _ = s.accept()
waiting = socket.create_connection(("127.0.0.1", 7000))
waiting.setsockopt(socket.SOL_SOCKET, 60, 1) # SO_ZEROCOPY
print("ready")
n = 0
while True:
    a.send(b"x"); b.recv(1); n += 1
    if n % 100 == 0: print("passed", n)
    time.sleep(0.001)'
	wait_output tcp ready
	for option in -n -R ""; do
		# shellcheck disable=SC2086
		run podckpt checkpoint $option tcp
		assert_failure 4
		assert_line --regexp '^podckpt: checkpoint tcp: pid 2 \(python3\) fd [0-9]+.*TCP'
		run bash -c 'ls -A'
		assert_output ""
	done
	n=$(podckpt logs tcp | grep -c passed)
	until_ok 120 bash -c "[ \$('$PODCKPT' logs tcp | grep -c passed) -gt $((n + 3)) ]"
}

@test "an ended pod cannot be frozen" {
	podckpt run --name over --net none -- true
	run podckpt checkpoint over
	assert_failure
	assert_output --partial "podckpt: checkpoint over: "
	run bash -c 'ls -A'
	assert_output ""
}

@test "two operations on one pod do not mix" {
	local i ok=0 busy=0 pids=()

	counter c
	for i in 1 2 3 4; do
		podckpt checkpoint -R -o "$i.tar" c 2>"err$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		await "$i"
		case $status in
		0) ok=$((ok + 1)) ;;
		10) busy=$((busy + 1)) ;;
		*) cat err*; false ;;
		esac
	done
	assert [ "$ok" -ge 1 ]
	assert_equal "$((ok + busy))" 4
	goes_on c
}

@test "inspect shows the manifest of an image" {
	counter c
	podckpt checkpoint c
	run bash -c '"$PODCKPT" inspect c.tar | jq -er .pod.name'
	assert_success
	assert_output c
	run bash -c '"$PODCKPT" inspect - <c.tar | jq -er .pod.name'
	assert_output c
	run bash -c 'tar tf c.tar | head -n 1; tar tf c.tar | tail -n 1; tar xOf c.tar manifest.json | jq -r .pod.name'
	assert_output $'manifest.json\nend.json\nc'
}
