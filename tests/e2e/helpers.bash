# shellcheck shell=bash
# For every e2e file: `load helpers`. Each file has a state directory of its own and at its end
# nothing may be left of its pods; each test begins without pods, in an empty directory.

: "${BUILD:=$BATS_TEST_DIRNAME/../../build}"
BUILD=$(cd "$BUILD" && pwd)
export BUILD
# shellcheck source-path=SCRIPTDIR source=../lib.bash
. "$BATS_TEST_DIRNAME/../lib.bash"
bats_load_library bats-support
bats_load_library bats-assert
bats_load_library bats-file

setup_file() {
	lib_setup "$(basename "$BATS_TEST_FILENAME" .bats)"
}

teardown_file() {
	lib_teardown
}

# For tests in which somebody waits to be accepted by TCP; tests/skips.txt.
needs_waiting() {
	podckpt check | grep -q '^TCP numbers of TIME_WAIT *yes' ||
		skip "who waits to be accepted is refused before Linux 6.10"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	local dir

	# A test that failed: what did its pods say?
	if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		podckpt ps
		for dir in "$PODCKPT_ROOT"/pods/*/; do
			[ -e "$dir" ] || continue
			echo "-- output of $(basename "$dir"):"
			podckpt logs "$(basename "$dir")" | tail -n 30
		done
	fi
	remember_all
	podckpt rm -f -a
	until_ok 120 nothing_left || { show_left; return 1; }
}

# What is there of pods although there is none, a line each.
show_left() {
	local value dir exe

	find "$PODCKPT_ROOT/pods" -mindepth 1 -maxdepth 1 -printf 'left behind: %p\n' 2>/dev/null
	grep -F "$PODCKPT_ROOT/" /proc/self/mountinfo | sed 's/^/left behind: mount /'
	while read -r _ value; do
		[ ! -e "/sys/class/net/$value" ] || echo "left behind: link $value"
		for dir in /sys/fs/cgroup{,/unified,/freezer,/memory,/pids}"$value"; do
			[[ $value != /podckpt/* ]] || [ ! -d "$dir" ] || echo "left behind: cgroup $dir"
		done
	done < <(sort -u "$TRACES")
	find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -lname '*podckpt*' 2>/dev/null |
		while read -r exe; do
			dir=${exe%/exe}
			! grep -qzxF "PODCKPT_ROOT=$PODCKPT_ROOT" "$dir/environ" 2>/dev/null ||
				echo "left behind: process ${dir#/proc/}: $(tr '\0' ' ' <"$dir/cmdline")"
		done
}

nothing_left() {
	[ -z "$(show_left)" ]
}

# A field of a pod from ps.
pod_field() {
	podckpt ps --format json | jq -r --arg n "$1" --arg f "$2" '.pods[] | select(.name == $n) | .[$f]'
}

pod_ip() {
	pod_field "$1" ip
}

status_is() {
	[ "$(pod_field "$1" status)" = "$2" ]
}

# output_has POD TEXT: has the pod printed it?
output_has() {
	[ "$(podckpt logs "$1" 2>/dev/null | grep -cF -- "$2")" -gt 0 ] # -q would stop reading
}

wait_output() {
	until_ok 120 output_has "$1" "$2"
}

# counter POD [MEGABYTES [OPTION...]]: a pod that counts (programs/counter.py), holding so much memory
counter() {
	podckpt run -d --name "$1" --net none "${@:3}" -- \
		python3 "$BATS_TEST_DIRNAME/programs/counter.py" "${2:-0}" >/dev/null
	wait_output "$1" "count 3 "
}

# How far a counter has come
number() {
	podckpt logs "$1" | grep '^count ' | tail -n 1 | cut -d' ' -f2
}

counts_past() {
	[ "$(number "$1")" -gt "$2" ] 2>/dev/null
}

# goes_on POD [MORE]: does it count on from here, so far? It looks at its memory every ten.
goes_on() {
	until_ok 120 counts_past "$1" "$(($(number "$1") + ${2:-2}))"
}

# One checkpoint and restore, in the ways the requirement names: cycle POD plain|verify|pipe
cycle() {
	case $2 in
	plain)
		podckpt checkpoint -o "$BATS_TEST_TMPDIR/$1.tar" "$1" || return 1
		podckpt restore -d "${@:3}" "$BATS_TEST_TMPDIR/$1.tar" ;;
	verify)
		podckpt checkpoint -o "$BATS_TEST_TMPDIR/$1.tar" "$1" || return 1
		podckpt restore -d --verify "${@:3}" "$BATS_TEST_TMPDIR/$1.tar" ;;
	pipe)
		(set -o pipefail; podckpt checkpoint -o - "$1" | podckpt restore -d "${@:3}" -) ;;
	esac || return 1
	remember "$1"
}
