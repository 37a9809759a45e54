#!/usr/bin/env bats
# What goes wrong: one clear line, a code of its kind, nothing half-made, the pod unharmed.

bats_require_minimum_version 1.5.0
load helpers

image() {
	counter c
	podckpt checkpoint c
}

# A restore of "$1" fails with the code of a bad image, says so in one line and leaves nothing.
is_refused() {
	run podckpt restore -d "$1"
	assert_failure 6
	assert_equal "${#lines[@]}" 1
	assert_output --regexp "^podckpt: restore $1: .+"
	run podckpt ps -q
	assert_output ""
	run podckpt inspect "./$1"
	assert_failure 6
}

@test "an image cut off anywhere is refused" {
	local size at

	image
	size=$(stat -c %s c.tar)
	for at in 0 1 511 512 1000 10000 $((size / 3)) $((size / 2)) $((size - 20000)) $((size - 1025)); do
		head -c "$at" c.tar >cut.tar
		is_refused cut.tar
	done
}

@test "an image with one wrong byte is refused" {
	local size at

	image
	size=$(stat -c %s c.tar)
	for at in 3 600 1500 3000 $((size / 5)) $((size / 4)) $((size / 3)) $((size / 2)) $((size - 5000)); do
		cp c.tar wrong.tar
		python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1)
f.seek(-1, 1); f.write(bytes([b[0] ^ 0x55]))' wrong.tar "$at"
		is_refused wrong.tar
	done
}

@test "what is no image is refused" {
	echo "not an image" >text.tar
	is_refused text.tar
	echo x >file
	tar cf foreign.tar file
	is_refused foreign.tar
	head -c 100000 /dev/urandom >noise.tar
	is_refused noise.tar
	run podckpt restore -d nothing-there.tar
	assert_failure 1
	assert_output --partial nothing-there.tar
	run podckpt restore -d .
	assert_failure
}

@test "an image from the future is refused by its version" {
	image
	mkdir x
	tar xf c.tar -C x manifest.json
	sed -i '0,/"version": *[0-9]*/s//"version": 999/' x/manifest.json
	tar cf future.tar -C x manifest.json
	run podckpt restore -d future.tar
	assert_failure 6
}

@test "a full disk fails the checkpoint, leaves no file, and the pod runs on" {
	counter c 40
	mkdir small
	mount -t tmpfs -o size=5m tmpfs small
	run podckpt checkpoint -o small/c.tar c
	local left
	left=$(ls -A small)
	umount small
	assert_failure 1
	assert_equal "${#lines[@]}" 1
	assert_output --partial "No space left"
	assert_equal "$left" ""
	goes_on c 12
	podckpt checkpoint c
	podckpt restore -d --verify c.tar
	goes_on c 12
}

@test "a reader that goes away fails the checkpoint, and the pod runs on" {
	counter c 40
	run bash -c '"$PODCKPT" checkpoint -o - c 2>err | head -c 100000 >/dev/null; exit ${PIPESTATUS[0]}'
	assert_failure 1
	assert_equal "$(wc -l <err)" 1
	goes_on c 12
}

@test "a checkpoint killed at any moment leaves the pod running and no part of an image" {
	local ms

	counter c 60
	for ms in 5 10 20 40 60 80 100 130 160 200; do
		"$PODCKPT" checkpoint -R -o killed.tar c >/dev/null 2>&1 &
		sleep "0.$(printf %03d "$ms")"
		kill -KILL $! 2>/dev/null || true
		await $!
		# Killed after the image had got its name: a whole one.
		[ ! -e killed.tar ] || mv killed.tar whole.tar
		until_ok 120 status_is c running
		goes_on c 12
	done
	# And it can be frozen as if nothing had been.
	podckpt checkpoint c
	if [ -e whole.tar ]; then
		podckpt restore -d --verify whole.tar
		goes_on c 12
		podckpt rm -f c
	fi
	podckpt restore -d --verify c.tar
	goes_on c 12
}

@test "a checkpoint whose guard is killed fails, and the pod runs on" {
	local monitor server pid

	counter c 60
	monitor=$(jq .monitor.pid "$PODCKPT_ROOT/pods/c/state.json")
	server=$(pgrep -P "$monitor" -x podckpt-serve)
	mkfifo slow
	"$PODCKPT" checkpoint -o - c >slow 2>err &
	pid=$!
	# It has begun to write, and waits for a reader in the middle of the memory.
	exec 9<slow
	head -c 100000 <&9 >/dev/null
	kill -KILL "$server"
	cat <&9 >image.tar
	exec 9<&-
	await "$pid"
	assert_equal "$status" 1
	run cat err
	assert_output "podckpt: checkpoint c: the pod's monitor was killed during the checkpoint; try again"
	run podckpt restore -d image.tar
	assert_failure
	goes_on c 12
	podckpt checkpoint c
	podckpt restore -d --verify c.tar
	goes_on c 12
}

runs_or_is_gone() {
	[ -z "$(podckpt ps -q)" ] || status_is c running
}

@test "a restore killed at any moment leaves nothing" {
	local ms

	counter c 60
	podckpt checkpoint c
	for ms in 5 15 30 50 80 120 160 200; do
		"$PODCKPT" restore -d c.tar >/dev/null 2>&1 &
		sleep "0.$(printf %03d "$ms")"
		kill -KILL $! 2>/dev/null || true
		await $!
		if [ "$status" -eq 0 ]; then
			podckpt rm -f c
		else
			until_ok 120 runs_or_is_gone
			# Killed after the release: a whole pod, running.
			[ -z "$(podckpt ps -q)" ] || { goes_on c 12; podckpt rm -f c; }
		fi
	done
	podckpt restore -d c.tar
	goes_on c 12
}

@test "a pod whose monitor was killed is still told about and can be removed" {
	local monitor

	counter c
	monitor=$(jq .monitor.pid "$PODCKPT_ROOT/pods/c/state.json")
	assert [ "$monitor" -gt 1 ]
	kill -KILL "$monitor"
	run podckpt ps
	assert_success
	podckpt rm -f c
	run podckpt ps -q
	assert_output ""
}
