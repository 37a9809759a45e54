#!/usr/bin/env bats
# Names, sizes and trees at the edge of what can be: each works through a checkpoint, or is told in one line.

bats_require_minimum_version 1.5.0
load helpers

@test "a program runs, and is carried, where the path has spaces, quotes, line breaks and letters of all kinds" {
	local dir=$'sp ace/new\nline/ü∂—\x01/"q\'\\'

	mkdir -p "$dir"
	cp "$(type -P sleep)" "$dir/sl eep"
	cat >"$dir/server" <<-'EOF'
		#!/bin/sh
		while :; do pwd; "./sl eep" 0.1; done
	EOF
	chmod +x "$dir/server"
	cd "$dir" || return 1
	podckpt run -d --name odd --net none -- ./server
	wait_output odd "ü∂"
	podckpt checkpoint odd
	podckpt restore -d --verify odd.tar
	podckpt checkpoint odd
	podckpt restore -d --verify odd.tar
	run podckpt logs odd
	assert_output --partial "$dir"
}

@test "a megabyte of arguments and one of environment come back" {
	local long arguments=() variables=() i

	long=$(printf '%0120000d' 7)
	for i in 1 2 3 4 5 6 7 8 9; do
		arguments+=("$long")
		variables+=("V$i=$long")
	done
	podckpt run -d --name a --net none -- \
		bash -c 'while :; do echo $# ${#1} ${#9}; sleep 0.1; done' x "${arguments[@]}"
	printf '%s\n' "${variables[@]}" >settings
	podckpt run -d --name e --net none --env-file settings -- \
		bash -c 'while :; do echo ${#V1} ${#V9}; sleep 0.1; done'
	wait_output a "9 120000 120000"
	wait_output e "120000 120000"
	for i in a e; do
		podckpt checkpoint "$i"
		podckpt restore -d --verify "$i.tar"
	done
	run podckpt exec a -- sh -c 'tr -d "\0" </proc/2/cmdline | wc -c'
	assert [ "$output" -gt 1080000 ]
	run podckpt exec e -- sh -c 'tr -d "\0" </proc/2/environ | wc -c'
	assert [ "$output" -gt 1080000 ]
}

@test "a file that no path leads to, being too long, is refused by name" {
	podckpt run -d --name deep --net none -- bash -c 'cd /var/tmp
		p=$(printf "d%.0s" {1..200})
		for i in {1..25}; do mkdir $p; cd $p; done
		echo x >file
		exec 5<file
		cd /
		echo ready
		exec sleep 1000'
	wait_output deep ready
	run podckpt checkpoint deep
	assert_failure 4
	assert_output "podckpt: checkpoint deep: pid 2 (sleep): fd 5: a file whose path is longer than the kernel can tell is not carried"
	# The files themselves are carried, however deep they are.
	podckpt run -d --name files --net none -- bash -c 'cd /var/tmp
		p=$(printf "d%.0s" {1..200})
		for i in {1..25}; do mkdir $p; cd $p; done
		echo deep >file
		cd /
		echo ready
		exec sleep 1000'
	wait_output files ready
	podckpt checkpoint files
	podckpt restore -d --verify files.tar
	run podckpt exec files -- bash -c 'cd /var/tmp
		for i in {1..25}; do cd d*; done
		cat file'
	assert_output deep
}

@test "a process that the memory limit ended is gone for good, the others go on under the same limit" {
	podckpt run -d --name oom --net none --memory 60m -- bash -c 'n=0
		while n=$((n + 1)); do
			python3 -c "x = bytearray(200 << 20)"
			echo "attempt $n: $?"
			sleep 0.1
		done'
	wait_output oom "attempt 2: 137"
	podckpt checkpoint oom
	podckpt restore -d --verify oom.tar
	local n
	n=$(podckpt logs oom | grep -c attempt)
	wait_output oom "attempt $((n + 2)): 137"
	run podckpt logs oom
	refute_output --regexp "attempt [0-9]+: 0"
}

@test "a tree without a C library, a shell or /etc is a root too" {
	cat >hello.c <<-'EOF'
		#include <stdio.h>
		#include <unistd.h>
		int main(void)
		{
			for (int i = 1;; i++) {
				printf("count %d %d\n", i, access("/etc/passwd", F_OK));
				fflush(stdout);
				usleep(100000);
			}
		}
	EOF
	mkdir tree empty
	cc -static -o tree/hello hello.c
	podckpt run -d --name bare --net none --rootfs tree -- /hello
	wait_output bare "count 3 -1"
	podckpt checkpoint bare
	podckpt restore -d --verify bare.tar
	wait_output bare "count $(($(podckpt logs bare | wc -l) + 3)) -1"
	assert_equal "$(ls -A tree)" hello
	run -127 podckpt run --net none --rootfs empty -- sh
	assert_failure 127
	run podckpt run --net none --rootfs nothing -- sh
	assert_failure 125
	assert_output "podckpt: run: root file system 'nothing': No such file or directory"
	run podckpt run --net none --rootfs hello.c -- sh
	assert_failure 125
	assert_output "podckpt: run: root file system 'hello.c' is not a directory"
}

@test "host names and directories that cannot be are told before anything is made" {
	local name

	for name in "$(printf 'h%.0s' {1..65})" "a b" ""; do
		run podckpt run --net none --hostname "$name" -- true
		assert_failure 125
		assert_output "podckpt: run: '$name' is not a host name"
	done
	name=$(printf 'h%.0s' {1..64})
	run podckpt run --rm --net none --hostname "$name" -- hostname
	assert_output "$name"
	run podckpt run --net none -w /not/there -- true
	assert_failure 125
	assert_output "podckpt: run: working directory '/not/there' in the pod: No such file or directory"
	run podckpt run --net none -w relative -- true
	assert_failure 125
	run podckpt ps -q
	assert_output ""
}

@test "a user has the groups that the pod's files give it" {
	mkdir tree tree/etc
	cat >ids.c <<-'EOF'
		#include <stdio.h>
		#include <unistd.h>
		int main(void)
		{
			gid_t groups[32];
			int n = getgroups(32, groups);
			printf("%d %d", (int)getuid(), (int)getgid());
			for (int i = 0; i < n; i++)
				printf(" %d", (int)groups[i]);
			puts("");
		}
	EOF
	cc -static -o tree/ids ids.c
	printf 'root:x:0:0::/:/bin/sh\nsome:x:77:78::/:/bin/sh\n' >tree/etc/passwd
	printf 'one:x:5:other,some\ntwo:x:6:someone\nthree:x:7:some\nown:x:78:\n' >tree/etc/group
	run podckpt run --rm --net none --rootfs tree -u some -- /ids
	assert_output "77 78 5 7 78" # as the kernel sorts them
	run podckpt run --rm --net none --rootfs tree -u some:one -- /ids
	assert_output "77 5"
	run podckpt run --rm --net none --rootfs tree -u 99:98 -- /ids
	assert_output "99 98"
}
