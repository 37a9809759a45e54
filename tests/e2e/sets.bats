#!/usr/bin/env bats
# Several pods that are stopped together and released together.

bats_require_minimum_version 1.5.0
load helpers

TOGETHER=$BATS_TEST_DIRNAME/programs/together.py
CHAT=$BATS_TEST_DIRNAME/programs/chat.py

# Two pods that look at the clock and share a file. $1, $2: megabytes
two_lookers() {
	mkdir shared
	truncate -s 4096 shared/looks
	podckpt run -d --name a --net none -v "$PWD/shared:/shared" -- python3 -u "$TOGETHER" /shared/looks 0 "$1"
	podckpt run -d --name b --net none -v "$PWD/shared:/shared" -- python3 -u "$TOGETHER" /shared/looks 1 "$2"
	wait_output a looking
	wait_output b looking
}

sleepers() {
	local name

	for name in "$@"; do
		podckpt run -d --name "$name" --net none -- sleep 1000 >/dev/null
	done
}

# Tells with Python what the slots say: now, begin, end, looks of a; then of b.
slots() {
	python3 -c '
import struct, sys
a, b = struct.iter_unpack("4d", open("shared/looks", "rb").read(64))
now, begin, end, looks = range(4)
'"$1"
}

looks_on() {
	local before

	before=$(slots 'print(a[looks], b[looks])')
	slots "sys.exit(not (a[looks] > ${before% *} and b[looks] > ${before#* }))"
}

# Both run on, nothing of an image is there.
untouched() {
	until_ok 120 looks_on
	assert_equal "$(podckpt ps --format json | jq -c '[.pods[].status]')" '["running","running"]'
	assert_equal "$(ls -A)" shared
}

@test "pods of a set stand still at the same time, though one image takes long" {
	two_lookers 8 8
	podckpt checkpoint -R --compress zstd:19 --stats a b >stats
	until_ok 120 looks_on
	slots 'print("pauses", a[begin], a[end], b[begin], b[end])'
	jq -c '.[] | [.pod, .frozen_time, .memdump_time]' stats
	# The longest pause of each is the checkpoint's; each began when the other had hardly begun.
	slots 'sys.exit(not (b[begin] < (a[begin] + a[end]) / 2 and a[begin] < (b[begin] + b[end]) / 2))'
	slots 'sys.exit(not (a[end] > (b[begin] + b[end]) / 2 and b[end] > (a[begin] + a[end]) / 2))'
	run jq -c '[length, .[].pod, (.[] | .version, .frozen_time > 0, .image_bytes > 8000000)]' stats
	assert_output '[2,"a","b",1,true,true,1,true,true]'
}

@test "no pod of a set runs on after another was dumped" {
	local dumped

	two_lookers 8 1
	podckpt checkpoint --compress zstd:19 --stats a b >stats
	dumped=$(jq '.[0].memdump_time' stats)
	slots 'print("ran on for", b[now] - a[now])'
	echo "the first took $dumped us"
	# One after the other, b would have run on for all of that.
	slots "sys.exit(not abs(b[now] - a[now]) * 1e6 < $dumped / 2)"
	podckpt restore -v "$PWD/shared:/shared" --verify a.tar b.tar
	until_ok 120 looks_on
}

@test "a set is several images that name each other, in the directory of -o" {
	sleepers one two three
	mkdir dir
	run podckpt checkpoint -R -o dir one two three
	assert_success
	assert_output $'dir/one.tar\ndir/two.tar\ndir/three.tar'
	for i in one two three; do
		podckpt inspect "dir/$i.tar" | jq .set >"$i.json"
	done
	run jq -c '[.members, .index, (.id | test("^[0-9a-f]{32}$"))]' one.json two.json three.json
	assert_line --index 0 '[["one","two","three"],0,true]'
	assert_line --index 1 '[["one","two","three"],1,true]'
	assert_line --index 2 '[["one","two","three"],2,true]'
	assert_equal "$(jq -s '[.[].id] | unique | length' one.json two.json three.json)" 1
	podckpt checkpoint -o alone.tar one
	assert_equal "$(podckpt inspect ./alone.tar | jq .set)" null
	podckpt checkpoint -n two three
	run podckpt -q checkpoint -o dir/ two three
	assert_success
	assert_output ''
}

