# shellcheck shell=bash
# What the victims' harness and the e2e tests share. Sourced; needs BUILD (the build directory).
#
# Every run has a state directory of its own, $PODCKPT_ROOT, so tests run side by side and beside
# whatever pods the host has. At the end nothing may be left of it.

: "${BUILD:?the build directory}"
export PODCKPT=${PODCKPT:-$BUILD/podckpt}
STEP_TIMEOUT=${STEP_TIMEOUT:-240}

# The program under test, never longer than STEP_TIMEOUT.
podckpt() {
	timeout -k 5 "$STEP_TIMEOUT" "$PODCKPT" "$@"
}

# A state directory of our own; exported for podckpt.
lib_setup() {
	# Not below /tmp: an overlay's upper directory wants a disk file system on older kernels.
	PODCKPT_ROOT=$(mktemp -d "/var/tmp/podckpt-${1:-test}.XXXXXX") || return 1
	export PODCKPT_ROOT
	TRACES=$(mktemp "/tmp/podckpt-traces.XXXXXX") || return 1
	export TRACES
}

# Host PID of the pod's PID 1; fails where it has ended.
pod_pid1() {
	local pid

	pid=$(podckpt ps --format json | jq -er --arg n "$1" '.pods[]|select(.name==$n).pid') || return 1
	[ "$pid" -gt 1 ] && echo "$pid"
}

# A path of the running pod, as seen from the host.
pod_path() {
	local pid

	pid=$(pod_pid1 "$1") && echo "/proc/$pid/root$2"
}

# until_ok SECONDS COMMAND...: polls until the command succeeds.
until_ok() {
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# until_fails SECONDS COMMAND...: polls until the command fails.
until_fails() {
	local end=$((SECONDS + $1))

	shift
	while "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# has_ended PID: it is dead, whether or not anybody has waited for it.
has_ended() {
	local state

	state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
	[[ -z $state || $state == [ZX] ]]
}

# is_stopped PID: by a signal, and it knows of it.
is_stopped() {
	grep -q '^State:.T' "/proc/$1/status" 2>/dev/null
}

# The exit code of a background job into $status, as if `run` had run it.
# shellcheck disable=SC2034
await() {
	status=0
	wait "$1" || status=$?
}

# Remembers the pod's cgroup and link, so that lib_teardown can tell whether they are gone.
remember() {
	[ -e "$PODCKPT_ROOT/pods/$1/state.json" ] || return 0
	jq -r '{cgroup, link} | to_entries[] | select(.value != null and .value != "") | "\(.key) \(.value)"' \
		"$PODCKPT_ROOT/pods/$1/state.json" >>"$TRACES"
}

remember_all() {
	local dir

	for dir in "$PODCKPT_ROOT"/pods/*/; do
		[ ! -e "$dir/state.json" ] || remember "$(basename "$dir")"
	done
}

# What is there of the pods that were remembered, a line each. The kernel takes its time for a link, and nobody waits for that.
left_of_pods() {
	local what value

	while read -r what value; do
		case $what in
		cgroup) find /sys/fs/cgroup -maxdepth 4 -type d -path "*$value" -printf 'cgroup %p\n' 2>/dev/null ;;
		link) [ ! -e "/sys/class/net/$value" ] || echo "link $value" ;;
		esac
	done < <(sort -u "$TRACES")
	grep -F "$PODCKPT_ROOT/" /proc/self/mountinfo | sed 's/^/mount /'
	find "$PODCKPT_ROOT/pods" -mindepth 1 -maxdepth 1 -printf '%p\n' 2>/dev/null
}

no_pods_left() {
	[ -z "$(left_of_pods)" ]
}

# Removes every pod of this state directory, checks that nothing is left of them, removes the rest.
lib_teardown() {
	local name left=0

	[ -n "${PODCKPT_ROOT:-}" ] || return 0
	remember_all
	for name in "$PODCKPT_ROOT"/pods/*/; do
		[ -e "$name" ] || continue
		name=$(basename "$name")
		podckpt rm -f "$name" || { echo "left behind: pod $name cannot be removed"; left=1; }
	done
	until_ok 120 no_pods_left || { left_of_pods | sed 's/^/left behind: /'; left=1; }
	rm -f "$TRACES"
	! grep -qF "$PODCKPT_ROOT/" /proc/self/mountinfo || return 1
	rm -rf --one-file-system "$PODCKPT_ROOT" || left=1
	return "$left"
}
