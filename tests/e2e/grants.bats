#!/usr/bin/env bats
# An image is untrusted: it gets no more than `podckpt run` would give, and says all that it lacks.

bats_require_minimum_version 1.5.0
load helpers

# An image of a sleeping pod.
image() {
	podckpt run -d --name c --net none "$@" -- sleep 1000
	podckpt checkpoint c
}

# edit STATEMENT: changes the manifest `m`; `p` is its process, `t` that one's thread.
edit() {
	python3 "$BATS_TEST_DIRNAME/manifest-edit.py" "p = m['processes'][0]; t = p['threads'][0]; $1" <c.tar >bad.tar
}

# is_refused CODE LINE...: exactly these lines, and nothing is left.
is_refused() {
	local code=$1

	shift
	run podckpt restore -d "${OPTIONS[@]}" bad.tar
	assert_output "$(printf 'podckpt: restore bad.tar: %s\n' "$@")"
	assert_failure "$code"
	run podckpt ps -q
	assert_output ""
}

OPTIONS=()
PROCESS='pid 2 (sleep): '

@test "what run gives only by an option has to be given again, and is told all at once" {
	mkdir data
	podckpt run -d --name r --net host --cap-add net_admin --cap-add sys_nice --seccomp unconfined \
		-v ./data:/mnt:ro -- sleep 1000
	podckpt checkpoint r
	cp r.tar bad.tar
	is_refused 12 \
		"the pod has capabilities beyond those of a new one; grant them with --cap-add net_admin --cap-add sys_nice" \
		"the pod has no system call filter; grant that with --seccomp unconfined" \
		"the pod is in the host's network; grant that with --net host" \
		"the pod has a volume at '/mnt' (it was '$PWD/data'); say what is to be there: -v SOURCE:/mnt:ro"
	OPTIONS=(--cap-add NET_ADMIN -v "$PWD/data:/mnt" --net host)
	is_refused 12 \
		"the pod has capabilities beyond those of a new one; grant them with --cap-add sys_nice" \
		"the pod has no system call filter; grant that with --seccomp unconfined"
	podckpt restore -d --verify "${OPTIONS[@]}" --cap-add sys_nice --seccomp unconfined r.tar
	assert_equal "$(podckpt exec r -- readlink /proc/self/ns/net)" "$(readlink /proc/self/ns/net)"
	assert_equal "$(podckpt exec r -- sed -n 's/^Seccomp:\t//p' /proc/self/status)" 0
}

@test "a pod that was given all capabilities gets them back by one word" {
	image --cap-add all
	cp c.tar bad.tar
	is_refused 12 "the pod has capabilities beyond those of a new one; grant them with --cap-add all"
	podckpt restore -d --verify --cap-add all c.tar
}

