#!/usr/bin/env bats
# What another host refuses, before a pod is stopped or an image is sent: all of it at once, in so many words.

bats_require_minimum_version 1.5.0
load helpers
load hosts

setup_file() {
	lib_setup migrate-refused
	hosts_setup
}

teardown_file() {
	hosts_teardown
	lib_teardown
}

teardown() {
	local path

	# What a test has laid over something on hostb.
	for path in /proc/meminfo /proc/sys/fs/aio-max-nr /var/lib/podckpt; do
		while on hostb findmnt -n -o OPTIONS --mountpoint "$path" | grep -q . &&
			[ -e "$BATS_TEST_TMPDIR/over${path//\//-}" ]; do
			on hostb umount "$path" && rm "$BATS_TEST_TMPDIR/over${path//\//-}"
		done
	done
	hosts_clean
}

# Lays something over a path of hostb for this test: over PATH ARGUMENT-OF-MOUNT...
over() {
	on hostb mount "${@:2}" "$1"
	touch "$BATS_TEST_TMPDIR/over${1//\//-}"
}

# A pod on hosta that writes a line ten times a second: ticker NAME ARGUMENT-OF-RUN...
ticker() {
	ona run -d --name "$1" "${@:2}" -- bash -c 'for ((i = 0; ; i++)); do echo $i; sleep 0.1; done'
	until_ok 120 ticks "$1" 2
}

ticks() {
	local n

	n=$(ona logs "$1" | tail -n 1)
	[ "${n:-0}" -ge "$2" ]
}

# It runs where it was, and nothing of it is on the other host.
untouched() {
	until_ok 120 ticks "$1" "$(($(ona logs "$1" | tail -n 1) + 3))"
	ona logs "$1" >got
	seq 0 "$(tail -n 1 got)" | cmp got -
	assert_equal "$(onb ps -q | grep -xF "$1")" ""
	nothing_of_it
}

nothing_of_it() {
	assert_equal "$(ls -A "$HOSTS/state-hostb/migrations" 2>/dev/null)" ""
}

# An image of hosta with something changed: changed STATEMENT
changed() {
	python3 "$BATS_TEST_DIRNAME/image-edit.py" "$1" <c.tar >changed.tar
}

@test "name, address, volume and port that are taken or missing are told at once; -n tells the same" {
	mkdir vol
	onb run -d --name c --ip 10.77.0.60 -p 8080:80 -- sleep 1000
	ticker c --ip 10.77.0.61 -p 8080:80 -v "$PWD/vol:/vol"
	# The address is that of the other pod only now.
	onb run -d --name other --ip 10.77.0.61 -- sleep 1000 || true
	run there migrate -n --volume-map "$PWD/vol:/no/such/place" c
	assert_failure
	assert_line "podckpt: migrate c: $HOSTB: '/no/such/place', the volume for '/vol', is not there: No such file or directory; map it to another path with --volume-map"
	assert_line --partial "$HOSTB: port 8080 (TCP) of this host is taken by another pod (link 'pck"
	assert_line --partial "$HOSTB: the name 'c' is taken: remove that pod first"
	before=$output
	run there migrate --volume-map "$PWD/vol:/no/such/place" c
	assert_failure
	assert_output "$before"
	onb rm -f -a
	untouched c
	mkdir elsewhere
	run there migrate --volume-map "$PWD/vol:$PWD/elsewhere" c
	assert_success
	onb rm -f c
}

@test "an address that another pod there has is refused" {
	ticker c --ip 10.77.0.62
	ona checkpoint -o "$PWD/c.tar" c
	onb run -d --name other --ip 10.77.0.62 -- sleep 1000
	run there restore "$PWD/c.tar"
	assert_failure 8
	assert_output --partial "$HOSTB: address 10.77.0.62 is taken by another pod (link 'pck"
	onb rm -f other
	run there restore "$PWD/c.tar"
	assert_success
}

@test "a MAC address that another pod has is refused, there before the pod is stopped" {
	local mac=02:42:77:00:00:63

	ticker c --ip 10.77.0.63 --mac "$mac"
	onb run -d --name other --ip 10.77.0.64 --mac "$mac" -- sleep 1000
	run there migrate c
	assert_failure 8
	assert_output --regexp "^podckpt: migrate c: $HOSTB: MAC address $mac is taken by another pod \(link 'pck[0-9a-f]+'\); choose another with --mac\$"
	untouched c
	run onb run -d --name third --mac "$mac" -- sleep 1000
	assert_failure
	assert_output --regexp "^podckpt: run third: MAC address $mac is taken by another pod \(link 'pck[0-9a-f]+'\); choose another with --mac\$"
	onb rm -f other
	run there migrate c
	assert_success
}

@test "a bridge that is not there is refused" {
	ona network create --subnet 10.78.0.0/24 mine
	ticker c --net bridge:mine
	run there migrate c
	assert_failure
	assert_line --partial "$HOSTB: there is no bridge 'mine' on this host; make it first, with podckpt network create"
	untouched c
	ona rm -f c
	ona network rm mine
}

