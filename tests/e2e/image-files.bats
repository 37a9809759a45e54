#!/usr/bin/env bats
# Where an image is written to and read from: disks that are full, names that cannot be, ends that go away.
# Each failure is one line with a code of its kind, and the pod runs on.

bats_require_minimum_version 1.5.0
load helpers

# fails CODE TEXT COMMAND...: one line with the text, and the pod goes on.
fails() {
	local code=$1 text=$2

	shift 2
	run timeout 300 "$@"
	assert_equal "$status" "$code"
	assert_equal "${#lines[@]}" 1
	assert_output --partial "$text"
	goes_on c
}

@test "a small disk that is full keeps what was there and gets nothing new" {
	counter c
	truncate -s 10M disk
	mkfs.ext4 -q disk
	mkdir small
	mount -o loop disk small
	echo old >small/c.tar
	fails 1 "write the image: No space left on device" "$PODCKPT" checkpoint -o small/c.tar c
	fails 1 "write the image: No space left on device" "$PODCKPT" checkpoint -R -o small/new.tar c
	run cat small/c.tar
	local all
	all=$(ls -A small)
	umount small
	assert_output old
	assert_equal "$all" "c.tar
lost+found"
}

@test "a directory that is not there or cannot be written to is named, with the code of a failure" {
	counter c
	mkdir ro
	mount -t tmpfs -o ro tmpfs ro
	fails 1 "create 'ro/c.tar': Read-only file system" "$PODCKPT" checkpoint -o ro/c.tar c
	umount ro
	fails 1 "open directory 'nowhere': No such file or directory" "$PODCKPT" checkpoint -o nowhere/c.tar c
	touch file
	fails 1 "open directory 'file': Not a directory" "$PODCKPT" checkpoint -o file/c.tar c
	fails 1 "create '/proc/c.tar'" "$PODCKPT" checkpoint -o /proc/c.tar c
	run podckpt --root /proc/none ps
	assert_failure 1
	run podckpt --root /dev/null ps
	assert_failure 1
}

@test "what is no regular file is not replaced" {
	counter c
	mkdir dir
	mkfifo fifo
	for name in dir dir/ fifo /dev/null /dev/full; do
		fails 1 "'$name' is not a regular file; -o - writes to standard output" \
			"$PODCKPT" checkpoint -o "$name" c
	done
	assert [ -p fifo ]
	assert [ -c /dev/null ]
	assert [ -c /dev/full ]
}

@test "a file is replaced, through a link too, and by nothing that is half" {
	counter c
	mkdir other
	echo old >other/c.tar
	ln -s other/c.tar link.tar
	podckpt checkpoint -R -o link.tar c
	assert [ -L link.tar ]
	podckpt checkpoint -o link.tar c
	podckpt restore -d --verify other/c.tar
	goes_on c
	assert_equal "$(ls -A other)" c.tar
	# A link that leads nowhere is a name like another.
	ln -s nowhere/c.tar loose.tar
	podckpt checkpoint -R -o loose.tar c
	podckpt inspect ./loose.tar >/dev/null
}

@test "a name that is as long as a name can be is good, one that is longer is told before the pod stops" {
	local name

	counter c
	name=$(printf 'x%.0s' {1..255})
	podckpt checkpoint -R -o "$name" c
	podckpt inspect "./$name" >/dev/null
	fails 1 "File name too long" "$PODCKPT" checkpoint -o "x$name" c
	assert_equal "$(ls -A)" "$name"
}

@test "two pods that are written to one name at a time are two images, of which one has the name" {
	local first

	counter a 30
	counter b 30
	podckpt checkpoint -R -o one.tar a &
	first=$!
	podckpt checkpoint -R -o one.tar b
	wait "$first"
	assert_equal "$(ls -A)" one.tar
	podckpt inspect ./one.tar >/dev/null
	goes_on a
	goes_on b
}