@test "two pods that talk over TCP talk on after being stopped as a set, no byte lost" {
	local ip round name options heard

	podckpt run -d --name left -- python3 -u "$CHAT"
	wait_output left listening
	ip=$(pod_ip left)
	podckpt run -d --name right -- python3 -u "$CHAT" "$ip"
	wait_output left "heard 1000"
	wait_output right "heard 1000"
	podckpt checkpoint -R right left
	# Long enough for queues that grow beyond what a program may ask for.
	for round in 1 2 3 4; do
		podckpt checkpoint left right
		# Longer than a peer that is there would be silent.
		sleep 0.5
		options=()
		[ "$round" = 1 ] || options=(--verify)
		podckpt restore "${options[@]}" left.tar right.tar >names
		remember_all
		assert_equal "$(cat names)" $'left\nright'
		for name in left right; do
			heard=$(podckpt logs "$name" | grep -c heard)
			until_ok 120 hears_more "$name" "$heard"
		done
	done
	for name in left right; do
		: >"$(pod_path "$name" /run/stop)"
	done
	for name in left right; do
		assert_equal "$(podckpt wait "$name")" 0
	done
	assert_equal "$(podckpt logs left | sed -n 's/^said //p')" "$(podckpt logs right | sed -n 's/^all //p')"
	assert_equal "$(podckpt logs right | sed -n 's/^said //p')" "$(podckpt logs left | sed -n 's/^all //p')"
}

hears_more() {
	[ "$(podckpt logs "$1" | grep -c heard)" -gt "$2" ]
}

@test "one pod of a set that cannot be carried: all findings are told, none is touched" {
	local name

	two_lookers 1 1
	for name in x y; do
		podckpt run -d --name "$name" --net none -- python3 -c '
import fcntl, time
file = open("/run/file", "w")
file.close()
file = open("/run/file")
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
print("made", flush=True)
time.sleep(1000)'
		wait_output "$name" made
	done
	run podckpt checkpoint a x b y
	assert_failure 4
	assert_equal "${#lines[@]}" 2
	assert_line --index 0 --partial "podckpt: checkpoint: x: pid "
	assert_line --index 1 --partial "podckpt: checkpoint: y: pid "
	podckpt rm -f x y
	untouched
}

@test "a pod named twice, one that is not there or not running, and one stream for several" {
	two_lookers 1 1
	run podckpt checkpoint a b a
	assert_failure 2
	assert_output "podckpt: checkpoint: a: named twice"
	run podckpt checkpoint a b nobody
	assert_failure 3
	assert_output --partial "podckpt: checkpoint: nobody: no such pod"
	podckpt run --name ended --net none -- true
	run podckpt checkpoint a ended b
	assert_failure 1
	assert_output "podckpt: checkpoint: ended: the pod is exited, not running"
	podckpt rm ended
	run bash -c '"$PODCKPT" checkpoint -o - a b | cat'
	assert_output "podckpt: checkpoint: standard output has room for one image; name a directory with -o"
	run podckpt checkpoint -o no/such/ a b
	assert_failure 1
	assert_output --partial "podckpt: checkpoint: a: open directory 'no/such'"
	untouched
}

@test "a disk that is full at the second image leaves none, and keeps those that were there" {
	two_lookers 1 64
	mkdir small
	mount -t tmpfs -o size=40M tmpfs small
	echo old >small/a.tar
	run podckpt checkpoint -o small a b
	local code=$status what=$output all old options
	for options in -R "-R --compress lz4"; do
		# shellcheck disable=SC2086
		run podckpt checkpoint $options -o small a b
		[ "$status" = 1 ] || code=$status
	done
	all=$(ls -A small)
	old=$(cat small/a.tar)
	umount small
	rmdir small
	assert_equal "$code" 1
	assert_regex "$what" "^podckpt: checkpoint: b: .*: No space left on device$"
	assert_equal "$all" a.tar
	assert_equal "$old" old
	untouched
}

@test "an image that cannot get its name takes the name of the others away again" {
	local pid

	two_lookers 1 8
	mkdir out
	echo old >out/a.tar
	"$PODCKPT" checkpoint --compress zstd:19 -o out a b 2>errors &
	pid=$!
	until_ok 120 status_is b checkpointing
	mkdir out/b.tar
	await "$pid"
	assert_equal "$status" 1
	run cat errors
	assert_output "podckpt: checkpoint: b: rename to 'b.tar': Is a directory"
	assert_equal "$(cat out/a.tar)" old
	assert_equal "$(ls -A out)" $'a.tar\nb.tar'
	rm -r out errors
	untouched
}

@test "podckpt killed in the middle of a set: all pods run on, no image is there" {
	local pid i

	two_lookers 4 4
	for i in 0 0.1 0.4 1; do
		"$PODCKPT" checkpoint --compress zstd:19 a b >/dev/null &
		pid=$!
		until_ok 120 status_is b checkpointing || true
		sleep "$i"
		kill -9 "$pid"
		await "$pid"
		assert_equal "$status" 137
		until_ok 120 status_is a running
		until_ok 120 status_is b running
		untouched
	done
	podckpt checkpoint a b
	podckpt restore -v "$PWD/shared:/shared" a.tar b.tar
	until_ok 120 looks_on
}

