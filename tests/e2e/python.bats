#!/usr/bin/env bats
# A Python program with threads, other processes and pipes between them.

bats_require_minimum_version 1.5.0
load helpers

passed() {
	podckpt logs py | sed -n 's/^passed //p' | tail -n 1
}

more_passed_than() {
	[ "$(passed)" -gt "$1" ]
}

@test "numbers keep passing through threads, pipes and processes, none lost, none doubled" {
	local mode before pids

	podckpt run -d --name py --net none -- python3 "$BATS_TEST_DIRNAME/programs/pipeline.py"
	until_ok 120 output_has py "passed 300"
	pids=$(podckpt exec py -- pidof python3)
	for mode in plain verify pipe; do
		before=$(passed)
		cycle py "$mode"
		assert_equal "$(podckpt exec py -- pidof python3)" "$pids"
		until_ok 120 more_passed_than "$((before + 300))"
	done
	podckpt kill -s TERM py
	run podckpt wait py
	assert_output 0
	output_has py "finished after"
}