@test "standard output that is closed, full or not to be written to fails the checkpoint" {
	counter c
	fails 1 "write the image: No space left on device" bash -c '"$PODCKPT" checkpoint -o - c >/dev/full'
	fails 1 "write the image: Bad file descriptor" bash -c '"$PODCKPT" checkpoint -o - c >&-'
	fails 1 "write the image: Bad file descriptor" bash -c '"$PODCKPT" checkpoint -o - c 1</dev/null'
	fails 1 "write the image: Broken pipe" \
		bash -c 'set -o pipefail; "$PODCKPT" checkpoint -o - c | true'
	# With all of them closed nothing of podckpt's own takes their places.
	run bash -c '"$PODCKPT" checkpoint -R -o c.tar c <&- >&- 2>&-'
	goes_on c
	podckpt inspect ./c.tar >/dev/null
}

@test "an image is read from a slow pipe, a FIFO and a file, and from nothing else" {
	counter c
	podckpt checkpoint c
	bash -c '(head -c 300000 c.tar; sleep 0.5; tail -c +300001 c.tar) | "$PODCKPT" restore -d -'
	goes_on c
	podckpt rm -f c
	mkfifo fifo
	cat c.tar >fifo &
	podckpt restore -d --verify fifo
	wait $!
	goes_on c
	podckpt rm -f c
	: >empty
	for name in empty /dev/null; do
		run podckpt restore -d "$name"
		assert_failure 6
		assert_output "podckpt: restore $name: not a podckpt image"
	done
	run podckpt restore -d - </dev/null
	assert_failure 6
	run bash -c '"$PODCKPT" restore -d - <&-'
	assert_failure 6
	run podckpt restore -d .
	assert_failure 1
	assert_output "podckpt: restore .: read the image: Is a directory"
	run podckpt restore -d nothing
	assert_failure 1
	assert_output --partial "open 'nothing': No such file or directory"
	# A writer that stops in the middle.
	run bash -c 'head -c 300000 c.tar | "$PODCKPT" restore -d -'
	assert_failure 6
	assert_equal "${#lines[@]}" 1
	run podckpt ps -q
	assert_output ""
}

@test "a state directory that is full or read-only is told as that, and a restore leaves nothing in it" {
	local why

	counter c
	podckpt exec c -- sh -c 'head -c 4000000 /dev/urandom >/var/tmp/file'
	podckpt checkpoint c
	mkdir state
	mount -t tmpfs -o size=2m tmpfs state
	run podckpt --root "$PWD/state" restore -d c.tar
	assert_failure 1
	assert_equal "${#lines[@]}" 1
	assert_output --partial "No space left on device"
	assert_equal "$(ls -A state/pods)" ""
	head -c 4m /dev/zero >state/fill 2>/dev/null || true
	run podckpt --root "$PWD/state" restore -d c.tar
	assert_failure 1
	assert_output --partial "No space left on device"
	run podckpt --root "$PWD/state" run -d --name new -- true
	assert_failure
	assert_output --partial "No space left on device"
	rm state/fill
	until_ok 120 mount -o remount,ro state
	for why in "restore -d c.tar" "run -d --name new -- true"; do
		# shellcheck disable=SC2086
		run podckpt --root "$PWD/state" $why
		assert_failure
		assert_equal "${#lines[@]}" 1
		assert_output --partial "Read-only file system"
	done
	run podckpt --root "$PWD/state" ps -q
	assert_success
	assert_output ""
	assert_equal "$(ls -A state/pods)" ""
	until_ok 120 umount state
	podckpt restore -d --verify c.tar
	goes_on c
}

@test "a result that cannot be printed is told, and stays" {
	local command

	counter c
	run bash -c '"$PODCKPT" checkpoint -R c >/dev/full'
	assert_failure 1
	assert_output "podckpt: checkpoint: the image is written, but standard output: No space left on device"
	goes_on c
	podckpt checkpoint c >/dev/null
	run bash -c '"$PODCKPT" restore -d c.tar >/dev/full'
	assert_failure 1
	assert_output "podckpt: restore: the pod runs, but standard output: No space left on device"
	goes_on c
	run bash -c '"$PODCKPT" run -d --name d -- sleep 1000 >/dev/full'
	assert_failure 1
	assert_output "podckpt: run: the pod runs, but standard output: No space left on device"
	podckpt rm -f d
	for command in ps "inspect c" check --version "--help"; do
		run bash -c '"$PODCKPT" '"$command"' >/dev/full'
		assert_failure 1
		assert_output --partial "standard output: No space left on device"
	done
}
