#!/usr/bin/env bats
# Several pods that go to another host together.

bats_require_minimum_version 1.5.0
load helpers
load hosts

CHAT=$BATS_TEST_DIRNAME/programs/chat.py

setup_file() {
	lib_setup migrate-sets
	hosts_setup
}

teardown_file() {
	hosts_teardown
	lib_teardown
}

teardown() {
	hosts_clean
}

# Two pods on hosta that write a line ten times a second.
tickers() {
	local name

	for name in "$@"; do
		ona run -d --name "$name" --net none -- bash -c 'for ((i = 0; ; i++)); do echo $i; sleep 0.1; done'
		until_ok 120 ticks hosta "$name" 2
	done
}

ticks() {
	local n

	n=$(on "$1" "$PODCKPT" logs "$2" 2>/dev/null | tail -n 1)
	[ "${n:-0}" -ge "$3" ]
}

# They run there, and have left nothing out and done nothing twice: run_on HOST POD...
run_on() {
	local name

	for name in "${@:2}"; do
		until_ok 120 ticks "$1" "$name" "$(($(on "$1" "$PODCKPT" logs "$name" | tail -n 1) + 3))"
		on "$1" "$PODCKPT" logs "$name" >got
		seq 0 "$(tail -n 1 got)" | cmp got -
	done
	assert_equal "$(on "$1" "$PODCKPT" ps -q | sort | xargs)" "${*:2}"
}

none_on() {
	assert_equal "$(on "$1" "$PODCKPT" ps -q)" ""
	assert_equal "$(ls -A "$HOSTS/state-$1/migrations" 2>/dev/null)" ""
}

# Two pods on hosta that talk without pause.
talkers() {
	ona run -d --name left --ip 10.77.0.70 -- python3 -u "$CHAT"
	until_ok 120 heard hosta left listening
	ona run -d --name right --ip 10.77.0.71 -- python3 -u "$CHAT" 10.77.0.70
	until_ok 120 heard hosta left "heard 1000"
	until_ok 120 heard hosta right "heard 1000"
}

heard() {
	on "$1" "$PODCKPT" logs "$2" 2>/dev/null | grep -q "$3"
}

hears_more() {
	[ "$(on "$1" "$PODCKPT" logs "$2" 2>/dev/null | grep -c heard)" -gt "$3" ]
}

talk_on() {
	local name n

	for name in left right; do
		n=$(on "$1" "$PODCKPT" logs "$name" | grep -c heard)
		until_ok 120 hears_more "$1" "$name" "$n"
	done
}

# What one has said the other has heard, to the byte.
talked_whole() {
	local name

	for name in left right; do
		on "$1" "$PODCKPT" exec "$name" -- touch /run/stop
	done
	for name in left right; do
		assert_equal "$(on "$1" "$PODCKPT" wait "$name")" 0
	done
	assert_equal "$(on "$1" "$PODCKPT" logs left | sed -n 's/^said //p')" \
		"$(on "$1" "$PODCKPT" logs right | sed -n 's/^all //p')"
	assert_equal "$(on "$1" "$PODCKPT" logs right | sed -n 's/^said //p')" \
		"$(on "$1" "$PODCKPT" logs left | sed -n 's/^all //p')"
}

@test "a set is restored on the other host, and its pods talk on, no byte lost" {
	talkers
	ona checkpoint -o "$PWD" left right
	run there restore "$PWD/right.tar" "$PWD/left.tar"
	assert_success
	assert_output $'right\nleft'
	talk_on hostb
	onb checkpoint -o "$PWD" left right
	run back restore --verify --stats "$PWD/left.tar" "$PWD/right.tar"
	assert_success
	echo "$output" | jq -e '[.phases[].name] == ["connect", "check", "send", "build", "hand over"]'
	none_on hostb
	talk_on hosta
	talked_whole hosta
}

@test "one of a set that the other host refuses: all findings of all are told, there is none of them" {
	tickers a b c
	mkdir vol
	ona checkpoint -o "$PWD" a b c
	onb run -d --name b --net none -- sleep 1000
	onb run -d --name c --net none -- sleep 1000
	run there restore "$PWD/a.tar" "$PWD/b.tar" "$PWD/c.tar"
	assert_failure 8
	assert_output - <<-END
		podckpt: restore: $HOSTB: b: the name 'b' is taken: remove that pod first
		podckpt: restore: $HOSTB: c: the name 'c' is taken: remove that pod first
	END
	assert_equal "$(onb ps -q | sort | xargs)" "b c"
	onb rm -f -a
	run there restore -v "$PWD/vol:/nowhere" "$PWD/a.tar" "$PWD/b.tar" "$PWD/c.tar"
	assert_failure 2
	assert_output "podckpt: restore: none of the images has a volume at '/nowhere'"
	run there restore "$PWD/a.tar" "$PWD/c.tar"
	assert_failure 2
	assert_output "podckpt: restore: $PWD/a.tar: it was stopped together with b, whose image is missing; restore them together, or with --alone"
	run there restore -n "$PWD/a.tar" "$PWD/b.tar" "$PWD/c.tar"
	assert_success
	assert_output ""
	none_on hostb
	run there restore "$PWD/a.tar" "$PWD/b.tar" "$PWD/c.tar"
	assert_success
	run_on hostb a b c
}

