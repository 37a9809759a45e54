#!/usr/bin/env bats
# podckpt run: what a pod is.

bats_require_minimum_version 1.5.0
load helpers

@test "the exit code of the command is podckpt's" {
	run podckpt run --net none -- sh -c 'exit 42'
	assert_failure 42
	run podckpt run --net none -- true
	assert_success
	run podckpt run --net none -- sh -c 'kill -TERM $$'
	assert_failure 143
}

@test "a command that is not there returns 127, one that cannot be executed 126" {
	run -127 podckpt run --net none -- /no/such/program
	assert_failure 127
	assert_output --partial "/no/such/program"
	run -127 podckpt run --net none -- no-such-program-anywhere
	assert_failure 127
	echo text >file
	run podckpt run --net none -- ./file
	assert_failure 126
	run podckpt ps -q
	assert_output ""
}

@test "standard streams are the pod's, apart from each other" {
	podckpt run --net none -- sh -c 'echo out; echo err >&2' >out 2>err
	assert_equal "$(cat out)" out
	assert_equal "$(cat err)" err
}

@test "-i passes standard input on, to its end" {
	run bash -c 'printf "one\ntwo\n" | "$PODCKPT" run -i --net none -- sort -r'
	assert_success
	assert_output $'two\none'
}

@test "without -i the command reads an empty standard input" {
	run bash -c 'echo secret | "$PODCKPT" run --net none -- cat'
	assert_success
	assert_output ""
}

@test "large output passes whole" {
	podckpt run --net none -- sh -c 'seq 300000' >out
	seq 300000 | cmp - out
}

@test "-d prints the name and leaves the pod running" {
	run podckpt run -d --net none -- sleep 1000
	assert_success
	assert [ "$(wc -w <<<"$output")" -eq 1 ]
	assert_equal "$(pod_field "$output" status)" running
}

@test "a name is taken once" {
	podckpt run -d --name a --net none -- sleep 1000
	run podckpt run -d --name a --net none -- sleep 1000
	assert_failure 8
	assert_output --partial "podckpt: run a: "
	run podckpt run -d --name '../x' --net none -- true
	assert_failure 2
}

@test "the pod has its own PIDs and nothing of the host's" {
	run podckpt run --net none -- sh -c 'echo $$; ps -A -o pid= -o comm= | wc -l'
	assert_success
	assert_line --index 0 2
	assert [ "${lines[1]}" -le 6 ]
}

@test "with --no-init the command is PID 1" {
	run podckpt run --no-init --net none -- sh -c 'echo $$'
	assert_success
	assert_output 1
}

@test "every namespace is the pod's own" {
	local ns

	for ns in pid mnt net ipc uts time cgroup; do
		run podckpt run --net none -- readlink "/proc/self/ns/$ns"
		assert_success
		assert_output --partial "$ns:["
		refute_output "$(readlink "/proc/self/ns/$ns")"
	done
}

@test "the pod sees the host's files where its user is" {
	echo "of the host" >file
	run podckpt run --net none -- cat file
	assert_success
	assert_output "of the host"
	cp "$(type -P true)" ./mine
	podckpt run --net none -- ./mine
}

@test "also on a tmpfs such as /tmp" {
	local dir

	dir=$(mktemp -d /tmp/podckpt-e2e.XXXXXX)
	echo here >"$dir/file"
	cd "$dir"
	run podckpt run --net none -- sh -c 'cat file; pwd; echo new >file; cat file'
	cd /
	assert_equal "$(cat "$dir/file")" here
	rm -r "$dir"
	assert_success
	assert_output "here
$dir
new"
}

@test "nothing the pod writes reaches the host" {
	echo before >file
	run podckpt run --net none -- sh -c 'echo after >file; rm -f /etc/hostname; mkdir /new; echo x >/new/x; cat file /new/x'
	assert_success
	assert_output $'after\nx'
	assert_equal "$(cat file)" before
	assert_not_exist /new
	[ ! -e /etc/hostname ] || assert_exist /etc/hostname
}

@test "a volume is the way to write outside, and :ro is not" {
	mkdir out
	podckpt run --net none -v ./out:/out -- sh -c 'echo kept >/out/file'
	assert_equal "$(cat out/file)" kept
	run podckpt run --net none -v "$PWD/out:/out:ro" -- sh -c 'cat /out/file; echo x >/out/file'
	assert_failure
	assert_output --partial kept
	assert_output --partial "Read-only"
	assert_equal "$(cat out/file)" kept
}

@test "a pod whose state directory lies in a volume of it is checkpointed and restored" {
	podckpt run -d --name inner --net none -v "$PODCKPT_ROOT:/state" -- sleep 1000
	podckpt exec inner -- sh -c 'test -d /state/pods/inner && ! test -e /state/pods/inner/proc'
	podckpt checkpoint -o inner.tar inner
	podckpt restore -d --verify -v "$PODCKPT_ROOT:/state" inner.tar
	podckpt exec inner -- test -d /state/pods/inner
}

@test "one file can be a volume" {
	echo one >file
	podckpt run --net none -v ./file:/etc/one -- sh -c 'cat /etc/one; echo two >/etc/one'
	assert_equal "$(cat file)" two
}

@test "--rootfs is another tree, copy-on-write" {
	mkdir -p tree/bin tree/lib64 tree/etc
	cp "$(command -v busybox || echo /bin/sh)" tree/bin/sh
	ldd tree/bin/sh | grep -o '/[^ ]*' | while read -r lib; do
		mkdir -p "tree$(dirname "$lib")"
		cp -L "$lib" "tree$lib"
	done || true
	echo inside >tree/etc/name
	run podckpt run --net none --rootfs ./tree -w / -- /bin/sh -c 'read x </etc/name; echo $x; echo new >/etc/name'
	assert_success
	assert_output inside
	assert_equal "$(cat tree/etc/name)" inside
}

