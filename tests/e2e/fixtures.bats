#!/usr/bin/env bats
# What earlier versions wrote is read: images and state on disk (tests/fixtures/README.md).

bats_require_minimum_version 1.5.0
load helpers

FIXTURES=$BATS_TEST_DIRNAME/../fixtures

# What this host would say to the image "$1": the words of a refusal, or nothing where it can be restored.
verdict() {
	podckpt run -d --name here --net none -- sleep 1000 >/dev/null
	podckpt checkpoint -o here.tar here >/dev/null
	jq -rn --slurpfile image <(tar xOf "$1" manifest.json) --slurpfile here <(tar xOf here.tar manifest.json) '
		$image[0].host as $i | $here[0].host as $h | ($i.cpu - $h.cpu)[0] as $lacking |
		if $lacking then "this host\u0027s CPU lacks \u0027\($lacking)\u0027, which the pod\u0027s programs may use"
		elif $i.xstate_size > $h.xstate_size then
			"this host\u0027s CPU has less register state than the image needs"
		elif $i.vdso != $h.vdso then
			"this kernel\u0027s vdso differs from that of the image (kernel \($i.kernel), here \($h.kernel)); restore on a host with the same kernel"
		else empty end'
}

# The image runs on to its own end: every page is as it was.
runs_to_its_end() {
	local path

	path=$(pod_path fixture /run/victim.go) && : >"$path"
	assert_equal "$(podckpt wait fixture)" 0
	output_has fixture PASS
}

@test "an image of format 1 is told about" {
	run -0 podckpt inspect "$FIXTURES/pod-1.tar"
	assert_equal "$(jq -c '[.format, .pod.name, .pod.command[0], .main, (.processes | length)]' <<<"$output")" \
		'[1,"fixture","/program",2,1]'
}

@test "an image of format 1 is restored, or refused by what this host lacks" {
	local words

	words=$(verdict "$FIXTURES/pod-1.tar")
	mkdir root
	# The filter is that of a libseccomp of its time.
	run podckpt restore -d --verify --rootfs "$PWD/root" --seccomp unconfined "$FIXTURES/pod-1.tar"
	if [ -n "$words" ]; then
		assert_failure 5
		assert_line "podckpt: restore $FIXTURES/pod-1.tar: $words"
	else
		assert_success
		runs_to_its_end
	fi
}

@test "an image of another kernel is refused by its vdso" {
	python3 "$BATS_TEST_DIRNAME/image-edit.py" "m['host'].update(vdso='0x1', cpu=[], xfeatures='0x0', xstate_size=0, kernel='5.10.0-x')" \
		<"$FIXTURES/pod-1.tar" >other.tar
	run -5 podckpt restore -d other.tar
	assert_output "podckpt: restore other.tar: this kernel's vdso differs from that of the image (kernel 5.10.0-x, here $(uname -r)); restore on a host with the same kernel"
}

@test "the state of pods is read, told about and removed" {
	cp -r "$FIXTURES/state-1/ended" "$FIXTURES/state-1/lost" "$PODCKPT_ROOT/pods/"
	run -0 podckpt ps -a --format json
	assert_equal "$(jq -c '.pods | map([.name, .status, .exit_code])' <<<"$output")" \
		'[["ended","exited",7],["lost","exited",137]]'
	run -0 podckpt inspect ended
	assert_equal "$(jq -rc '[.config.command[2], .state.exit_code] // .' <<<"$output")" '["echo some words; exit 7",7]'
	run -0 podckpt logs ended
	assert_output "some words"
	run -0 podckpt wait ended
	assert_output 7
	podckpt rm ended lost
	assert_equal "$(ls -A "$PODCKPT_ROOT/pods")" ""
}
