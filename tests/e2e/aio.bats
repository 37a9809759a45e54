#!/usr/bin/env bats
# Asynchronous I/O where a host cannot give it, in images that somebody changed, and where podckpt dies.

bats_require_minimum_version 1.5.0
load helpers

# A pod with a ring of 200 requests, of which 100 events wait, and one of one request.
setup_file() {
	lib_setup aio
	make -s -C "$BUILD" faults tests/victims/aio tests/victims/syscall-thread
	podckpt run -d --name aio --net none -- "$BUILD/tests/victims/aio"
	until_ok 120 is_ready
	podckpt checkpoint -R -o "$BATS_FILE_TMPDIR/aio.tar" aio
	podckpt rm -f aio
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	cp "$BATS_FILE_TMPDIR/aio.tar" .
}

is_ready() {
	[ -e "$(pod_path aio /run/victim.ready)" ]
}

# It finds all as it was.
passes() {
	: >"$(pod_path aio /run/victim.go)"
	assert_equal "$(podckpt wait aio)" 0
	assert_equal "$(podckpt logs aio)" PASS
	podckpt rm aio
}

# edit STATEMENT (see image-edit.py): `small` and `large` are the areas, wherever the kernel has put them.
edit() {
	python3 "$BATS_TEST_DIRNAME/image-edit.py" \
		"areas = [a for a in p['memory']['areas'] if 'aio' in a]; \
		areas.sort(key=lambda a: a['aio']['volatile']['requests']); small, large = areas; $1" <aio.tar >bad.tar
}

is_refused() {
	run -"$1" podckpt restore -d bad.tar
	assert_output --partial "podckpt: restore bad.tar: $2"
	assert_equal "${#lines[@]}" 1
	assert_equal "$(ls "$PODCKPT_ROOT/pods")" ""
}

# with FILE CONTENT COMMAND...: where a file of the kernel's says something else
with() {
	echo "$2" >content
	run unshare -m --propagation private -- sh -c 'mount --bind content "$1" && shift && exec "$@"' sh "$1" "${@:3}"
}

@test "where the kernel does not describe itself, asynchronous I/O is refused, and goes on" {
	podckpt restore -d aio.tar
	with /sys/kernel/btf/vmlinux "" "$PODCKPT" checkpoint -o again.tar aio
	assert_failure 4
	assert_output "podckpt: checkpoint aio: pid 2 (aio): asynchronous I/O (io_setup) is not carried here: this kernel does not describe its types (/sys/kernel/btf); start the program without it (MariaDB and MySQL: --innodb-use-native-aio=0)"
	assert_not_exists again.tar
	passes
}

@test "a host that has too few requests left refuses before anything is made" {
	with /proc/sys/fs/aio-max-nr 200 "$PODCKPT" restore -d aio.tar
	assert_failure 5
	assert_output "podckpt: restore aio.tar: asynchronous I/O (io_setup) of 201 requests is more than this host has left; raise the sysctl fs.aio-max-nr"
	assert_equal "$(ls "$PODCKPT_ROOT/pods")" ""
	podckpt restore -d aio.tar
	passes
}

@test "a changed ring is refused, or is what its program could have made of it" {
	edit 'small["aio"]["tail"] = 1 << 20'
	is_refused 6 "processes[0].memory.areas"
	edit 'small["aio"]["unread"] = -1'
	is_refused 6 "processes[0].memory.areas"
	edit 'small["aio"]["volatile"]["requests"] = 0'
	is_refused 6 "processes[0].memory.areas"
	edit 'small["protection"] = "rwx"'
	is_refused 6 "processes[0].memory.areas"
	edit 'small.update(descriptor=0, shared=True, offset="0x0")'
	is_refused 6 "processes[0].memory.areas"
	edit 'large["start"] = small["start"]'
	is_refused 6 "processes[0].memory.areas"
	edit 'small["aio"]["volatile"]["requests"] = 1 << 31'
	is_refused 5 "asynchronous I/O (io_setup) of 2147483848 requests is more than this host has left"
	# As large as any: its events say something else than its pages.
	edit 'large["aio"].update(tail=0, unread=7)'
	podckpt restore -d bad.tar
	until_ok 120 status_is aio running
	podckpt rm -f aio
	run -7 podckpt restore -d --verify bad.tar
	assert_equal "$(ls "$PODCKPT_ROOT/pods")" ""
}

@test "podckpt is killed while it looks at the kernel's memory: no thread that waits sees EINTR" {
	local fault=$BUILD/tests/faults/fault place
	local checkpoint=("$BUILD/.libs/podckpt" checkpoint -R -o again.tar aio)

	podckpt run -d --name aio --net none -- "$BUILD/tests/victims/syscall-thread"
	until_ok 120 is_ready
	export LD_LIBRARY_PATH=$BUILD/.libs
	"$fault" -l calls -w 0 -- "${checkpoint[@]}"
	# bpf(2), behind the first ptrace(2): the pod is stopped, its threads were read, and no tape has run.
	place=$(awk '$1 == "call" && $3 == 321 { place = $5 } END { print place }' calls)
	run "$fault" -l hits -w 0 -f 101 -p "$place" -n 1 -k -- "${checkpoint[@]}"
	assert_equal "$status" 137
	grep -q '^hit 321 ' hits
	until_ok 120 status_is aio running
	passes
}