@test "a profile of the pod's own has to be given again" {
	echo '{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
		{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" } ] }' >profile.json
	sed 's/"mkdirat"/"rmdir"/' profile.json >other.json
	image --seccomp profile.json
	cp c.tar bad.tar
	is_refused 12 "the pod has a system call filter of its own; grant it with --seccomp FILE (its profile) or --seccomp unconfined"
	OPTIONS=(--seccomp other.json)
	is_refused 12 "the pod has a system call filter of its own, which is not the file that was given; grant it with --seccomp FILE (its profile) or --seccomp unconfined"
	podckpt restore -d --verify --seccomp profile.json c.tar
	run podckpt exec c -- mkdir /tmp/x
	assert_failure 1
	podckpt rm -f c
	podckpt restore -d --verify --seccomp unconfined c.tar
}

@test "no process of an image goes without the pod's system call filter" {
	image
	edit "t['seccomp'] = {}"
	is_refused 12 "${PROCESS}it runs without the pod's system call filter; grant that with --seccomp unconfined"
	# One instruction that allows everything.
	edit "m['seccomp_filters'][0]['program'] = {'base64': 'BgAAAAAA/38='}"
	is_refused 12 "${PROCESS}its system call filter is not the one that podckpt makes for such a pod here (was it another version?); grant it with --seccomp unconfined"
}

@test "no process of an image has capabilities that its pod has not" {
	local set

	image
	for set in permitted inheritable bounding; do
			edit "t['credentials']['$set'] = '0x1fffffffff'"
		run podckpt restore -d bad.tar
		assert_failure 6
		assert_output --regexp "^podckpt: restore bad.tar: (manifest.json: )?processes\[0\]\.threads\[0\]\.credentials: capabilities that the pod does not have$"
	done
	for set in effective ambient; do
			edit "t['credentials']['$set'] = '0x1fffffffff'"
		run podckpt restore -d bad.tar
		assert_failure 6
		assert_output --regexp "^podckpt: restore bad.tar: (manifest.json: )?processes\[0\]\.threads\[0\]\.credentials: capability sets that no thread can have$"
	done
	run podckpt ps -q
	assert_output ""
}

@test "no process of an image has a rank that its pod could not give it" {
	image
	edit "t['scheduling'].update(policy='fifo', priority=50)
p['limits']['RTPRIO'] = [0, 99]
p['process']['oom_score_adj'] = -1000"
	is_refused 12 \
		"${PROCESS}its oom_score_adj -1000 is below podckpt's own; start podckpt with that, or grant it with --cap-add sys_resource" \
		"${PROCESS}it has a real-time scheduling policy; grant that with --cap-add sys_nice" \
		"the pod has a hard limit RLIMIT_RTPRIO of 99, podckpt has $(ulimit -Hr) here; start it with a higher one, or grant that with --cap-add sys_resource"
	edit "t['scheduling']['nice'] = -20"
	is_refused 12 "${PROCESS}it has a nice value below podckpt's own; grant that with --cap-add sys_nice"
	edit "t['scheduling']['io_priority'] = 8192"
	is_refused 12 "${PROCESS}it has a real-time I/O priority; grant that with --cap-add sys_nice"
}

@test "an image shows no part of the host that a new pod does not see" {
	local at

	mkdir real
	ln -s real link
	image
	for at in "$PODCKPT_ROOT/pods" /proc /sys/kernel /dev "$PWD/link"; do
			edit "m['pod']['trees'] = [m['pod']['trees'][0], dict(lower='$at', at='$at', plain=True)]"
		is_refused 12 "the pod sees '$at' of the host at '$at', which no new pod does; say what it is to see with --rootfs DIR"
			edit "m['pod']['trees'] = [dict(lower='$at', at='/', plain=False)]"
		is_refused 12 "the pod sees '$at' of the host at '/', which no new pod does; say what it is to see with --rootfs DIR"
	done
	edit "m['pod']['trees'] = [m['pod']['trees'][0], dict(lower='/', at='/mnt', plain=False)]"
	is_refused 12 "the pod sees '/' of the host at '/mnt', which no new pod does; say what it is to see with --rootfs DIR"
	podckpt restore -d --verify c.tar
}

@test "a restored pod is as confined as a new one" {
	podckpt run -d --name c --net none -- sleep 1000
	look() {
		podckpt exec c -- sh -c 'grep -E "^(Cap|Seccomp|NoNewPrivs)" /proc/2/status; sed "s/^[0-9]* [0-9]* [0-9:]* //;
			s/ shared:[0-9]*//; s/ master:[0-9]*//; s/workdir=[^,]*//" /proc/self/mountinfo; ls -l /proc/kcore /proc/sys/kernel/hostname;
			cat /proc/timer_list /proc/keys | wc -c; echo x >/proc/sys/kernel/hostname; cat /proc/self/oom_score_adj' 2>&1 |
			sed 's/[A-Z][a-z][a-z] [0-9 :]* \//\//'
		cat "/proc/$(jq .pid1.pid "$PODCKPT_ROOT/pods/c/state.json")/limits"
	}
	look >before
	assert [ "$(wc -l <before)" -gt 20 ]
	podckpt checkpoint c
	podckpt restore -d c.tar
	look >after
	diff -u before after
}