@test "a host of another kind is refused with all that it lacks" {
	ticker c --net none
	ona checkpoint -o "$PWD/c.tar" c
	changed 'm["host"].update(machine="pdp11", page_size=65536, xstate_size=1 << 19, kernel="1.2"); m["host"]["cpu"] += ["no_such_feature", "nor_this"]; m["host"]["vdso"] = "0x1"'
	run there restore -n "$PWD/changed.tar"
	assert_failure 5
	assert_output - <<-END
		podckpt: restore $PWD/changed.tar: $HOSTB: this host's CPU lacks 'no_such_feature', which the pod's programs may use
		podckpt: restore $PWD/changed.tar: $HOSTB: this host's CPU lacks 'nor_this', which the pod's programs may use
		podckpt: restore $PWD/changed.tar: $HOSTB: the image is of a pdp11 machine, this one is $(uname -m)
		podckpt: restore $PWD/changed.tar: $HOSTB: the image has another page size than this host
		podckpt: restore $PWD/changed.tar: $HOSTB: this host's CPU has less register state than the image needs
		podckpt: restore $PWD/changed.tar: $HOSTB: this kernel's vdso differs from that of the image (kernel 1.2, here $(uname -r)); restore on a host with the same kernel
	END
	nothing_of_it
	changed 'm["host"]["xfeatures"] = "0x7000000000000000"'
	run there restore "$PWD/changed.tar"
	assert_failure 5
	assert_output "podckpt: restore $PWD/changed.tar: $HOSTB: this host's CPU has less register state than the image needs"
}

@test "too little memory, or disk, is refused before the pod is stopped" {
	ona run -d --name c --net none -- bash -c 'head -c 9000000 /dev/urandom >/var/tmp/own
		for ((i = 0; ; i++)); do echo $i; sleep 0.1; done'
	until_ok 120 ticks c 2
	printf 'MemTotal: 8 kB\nMemAvailable: 8 kB\n' >meminfo
	over /proc/meminfo --bind "$PWD/meminfo"
	over /var/lib/podckpt -t tmpfs -o size=8m tmpfs
	run there migrate c
	assert_failure
	assert_line --regexp "^podckpt: migrate c: $HOSTB: the pod needs [1-9][0-9]* MB of memory, 0 MB are available\$"
	assert_line --regexp "^podckpt: migrate c: $HOSTB: the pod's files need 9 MB in '/var/lib/podckpt', [0-8] MB are free\$"
	assert_equal "${#lines[@]}" 2
	untouched c
}

@test "a disk that is full in the middle: the pod runs on, nothing is left there" {
	# Room enough, as far as bytes go; but for a few files only.
	ona run -d --name c --net none -- bash -c 'mkdir /var/tmp/many; for i in {1..300}; do echo >/var/tmp/many/$i; done
		for ((i = 0; ; i++)); do echo $i; sleep 0.1; done'
	until_ok 120 ticks c 2
	over /var/lib/podckpt -t tmpfs -o nr_inodes=100 tmpfs
	run there migrate c
	assert_failure
	assert_output --partial "$HOSTB: "
	assert_output --partial "No space left on device"
	untouched c
	run on hostb find /var/lib/podckpt -mindepth 2
	assert_output ""
	on hostb umount /var/lib/podckpt
	rm "$BATS_TEST_TMPDIR/over-var-lib-podckpt"
	run there migrate c
	assert_success
}

