#!/usr/bin/env bats
# Files that are taken while the pod runs: the image has them as they were when it was stopped.

bats_require_minimum_version 1.5.0
load helpers

# The frozen time of a checkpoint with -R, in microseconds. $1: the pod, $2: the image
pause_of() {
	podckpt checkpoint -R --stats -o "$2" "$1" | jq .frozen_time
}

checked() {
	output_has changer good || output_has changer wrong
}

# Restores an image of the changer and has it compare its files with its memory. $@: options
compare() {
	podckpt restore -d "$@" || return 1
	remember changer
	touch "$(pod_path changer /run/check)"
	until_ok 120 checked
	podckpt logs changer | grep -E "good|wrong"
	if output_has changer wrong; then return 1; fi
	podckpt rm -f changer
}

@test "a tree that changes in every way all the time is in the image as at the stop" {
	local i

	podckpt run -d --net none --name changer -- python3 "$BATS_TEST_DIRNAME/programs/tree-changer.py"
	wait_output changer changing
	for i in 1 2 3 4 5; do
		podckpt checkpoint -R -o "$i.tar" changer
	done
	podckpt checkpoint -o last.tar changer
	for i in 1 2 3 4 5 last; do
		compare --verify "$i.tar"
	done
}

@test "the pause does not grow with what the pod wrote long ago" {
	local i straight early least_straight=0 least_early=0

	podckpt run -d --net none --name big -- /bin/bash -c '
		mkdir /data; cd /data
		for i in {1..1000}; do head -c 262144 /dev/urandom >"$i"; done
		echo filled; exec sleep 1000' </dev/null
	wait_output big filled
	# Into a pipe everything has to go while the pod is stopped: there is no going back in it.
	# On a busy host the least of several; the more, the busier.
	for i in 1 2 3 4 5 6 7 8 9 10; do
		podckpt checkpoint -R --stats -o - big 2>stats | cat >image.tar
		straight=$(jq .frozen_time stats)
		early=$(pause_of big image.tar)
		if [ "$i" = 1 ] || [ "$straight" -lt "$least_straight" ]; then least_straight=$straight; fi
		if [ "$i" = 1 ] || [ "$early" -lt "$least_early" ]; then least_early=$early; fi
		[ "$i" -lt 3 ] || [ $((least_early * 3)) -ge "$least_straight" ] || break
	done
	echo "straight $least_straight us, early $least_early us"
	[ $((least_early * 3)) -lt "$least_straight" ]
	tar tf image.tar | grep -c '^rootfs/0/data/[0-9]' | grep -qx 1000
}
