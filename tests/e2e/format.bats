#!/usr/bin/env bats
# docs/FORMAT.md lists every field that the manifests of some pods have.

bats_require_minimum_version 1.5.0
load helpers

FORMAT=$BATS_TEST_DIRNAME/../../docs/FORMAT.md

VICTIMS=$BATS_TEST_DIRNAME/../victims

unlisted() {
	tar xOf image.tar manifest.json | python3 "$BATS_TEST_DIRNAME/format-keys.py" "$1"
}

# The running pod's manifest, against the format.
listed() {
	podckpt checkpoint -R -o image.tar "$1" || return 1
	run unlisted "$FORMAT"
	assert_output ''
	assert_success
}

is_ready() {
	[ -e "$(pod_path victim /run/victim.ready)" ]
}

@test "the format lists the fields of a sleeping program" {
	podckpt run -d --name pod --user nobody -w / --memory 512M --read-only -v "$PWD:/mnt:ro" -- sleep 1000
	listed pod
}

@test "the format lists the fields of redis-server" {
	podckpt run -d --name pod -- redis-server --save '' --protected-mode no
	wait_output pod "Ready to accept connections"
	listed pod
}

@test "the format lists the fields of a shell on a terminal with a job" {
	podckpt run -d -it --name pod --net none -e PS1='ready> ' -- bash --norc -i
	{
		echo "spawn $PODCKPT attach pod"
		printf '%s\n' 'send sleep 98765 &\n' 'expect ready>' 'send \x10\x11' 'end 0'
	} | python3 "$BATS_TEST_DIRNAME/pty-driver.py" 300
	listed pod
}

@test "the format lists the fields of Python with threads and children" {
	podckpt run -d --name pod --net none -- python3 "$BATS_TEST_DIRNAME/programs/pipeline.py"
	until_ok 120 output_has pod "passed 300"
	listed pod
}

@test "the format lists the fields of the victims" {
	local name options

	for name in aio epoll-edge file-deleted-shared file-memfd fifo fs-cwd-removed inotify lock-ofd lock-posix \
		    netlink-route pidfd pipe-packets process-attributes sched-policy seccomp-strict \
		    signal-altstack signal-pending signalfd tcp-error-live tcp-error-opening tcp-error-silence tcp-half-closed tcp-listen \
		    tcp-orphan-options tcp-request tcp-time-wait tcp-waiting tcp-waiting-reset thread-rseq timer-posix timerfd-ticks \
		    tty-input udp-error-queue udp-multicast unix-peer-gone unix-pending unix-pending-data unix-rights; do
		echo "-- $name"
		mapfile -t options < <(sed -n 's,^/\* run: \(.*\) \*/$,\1,p' "$VICTIMS/$name.c" | xargs -rn1)
		podckpt run -d --name victim --net none -w /var/tmp "${options[@]}" -- "$BUILD/tests/victims/$name"
		until_ok 120 is_ready
		listed victim
		podckpt rm -f victim
	done
}

@test "a field that the format does not list is found" {
	podckpt run -d --name pod --net none -- sleep 1000
	podckpt checkpoint -R -o image.tar pod
	sed -e '/^| umask /d' -e 's/ r15 / /' -e '/^| hostname /d' "$FORMAT" >less.md
	run unlisted less.md
	assert_failure 1
	assert_output "$(printf '%s\n' 'fs: umask' 'pod: hostname' 'processes: r15')"
}
