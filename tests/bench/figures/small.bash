# shellcheck shell=bash disable=SC2154
# A pod of one small process, against making seven namespaces for a program that does nothing.

small_pod() {
	local i

	hold small memory 0
	for ((i = 0; i < REPEAT * 4; i++)); do
		timed unshare --fork --pid --mount --net --ipc --uts --cgroup true
		sample unshare "$us"
		checkpoint small
		sample small-dump "$us"
		timed unshare --fork --pid --mount --net --ipc --uts --cgroup true
		sample unshare "$us"
		restore small
		sample small-restore "$us"
	done
	row "checkpoint of a small pod" ms "$(calc "$(median small-dump) / 1000")" \
		"$(calc "$(median unshare) / 1000")" 8 "unshare true"
	row "restore of a small pod" ms "$(calc "$(median small-restore) / 1000")" \
		"$(calc "$(median unshare) / 1000")" 8 "unshare true"
	podckpt rm -f small >/dev/null
}

small_pod