@test "one of a set is damaged, found when the others stand there: there is none of them" {
	tickers a b
	ona checkpoint -o "$PWD" a b
	cp b.tar whole.tar
	python3 -c '
import tarfile
memory = [m for m in tarfile.open("b.tar") if m.name.endswith(".pages")][-1]
image = bytearray(open("b.tar", "rb").read())
image[memory.offset_data + memory.size - 100] ^= 1
open("b.tar", "wb").write(image)'
	run there restore "$PWD/a.tar" "$PWD/b.tar"
	assert_failure 6
	assert_line --partial "podckpt: restore: $PWD/b.tar: "
	none_on hostb
	mv whole.tar b.tar
	run there restore "$PWD/a.tar" "$PWD/b.tar"
	assert_success
	run_on hostb a b
}

@test "pods that talk move together, back and forth, no byte lost" {
	talkers
	run there migrate --verify --stats left right
	assert_success
	echo "$output" | jq -e '.downtime > 0 and
		([.phases[].name] == ["connect", "check", "send", "build", "hand over", "remove"])'
	none_on hosta
	talk_on hostb
	back migrate right left
	none_on hostb
	talk_on hosta
	talked_whole hosta
}

@test "one of several cannot move: all findings of all are told, none is touched" {
	tickers a b c
	mkdir vol
	ona run -d --name d --net none -v "$PWD/vol:/vol" -- sleep 1000
	onb run -d --name b --net none -- sleep 1000
	run there migrate --volume-map "$PWD/vol:/no/such/place" a b c d
	assert_failure 8
	assert_output - <<-END
		podckpt: migrate: $HOSTB: b: the name 'b' is taken: remove that pod first
		podckpt: migrate: $HOSTB: d: '/no/such/place', the volume for '/vol', is not there: No such file or directory; map it to another path with --volume-map
	END
	run there migrate --volume-map /elsewhere:/vol a c
	assert_failure 2
	assert_output "podckpt: migrate: none of the pods has a volume from '/elsewhere'"
	run there migrate a nobody c
	assert_failure 3
	assert_output --partial "podckpt: migrate: nobody: no such pod"
	onb rm -f b
	ona rm -f d
	none_on hostb
	run_on hosta a b c
	there migrate a b c
	run_on hostb a b c
	none_on hosta
}

# Something happens to the line at GO: at_go WHAT COMMAND OF PODCKPT...
at_go() {
	rm -f spec.*
	echo "{\"type\": 12, \"nth\": 0, \"what\": \"$1\", \"dark\": ${DARK:-false}}" >spec
	run ona "${@:2}" --host "$HOSTB" --rsh "$BATS_TEST_DIRNAME/../faults/line $PWD/spec $RSH" \
		--remote-podckpt "$PODCKPT"
}

statuses() {
	assert_equal "$(ona ps --format json | jq -c '[.pods[].status]')" "$1"
}

# Asked until the other host is done with it.
answers() {
	local code=0

	ona migrate --resolve "$@" >answer || code=$?
	[ "$code" -ne 13 ]
}

@test "several were handed over, and podckpt was killed: each resolves the same way" {
	tickers a b
	at_go kill-before migrate a b
	assert_failure 137
	statuses '["migrating","migrating"]'
	until_ok 120 answers a
	assert_equal "$(cat answer)" "it runs on here"
	until_ok 120 answers b
	assert_equal "$(cat answer)" "it runs on here"
	run_on hosta a b
	at_go kill-before migrate a b
	until_ok 120 answers a b
	assert_equal "$(cat answer)" "$(printf '%s\n' "a: it runs on here" "b: it runs on here")"
	run_on hosta a b
	at_go kill migrate a b
	assert_failure 137
	statuses '["migrating","migrating"]'
	until_ok 120 answers b
	assert_equal "$(cat answer)" "it was removed here"
	until_ok 120 answers a
	assert_equal "$(cat answer)" "it was removed here"
	run_on hostb a b
	none_on hosta
	assert_equal "$(ls -A "$HOSTS/state-hostb/migrations")" ""
}

# The user says what became of them, or asks; by the line that may be dark.
resolve() {
	run ona migrate --resolve "$@" --rsh "$BATS_TEST_DIRNAME/../faults/line $PWD/spec $RSH"
}

@test "several were handed over, and the other host cannot be reached: what one becomes all become" {
	tickers a b c
	DARK=true at_go before migrate a b c
	assert_failure 13
	assert_line "podckpt: migrate: they were handed over and are frozen here until you say what became of them: podckpt migrate --resolve a b c [keep|drop]"
	statuses '["migrating","migrating","migrating"]'
	resolve a b c
	assert_failure 13
	statuses '["migrating","migrating","migrating"]'
	resolve b keep
	assert_success
	assert_output --partial "it runs on here"
	resolve c drop
	assert_failure
	assert_output --partial "podckpt: migrate c: 'b', which was handed over together with it, was kept here; keep it, too"
	statuses '["migrating","running","migrating"]'
	resolve a c keep
	assert_success
	assert_line "a: it runs on here"
	assert_line "c: it runs on here"
	run_on hosta a b c
	none_on hostb
	DARK=true at_go kill migrate a b c
	assert_failure 137
	until_ok 120 run_on hostb a b c
	resolve c drop
	assert_success
	resolve a b keep
	assert_failure
	assert_line "podckpt: migrate a: 'c', which was handed over together with it, was dropped here; drop it, too"
	assert_line "podckpt: migrate b: 'c', which was handed over together with it, was dropped here; drop it, too"
	statuses '["migrating","migrating"]'
	resolve a b drop
	assert_success
	none_on hosta
	run_on hostb a b c
	rm -f "$HOSTS"/state-hostb/migrations/*
}
