#!/usr/bin/env bats
# The line died, or podckpt was killed, after a pod was handed over: what podckpt migrate --resolve makes of it.
# tests/faults/run goes through every point; here is what the user sees.

bats_require_minimum_version 1.5.0
load helpers
load hosts

setup_file() {
	lib_setup migrate-undecided
	hosts_setup
}

teardown_file() {
	hosts_teardown
	lib_teardown
}

teardown() {
	[ ! -e line.pid ] || kill -9 "$(cat line.pid)" 2>/dev/null || true
	hosts_clean
	rm -f "$HOSTS"/state-*/migrations/*
}

ticker() {
	ona run -d --name c --net none -- bash -c 'for ((i = 0; ; i++)); do echo $i; sleep 0.1; done'
	until_ok 120 ticks hosta 2
}

ticks() {
	local n

	n=$(on "$1" "$PODCKPT" logs c 2>/dev/null | tail -n 1)
	[ "${n:-0}" -ge "$2" ]
}

# The pod runs there, and has left nothing out and done nothing twice.
runs_on() {
	until_ok 120 ticks "$1" "$(($(on "$1" "$PODCKPT" logs c | tail -n 1) + 3))"
	on "$1" "$PODCKPT" logs c >got
	seq 0 "$(tail -n 1 got)" | cmp got -
}

status_on() {
	on "$1" "$PODCKPT" ps --format json | jq -r '.pods[] | select(.name == "c") | .status'
}

# Something happens to the line at GO: at_go WHAT COMMAND OF PODCKPT...
at_go() {
	rm -f spec.*
	echo "{\"type\": 12, \"nth\": 0, \"what\": \"$1\", \"dark\": ${DARK:-false}}" >spec
	run ona "${@:2}" --host "$HOSTB" --rsh "$BATS_TEST_DIRNAME/../faults/line $PWD/spec $RSH" \
		--remote-podckpt "$PODCKPT"
}

# Until nobody is at work on hostb.
quiet_b() {
	until_fails 120 builds
}

builds() {
	local space pid

	space=$(readlink "/proc/$(cat "$HOSTS/hostb.pid")/ns/mnt")
	for pid in $(pgrep -f 'podckpt receive'); do
		# The monitor of a pod that came this way is called so too.
		[[ $(cat "/proc/$pid/comm") == podckpt-* ]] || [ "$(readlink "/proc/$pid/ns/mnt")" != "$space" ] ||
			return 0
	done
	return 1
}

resolve() {
	run ona migrate --resolve c "$@"
}

@test "a pod that was not handed over has nothing to be resolved" {
	ticker
	resolve
	assert_failure 2
	assert_output "podckpt: migrate c: it is running: nothing is to be resolved"
	resolve maybe
	assert_failure 2
	assert_output "podckpt: migrate: 'maybe' is neither keep nor drop"
	run ona migrate --resolve nobody
	assert_failure 3
	runs_on hosta
}

@test "handed over, and it runs there: keep is refused, asking removes it here" {
	ticker
	at_go kill migrate c
	assert_failure 137
	quiet_b
	assert_equal "$(status_on hosta)" migrating
	run ona checkpoint c
	assert_failure
	resolve keep
	assert_failure 10
	assert_output "podckpt: migrate c: '$HOSTB' says that it has run there; drop it here, or it would be there twice"
	resolve
	assert_success
	assert_output "it was removed here"
	assert_equal "$(status_on hosta)" ""
	assert_equal "$(ls "$HOSTS/state-hostb/migrations")" ""
	runs_on hostb
}

@test "handed over, and it never came to run there: drop is refused, asking keeps it here" {
	ticker
	at_go kill-before migrate c
	assert_failure 137
	quiet_b
	assert_equal "$(status_on hosta)" migrating
	resolve drop
	assert_failure 10
	assert_output "podckpt: migrate c: '$HOSTB' says that it never ran there; keep it, or it would be nowhere"
	resolve
	assert_success
	assert_output "it runs on here"
	runs_on hosta
	run there migrate c
	assert_success
	runs_on hostb
}

@test "handed over, and the other host is still at it: neither keep nor drop is taken" {
	ticker
	rm -f spec.*
	echo '{"type": 12, "nth": 0, "what": "stall"}' >spec
	ona migrate c --host "$HOSTB" --rsh "$BATS_TEST_DIRNAME/../faults/line $PWD/spec $RSH" \
		--remote-podckpt "$PODCKPT" 3>&- &
	until_ok 120 test -e spec.done
	pgrep -f "faults/line $PWD/spec" >pids
	for pid in $(pgrep -f "podckpt migrate c --host $HOSTB --rsh $BATS_TEST_DIRNAME/../faults/line $PWD/spec"); do
		[ "$(ps -o comm= "$pid")" = timeout ] || kill -9 "$pid"
	done
	wait $! || true
	tail -n 1 pids >line.pid
	resolve keep
	assert_failure 13
	assert_output "podckpt: migrate c: it is still being built on '$HOSTB', which may yet set it going; ask again"
	resolve drop
	assert_failure 13
	# shellcheck disable=SC2046
	kill -9 $(cat pids) 2>/dev/null || true
	quiet_b
	resolve keep
	assert_success
	assert_output "it runs on here"
	runs_on hosta
}

@test "handed over, and the other host cannot be reached: it stays frozen until a user decides" {
	ticker
	DARK=true at_go kill migrate c
	assert_failure 137
	quiet_b
	resolve
	assert_failure 13
	assert_output --partial "podckpt: migrate c: it is not known whether the pod runs on '$HOSTB': connect to '$HOSTB': the connection has ended"
	assert_equal "$(status_on hosta)" migrating
	# The user has looked.
	assert_equal "$(status_on hostb)" running
	resolve drop
	assert_success
	assert_output --partial "it was removed here"
	runs_on hostb
	onb rm -f c
	ticker
	DARK=true at_go kill-before migrate c
	quiet_b
	assert_equal "$(status_on hosta)" migrating
	resolve keep
	assert_success
	assert_output --partial "it runs on here"
	runs_on hosta
}

@test "an image whose restore there was not confirmed: it says what to do" {
	ticker
	ona checkpoint -o "$PWD/c.tar" c
	DARK=true at_go after restore "$PWD/c.tar"
	assert_failure 13
	assert_output --partial "it is not known whether the pod runs on '$HOSTB'"
	assert_line "podckpt: restore $PWD/c.tar: look with podckpt ps there; if it does not run, restore it again, which is refused if it does"
	quiet_b
	run there restore "$PWD/c.tar"
	if [ "$status" -ne 0 ]; then
		assert_failure 8
		assert_output --partial "the name 'c' is taken"
	fi
	runs_on hostb
}

# Which process of a restore, in the order of their making, is the monitor's server? A poll of it is interrupted.
server_number() {
	local who

	for who in 2 3 4 5 6 7 8 9; do
		on hosta env "LD_LIBRARY_PATH=$BUILD/.libs" "$BUILD/tests/faults/fault" -l "$PWD/log" -w "$who" \
			-f 7 -s 7 -n 1 -e 4 -- "$BUILD/.libs/podckpt" restore -d "$PWD/c.tar" >/dev/null
		ona rm -f c
		! grep -q '^hit 7 podckpt-serve$' log || break
	done
	echo "$who"
}

# podckpt receive with what stands in `fault`.
faulty() {
	cat >there <<-END
		#!/bin/sh
		export LD_LIBRARY_PATH=$BUILD/.libs
		exec $BUILD/tests/faults/fault \$(cat $PWD/fault) -- $BUILD/.libs/podckpt "\$@"
	END
	chmod 755 there
}

@test "the monitor there is killed while it takes the pod over: the next one does, and the pod has moved" {
	local n who hit=0

	ticker
	ona checkpoint -R -o "$PWD/c.tar" c
	ona rm -f c
	who=$(server_number)
	ticker
	faulty
	# From the note in the journal (fsync) to its answer.
	for n in 1 3 5 8 12 16 20; do
		echo "-l $PWD/hits -w $who -f 74 -n $n -k" >fault
		run ona migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PWD/there"
		! grep '^hit' hits || hit=$((hit + 1))
		assert_success
		runs_on hostb
		assert_equal "$(status_on hosta)" ""
		back migrate c
		runs_on hosta
	done
	assert [ "$hit" -gt 3 ]
}

@test "no memory to come back from the pod's namespaces there: it moves, or runs on here, and no note stays" {
	local place places moved=0 n=0

	ticker
	faulty
	echo "-l $PWD/log -w 0" >fault
	ona migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PWD/there"
	back migrate c
	# ENOMEM of setns, once at each place that it is called from.
	mapfile -t places < <(awk '$1 == "call" && $3 == 308 { print $5 }' log | sort -u)
	for place in "${places[@]}"; do
		echo "-l $PWD/hits -w 0 -s 308 -p $place -n 1 -e 12" >fault
		run ona migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PWD/there"
		grep -q '^hit 308 ' hits
		quiet_b
		n=$((n + 1))
		if [ "$status" -eq 0 ]; then
			moved=$((moved + 1))
			back migrate c
		else
			assert_output --partial "Cannot allocate memory"
		fi
		runs_on hosta
		assert_equal "$(ls -A "$HOSTS"/state-*/migrations)" "$(printf '%s\n' "$HOSTS/state-hosta/migrations:" "" "$HOSTS/state-hostb/migrations:")"
	done
	# Who comes back tries again.
	assert [ "$moved" -gt 2 ]
	assert [ "$n" -gt "$moved" ]
}