@test "--read-only keeps the root as it is" {
	run podckpt run --net none --read-only -- sh -c 'echo x >/etc/x'
	assert_failure
	assert_output --partial "Read-only"
}

@test "/proc, /sys, /dev and /run are the pod's own" {
	run podckpt run --net none -- sh -c 'echo x >/run/x && echo x >/dev/shm/x && cat /run/x'
	assert_success
	run podckpt run --net none -- sh -c 'echo x >/sys/kernel/mm/ksm/run'
	assert_failure
	run podckpt run --net none -- sh -c 'ls -A /run /dev/shm; ls /dev'
	assert_success
	assert_output --partial null
	refute_output --partial vda
	run podckpt run --net none -- sh -c 'ls -d /proc/[0-9]* | wc -l'
	assert [ "$output" -le 8 ]
}

@test "the environment is the caller's where it matters, and -e and --env-file on top" {
	printf '# comment\n\nFROM_FILE=1\nBOTH=file\nINHERITED\n' >settings
	INHERITED=yes SECRET=no BOTH=host run podckpt run --net none -e BOTH=option -e NOT_THERE --env-file settings -- env
	assert_success
	assert_line "PATH=$PATH"
	assert_line "HOME=$HOME"
	assert_line FROM_FILE=1
	assert_line BOTH=option
	assert_line INHERITED=yes
	refute_output --partial SECRET
	refute_output --partial NOT_THERE
	refute_output --partial PODCKPT_ROOT
}

@test "-w chooses the directory, the default is the current one" {
	run podckpt run --net none -- pwd
	assert_output "$PWD"
	run podckpt run --net none -w /usr/share -- pwd
	assert_output /usr/share
}

@test "-u chooses user and group, by name and by number" {
	run podckpt run --net none -w / -u nobody -- id -un
	assert_success
	assert_output nobody
	run podckpt run --net none -w / -u 1234:4321 -- sh -c 'id -u; id -g'
	assert_success
	assert_output $'1234\n4321'
	run podckpt run --net none -w / -u no-such-user -- true
	assert_failure 125
	assert_output --partial no-such-user
}

@test "--hostname sets the host name, the default is the pod's name" {
	run podckpt run --net none --hostname box -- uname -n
	assert_output box
	run podckpt run --net none --name pod7 -- uname -n
	assert_output pod7
}

@test "-t gives the command a terminal of its own, with the size of the caller's" {
	run script -qec "stty rows 33 cols 99; '$PODCKPT' run -it --net none -- sh -c 'tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all'" /dev/null
	assert_success
	assert_output --regexp '/dev/(pts/0|console)'
	assert_output --partial "33 99"
	assert_output --partial all
}

@test "limits of memory, CPU time and tasks are set" {
	run podckpt run --net none --pids 20 -- sh -c 'for i in $(seq 40); do sleep 5 & done; wait'
	assert_output --partial "fork"
	run podckpt run --net none --memory 64m -- python3 -c 'b = bytearray(200 << 20); print(len(b))'
	assert_failure
	refute_output --partial 209715200
}

@test "capabilities are those of container engines, and can be changed" {
	# CAP_SYS_ADMIN is bit 21, CAP_CHOWN bit 0.
	caps() { podckpt run --net none "$@" -- sh -c 'grep CapEff /proc/self/status' | cut -f2; }
	assert_equal $((0x$(caps) >> 21 & 1)) 0
	assert_equal $((0x$(caps) & 1)) 1
	assert_equal $((0x$(caps --cap-add sys_admin) >> 21 & 1)) 1
	assert_equal $((0x$(caps --cap-drop CAP_CHOWN) & 1)) 0
	assert_equal "$(caps --cap-drop all)" 0000000000000000
	run podckpt run --net none --cap-add frobnicate -- true
	assert_failure 125
	assert_output --partial frobnicate
}

@test "the default filter denies what engines deny, unconfined does not" {
	run podckpt run --net none -- grep Seccomp: /proc/self/status
	assert_output --partial 2
	run podckpt run --net none --seccomp unconfined -- grep Seccomp: /proc/self/status
	assert_output --partial 0
	run podckpt run --net none --seccomp /nothing-there -- true
	assert_failure 125
	assert_output --partial /nothing-there
}

@test "orphans are reaped and the pod lives until its last process" {
	run podckpt run --net none -- sh -c '(sleep 0.5; echo late) & echo early'
	assert_success
	assert_output $'early\nlate'
}

@test "--rm removes the pod when it ends" {
	podckpt run --rm --net none -- true
	run podckpt ps -q
	assert_output ""
	podckpt run -d --rm --name gone --net none -- true
	until_fails 120 bash -c '"$PODCKPT" ps -q | grep -q gone'
}

@test "a signal to podckpt run reaches the command" {
	"$PODCKPT" run --net none -- sh -c 'trap "echo got it; exit 5" TERM; echo ready; while :; do sleep 0.1; done' >out &
	until_ok 120 grep -q ready out
	kill -TERM $!
	await $!
	assert_equal "$status" 5
	assert_equal "$(tail -n 1 out)" "got it"
}

@test "a detached pod outlives the terminal and the session it was started from" {
	setsid "$PODCKPT" run -d --name stays --net none -- sleep 1000
	until_ok 120 status_is stays running
	assert_equal "$(podckpt exec stays -- cat /proc/2/comm)" sleep
}

@test "when podckpt run is killed, its pod goes on" {
	"$PODCKPT" run --name on --net none -- sleep 1000 &
	until_ok 120 status_is on running
	kill -KILL $!
	sleep 0.3
	assert status_is on running
}