@test "one of a set is not restored without the others, unless it is asked for" {
	sleepers a b
	podckpt checkpoint -R a b
	mv b.tar older.tar
	podckpt checkpoint a b
	run podckpt restore -d a.tar
	assert_failure 2
	assert_output "podckpt: restore a.tar: it was stopped together with b, whose image is missing; restore them together, or with --alone"
	run podckpt restore a.tar older.tar
	assert_failure 2
	assert_output "podckpt: restore: a.tar: it was stopped together with b, of which there is an image of another time; restore them together, or with --alone"
	run podckpt restore a.tar b.tar b.tar
	assert_failure 2
	assert_output "podckpt: restore: a.tar: the image of b is there twice"
	for i in --name --ip --mac; do
		run podckpt restore "$i" x a.tar b.tar
		assert_failure 2
		assert_output "podckpt: restore: $i is for one pod, not for several"
	done
	# Before anything is asked of that host.
	run podckpt restore --host somewhere --rsh false b.tar
	assert_failure 2
	assert_output "podckpt: restore b.tar: it was stopped together with a, whose image is missing; restore them together, or with --alone"
	run podckpt restore a.tar -
	assert_failure 2
	assert_output "podckpt: restore: standard input has room for one image; name files"
	assert_equal "$(podckpt ps -q)" ''
	podckpt restore -d --alone a.tar
	assert_equal "$(podckpt ps -q)" a
	podckpt rm -f a
	podckpt restore --alone --verify a.tar older.tar
	assert_equal "$(podckpt ps -q)" $'a\nb'
}

@test "one pod of several that cannot be restored: there is none of them" {
	sleepers a b c
	mkdir shared
	podckpt run -d --name v --net none -v "$PWD/shared:/shared" -- sleep 1000
	podckpt checkpoint a b v
	podckpt checkpoint c
	# Refused before anything is made: a right, a name, a volume of nobody.
	run podckpt restore a.tar b.tar v.tar
	assert_failure 12
	assert_output --partial "podckpt: restore: v.tar: the pod has a volume at '/shared'"
	run podckpt restore -v "$PWD/shared:/shared" -v "$PWD/shared:/other" a.tar b.tar v.tar
	assert_failure 2
	assert_output "podckpt: restore: none of the images has a volume at '/other'"
	sleepers b
	run podckpt restore -v "$PWD/shared:/shared" a.tar b.tar v.tar
	assert_failure 8
	assert_output "podckpt: restore: b.tar: the name 'b' is taken: remove that pod first"
	assert_equal "$(podckpt ps -q)" b
	podckpt rm -f b
	run podckpt restore c.tar c.tar
	assert_failure 8
	assert_output "podckpt: restore: c.tar: the name 'c' is taken: remove that pod first"
	# Found when the others are built: damage at the end.
	cp v.tar whole.tar
	python3 -c '
import sys
image = bytearray(open("v.tar", "rb").read())
image[len(image) * 3 // 4] ^= 1
open("v.tar", "wb").write(image)'
	run podckpt restore -v "$PWD/shared:/shared" a.tar b.tar v.tar
	assert_failure 6
	assert_line --partial "podckpt: restore: v.tar: "
	assert_equal "$(podckpt ps -q)" ''
	until_ok 120 nothing_left
	# With images of no set, too, in any order.
	run podckpt restore -v "$PWD/shared:/shared" whole.tar c.tar b.tar a.tar
	assert_success
	assert_output $'v\nc\nb\na'
}

# Both run, or nothing of either is there.
all_or_none() {
	local now

	now=$(podckpt ps --format json | jq -c '[.pods[] | [.name, .status]]')
	[ "$now" = '[["a","running"],["b","running"]]' ] || [ "$now" = '[]' ]
}

# Of the test below; its variables.
killed_at() {
	"$fault" -l log -n "$1" -k -- "${restore[@]}" || true
	until_ok 120 all_or_none
	if [ "$(podckpt ps -q | wc -l)" = 0 ]; then
		none=$((none + 1))
	else
		went_on=$((went_on + 1))
		until_ok 120 looks_on
		podckpt rm -f a b
	fi
}

@test "podckpt killed at any call around the release of a set: all of its pods run on, or none" {
	local fault=$BUILD/tests/faults/fault restore n first last went_on=0 none=0

	two_lookers 1 1
	podckpt checkpoint a b
	restore=("$BUILD/.libs/podckpt" restore -v "$PWD/shared:/shared" a.tar b.tar)
	export LD_LIBRARY_PATH=$BUILD/.libs
	"$fault" -l calls -w 0 -- "${restore[@]}"
	podckpt rm -f a b
	# The last six that it sends: each monitor is to be ready, to release, to set going.
	awk '$1 == "call" && $3 == 46 { print $2 }' calls | tail -n 6 >sent
	first=$(head -n 1 sent)
	last=$(tail -n 1 sent)
	# And on, and from before them: another run may need some calls more until its release, or less.
	for ((n = first; n <= last + 2 || (went_on < 2 && n < last + 400); n += 2)); do
		killed_at "$n"
	done
	for ((n = first - 2; none < 2 && n > first - 400; n -= 2)); do
		killed_at "$n"
	done
	echo "all: $went_on, none: $none"
	assert [ "$went_on" -gt 1 ]
	assert [ "$none" -gt 1 ]
}