@test "the other host cannot say that the pod runs there: it is asked anew, and the pod runs there alone" {
	local place

	ticker
	faulty
	echo "-l $PWD/log -w 0" >fault
	ona migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PWD/there"
	back migrate c
	# The last frame that it writes fails, for another reason than that nobody hears it.
	place=$(awk '$1 == "call" && $3 == 20 { place = $5 } END { print place }' log)
	echo "-l $PWD/hits -w 0 -s 20 -p $place -n 1 -e 28" >fault
	cat >once <<-END
		#!/bin/sh
		mkdir "$PWD/used" 2>/dev/null || exec "$PODCKPT" "\$@"
		exec "$PWD/there" "\$@"
	END
	chmod 755 once
	run ona migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PWD/once"
	grep -q '^hit 20 ' hits
	assert_success
	assert_equal "$(status_on hosta)" ""
	runs_on hostb
}

@test "the other host cannot write down for certain that the pod comes: the pod runs on, and no note stays" {
	local place places

	ticker
	faulty
	echo "-l $PWD/log -w 0" >fault
	ona migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PWD/there"
	back migrate c
	# fsync of the note, and of its directory.
	mapfile -t places < <(awk '$1 == "call" && $3 == 74 { print $5 }' log | head -n 2)
	for place in "${places[@]}"; do
		echo "-l $PWD/hits -w 0 -s 74 -p $place -n 1 -e 28" >fault
		run ona migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PWD/there"
		grep -q '^hit 74 ' hits
		assert_failure
		assert_output --partial "No space left on device"
		runs_on hosta
		assert_equal "$(ls -A "$HOSTS/state-hostb/migrations")" ""
	done
	assert_equal "${#places[@]}" 2
}

