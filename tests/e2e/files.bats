#!/usr/bin/env bats
# What an image carries of files, and what it does with those of the host it comes to.

bats_require_minimum_version 1.5.0
load helpers

# A tree with bash and what it needs, as if of another host. $1: the directory
small_tree() {
	local file lib

	mkdir -p "$1"/{bin,etc,data/deep,tmp,proc,sys,dev,run}
	for file in bash cat ls sleep; do
		cp -L "$(command -v "$file")" "$1/bin/"
		for lib in $(ldd "$(command -v "$file")" | grep -o '/[^ ]*'); do
			mkdir -p "$1$(dirname "$lib")"
			cp -L "$lib" "$1$lib"
		done
	done
	echo original >"$1/data/deep/file"
	echo same >"$1/data/same"
}

# A pod over it that holds two of its files open and, told so, shows what it sees. $1: the tree
holder() {
	podckpt run -d --net none --name holder --rootfs "$1" -- /bin/bash -c '
		exec 5</data/deep/file 6</data/same
		echo holding
		while [ ! -e /run/go ]; do /bin/sleep 0.1; done
		/bin/cat <&5; /bin/cat <&6; /bin/cat /data/deep/file /data/other'
	wait_output holder holding
}

go() {
	touch "$(pod_path "$1" /run/go)"
	podckpt wait "$1"
}

@test "files of the host that the pod has open or mapped come with the image" {
	small_tree tree
	holder "$PWD/tree"
	podckpt checkpoint holder
	# Another host: no such file, another sleep, a file more.
	rm -r tree/data/deep
	cp "$(type -P true)" tree/bin/sleep
	echo other >tree/data/other
	run podckpt restore -d --verify holder.tar
	assert_success
	go holder
	run podckpt logs holder
	assert_output - <<-END
		holding
		original
		same
		original
		other
	END
}

@test "files that the host has just so are not copied into the pod" {
	small_tree tree
	holder "$PWD/tree"
	podckpt checkpoint holder
	run tar tf holder.tar rootfs/embedded
	assert_line rootfs/embedded/0/data/deep/file
	assert_line rootfs/embedded/0/bin/bash
	refute_line rootfs/embedded/0/bin/ls
	echo changed >tree/data/deep/file
	podckpt restore -d holder.tar
	run find "$PODCKPT_ROOT/pods/holder/upper/0/data" -type f -not -path '*/etc/*'
	assert_output "$PODCKPT_ROOT/pods/holder/upper/0/data/data/deep/file"
}

@test "a tree where the host has a file instead of a directory is refused" {
	small_tree tree
	holder "$PWD/tree"
	podckpt checkpoint holder
	rm -r tree/data/deep
	echo file >tree/data/deep
	run -5 podckpt restore -d holder.tar
	assert_output "podckpt: restore holder.tar: rootfs/embedded/0/data/deep/file: the pod has a file in '/data/deep', which on this host is no directory; restore with --rootfs over a tree like that of the other host"
	run podckpt ps -q
	assert_output ""
}

@test "what the pod wrote to a volume stays there, also a deleted file that it has open" {
	mkdir volume
	podckpt run -d --net none --name v -v "$PWD/volume:/mnt" -- bash -c '
		exec 5<>/mnt/kept 6<>/mnt/gone
		echo before >&5; echo deleted >&6; rm /mnt/gone
		echo holding
		while [ ! -e /run/go ]; do sleep 0.1; done
		echo after >&5
		cat /proc/self/fd/6
		readlink /proc/self/fd/6'
	wait_output v holding
	podckpt checkpoint v
	run tar tf v.tar rootfs
	refute_output --partial kept
	podckpt restore -d --verify -v "$PWD/volume:/mnt" v.tar
	go v
	run podckpt logs v
	assert_output - <<-END
		holding
		deleted
		/mnt/gone (deleted)
	END
	assert_equal "$(cat volume/kept)" "before
after"
	assert_equal "$(ls volume)" kept
}

@test "a pod over a read-only root is carried" {
	podckpt run -d --net none --name r --read-only -- bash -c '
		echo text >/dev/shm/file
		exec 5</etc/hostname 6</dev/shm/file
		echo holding
		while [ ! -e /run/go ]; do sleep 0.1; done
		cat <&5; cat <&6; ! touch /etc/new'
	wait_output r holding
	podckpt checkpoint r
	podckpt restore -d --verify r.tar
	go r
	run podckpt logs r
	assert_line r
	assert_line text
	assert_line --partial "Read-only file system"
}