@test "podckpt there that is not root says so, and the pod runs on" {
	# As a user who may read the program.
	mkdir "$HOSTS/bin"
	chmod 711 "$HOSTS"
	cp "$BUILD"/.libs/podckpt "$BUILD"/.libs/libct.so.0 "$HOSTS/bin/"
	cat >"$HOSTS/bin/rsh" <<-END
		#!/bin/sh
		shift
		exec setpriv --reuid 65534 --regid 65534 --clear-groups env LD_LIBRARY_PATH=$HOSTS/bin "\$@"
	END
	chmod 755 "$HOSTS/bin/rsh"
	ticker c --net none
	run ona migrate c --host b --rsh "$HOSTS/bin/rsh" --remote-podckpt "$HOSTS/bin/podckpt"
	assert_failure 9
	assert_output - <<-END
		b: podckpt: receive: not root: pods are made of namespaces and cgroups; try sudo
		podckpt: migrate c: connect to 'b': the connection has ended (the remote shell's exit code is 11)
	END
	untouched c
}

@test "users that there are none of on the other host are refused before the pod is stopped" {
	cat >there <<-END
		#!/bin/sh
		exec unshare --user --map-root-user "$PODCKPT" "\$@"
	END
	chmod 755 there
	ticker c --net none -u 1234:1235
	ona exec -u 0 c -- sh -c 'touch /var/tmp/one /var/tmp/two && chown 77:78 /var/tmp/one && chown 0:79 /var/tmp/two'
	run ona migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PWD/there"
	assert_failure 5
	assert_output - <<-END
		podckpt: migrate c: $HOSTB: this host lacks 'root': namespaces and other programs' memory need root, and not that of a user namespace
		podckpt: migrate c: $HOSTB: user 77 and 1 more of the pod are not there: podckpt runs in a user namespace that lacks them (/proc/self/uid_map)
		podckpt: migrate c: $HOSTB: group 78 and 2 more of the pod are not there: podckpt runs in a user namespace that lacks them (/proc/self/gid_map)
	END
	untouched c
	ona checkpoint -o "$PWD/c.tar" c
	run ona restore "$PWD/c.tar" --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PWD/there"
	assert_failure 5
	assert_line "podckpt: restore $PWD/c.tar: $HOSTB: user 1234 of the pod is not there: podckpt runs in a user namespace that lacks it (/proc/self/uid_map)"
	assert_line "podckpt: restore $PWD/c.tar: $HOSTB: group 1235 of the pod is not there: podckpt runs in a user namespace that lacks it (/proc/self/gid_map)"
	nothing_of_it
	run there restore "$PWD/c.tar"
	assert_success
}

@test "a PID that no process can have on the other host is refused before the image is sent" {
	ticker c --net none
	ona checkpoint -o "$PWD/c.tar" c
	# What this image means no kernel can give: another one ends at kernel.pid_max.
	changed 'm["processes"][-1]["threads"][0]["vtid"] = m["processes"][-1]["vpid"] = 1 << 22'
	run there restore "$PWD/changed.tar"
	assert_failure 5
	assert_output "podckpt: restore $PWD/changed.tar: $HOSTB: a process of the pod has PID 4194304, and this host has none so high; raise kernel.pid_max"
	nothing_of_it
	changed 'm["processes"][-1]["threads"][0]["vtid"] = m["processes"][-1]["vpid"] = (1 << 22) - 1'
	run there restore -n "$PWD/changed.tar"
	assert_success
}

# What podckpt receive answers to the frames that python makes of standard input.
frames() {
	python3 -c '
import struct, sys
for line in sys.stdin:
    kind, text = line.split(" ", 1)
    sys.stdout.buffer.write(struct.pack("<IHH", len(text.strip()), int(kind), 0) + text.strip().encode())'
}

@test "asynchronous I/O of more requests than the other host has left is refused before the pod is stopped" {
	make -s -C "$BUILD" tests/victims/aio
	ona run -d --name c --net none -- "$BUILD/tests/victims/aio"
	until_ok 120 ona exec c -- test -e /run/victim.ready
	echo 200 >most
	over /proc/sys/fs/aio-max-nr --bind "$PWD/most"
	run there migrate c
	assert_failure 5
	assert_output "podckpt: migrate c: $HOSTB: asynchronous I/O (io_setup) of 201 requests is more than this host has left; raise the sysctl fs.aio-max-nr"
	nothing_of_it
	ona checkpoint -R -o "$PWD/c.tar" c
	run there restore "$PWD/c.tar" --name other
	assert_failure 5
	assert_output "podckpt: restore $PWD/c.tar: $HOSTB: asynchronous I/O (io_setup) of 201 requests is more than this host has left; raise the sysctl fs.aio-max-nr"
	nothing_of_it
	ona exec c -- touch /run/victim.go
	until_ok 120 says_pass
}

says_pass() {
	ona logs c | grep -qx PASS
}

@test "another version of the protocol is refused by either side" {
	echo "1 {\"protocol\":[2,99],\"id\":\"$(printf '%032d' 7)\",\"purpose\":\"migrate\",\"tool\":\"x\"}" | frames >hello
	onb receive <hello >answer || true
	tail -c +9 answer >text
	assert_equal "$(jq -r '.reason, .text' text)" "$(printf '%s\n' version \
		'podckpt here speaks version 1 of the protocol only; use the same podckpt on both hosts')"
	echo '2 {"protocol":2}' | frames >welcome
	printf '#!/bin/sh\ncat "%s"; cat >/dev/null\n' "$PWD/welcome" >other
	chmod +x other
	ticker c --net none
	run ona migrate c --host b --rsh "$PWD/other"
	assert_failure 6
	assert_output "podckpt: migrate c: connect to 'b': podckpt there speaks another protocol; use the same podckpt on both hosts"
	untouched c
}

@test "an image that goes to another host is read from a file" {
	ticker c --net none
	ona checkpoint -o "$PWD/c.tar" c
	run bash -c "cat c.tar | $PODCKPT restore --host '$HOSTB' --rsh /bin/false -"
	assert_failure 2
	assert_output "podckpt: restore: an image that goes to another host is read from a file; write it to one first"
	run ona restore --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PODCKPT" - <c.tar
	assert_success
	assert_output c
}