@test "no memory for a moment to hear what the monitor here says: the pod runs on here, or there, never frozen" {
	local place places moved=0 n=0

	ticker
	export LD_LIBRARY_PATH=$BUILD/.libs
	migrate_with() {
		run on hosta "$BUILD/tests/faults/fault" -w 0 "$@" -- "$BUILD/.libs/podckpt" \
			migrate c --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PODCKPT"
	}
	migrate_with -l "$PWD/log"
	assert_success
	back migrate c
	# ENOMEM of recvmsg, once at each place that it is called from.
	mapfile -t places < <(awk '$1 == "call" && $3 == 47 { print $5 }' log | sort -u)
	for place in "${places[@]}"; do
		migrate_with -l "$PWD/hits" -s 47 -p "$place" -n 1 -e 12
		! grep -q '^hit 47 ' hits || n=$((n + 1))
		quiet_b
		if [ "$status" -eq 0 ]; then
			moved=$((moved + 1))
			runs_on hostb
			assert_equal "$(status_on hosta)" ""
			back migrate c
		fi
		runs_on hosta
		assert_equal "$(status_on hostb)" ""
	done
	echo "$n of ${#places[@]}, $moved moved"
	# Three that the monitor answers: the guard begins, it is handed over, it goes.
	assert [ "$n" -gt 2 ]
	assert [ "$moved" -gt 2 ]
}
