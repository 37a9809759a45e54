#!/usr/bin/env bats
# An image is untrusted: whoever wrote it, it is restored rightly or refused in one line, and then nothing was made.
#
# The changes are a sample, spread by a seed that is printed; FULL=1 tries all of them (hours), COUNT=N that many,
# SEED=N others.

bats_require_minimum_version 1.5.0
load helpers

# An image of a small pod that holds something of most kinds.
setup_file() {
	local mixed

	lib_setup hostile
	make -s -C "$BUILD" tests/victims/mixed tests/victims/mem-nolibc
	# Its cgroups are looked for by this name, which nobody else has.
	mixed=mixed-${PODCKPT_ROOT##*.}
	podckpt run -d --name "$mixed" --net none -w /var/tmp -- "$BUILD/tests/victims/mixed"
	until_ok 120 is_ready "$mixed"
	podckpt checkpoint -o "$BATS_FILE_TMPDIR/mixed.tar" "$mixed"
	podckpt run -d --name small --net none -w /var/tmp -- "$BUILD/tests/victims/mem-nolibc"
	until_ok 120 is_ready small
	podckpt checkpoint -o "$BATS_FILE_TMPDIR/small.tar" small
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	cp "$BATS_FILE_TMPDIR"/*.tar .
}

is_ready() {
	[ -e "$(pod_path "$1" /run/victim.ready)" ]
}

# sweep MODE IMAGE COUNT
sweep() {
	local count=${COUNT:-$3}

	[ -z "${FULL:-}" ] || count=0
	run python3 "$BATS_TEST_DIRNAME/mutate.py" "$1" "$2" "$count"
	echo "# $1: ${lines[-1]}" >&3
	assert_success
}

# edit STATEMENT: changes the image of the small pod (see image-edit.py).
edit() {
	python3 "$BATS_TEST_DIRNAME/image-edit.py" "$1" <small.tar >bad.tar
}

# is_refused CODE LINE: exactly this line, nothing is left, and no more memory than for the image itself.
is_refused() {
	run -"$1" podckpt restore -d bad.tar
	assert_output "podckpt: restore bad.tar: $2"
	assert_equal "$(ls "$PODCKPT_ROOT/pods")" ""
}

# peak COMMAND...: its most memory in KB, whatever it says
peak() {
	python3 -c 'import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(os.wait4(child.pid, 0)[2].ru_maxrss)' "$@"
}

# stays_below KB: the restore of bad.tar
stays_below() {
	local kb

	kb=$(peak "$PODCKPT" restore -d bad.tar)
	[ "$kb" -lt "$1" ] || fail "$kb KB of memory"
}

@test "an image with any bit turned round is refused" {
	sweep bits mixed.tar 60
}

@test "an image cut off anywhere is refused" {
	sweep cuts mixed.tar 40
}

@test "a manifest with any field removed, doubled, of another type, size or sign is refused or restored rightly" {
	sweep manifest mixed.tar 150
}

@test "the image is fine to begin with" {
	edit "m['tool']['version'] = 'x'"
	podckpt restore -d --verify bad.tar
}

# ---- files ----

@test "files that lead out of the pod's tree are refused" {
	local path

	for path in ../up 0/../../up 0/./x 0//x 0/etc/../x; do
		edit "image.add('rootfs/$path', at='rootfs/embedded/0' + '$BUILD/tests/victims/mem-nolibc')"
		run -6 podckpt restore -d bad.tar
		assert_output --regexp "^podckpt: restore bad.tar: rootfs/.*: (a path that leads elsewhere|not a member that this version knows)$"
	done
	edit "image.add('/etc/x')"
	is_refused 6 "/etc/x: a member of unknown name"
	edit "image.add('rootfs/7/x', at='rootfs/0/etc')"
	is_refused 6 "rootfs/7/x: the pod has no such tree"
}

@test "a symlink of an image is never followed" {
	mkdir outside
	edit "image.add('rootfs/0/out', tarfile.SYMTYPE, link='$PWD/outside', at='rootfs/0/etc')
image.add('rootfs/0/out/file', data=b'x', at='rootfs/0/etc')"
	is_refused 6 "rootfs/0/out/file: its directory: Too many levels of symbolic links"
	edit "image.add('rootfs/0/out', tarfile.SYMTYPE, link='$PWD/outside', at='rootfs/0/etc')
image.add('rootfs/0/out', data=b'x', at='rootfs/0/etc')"
	is_refused 6 "rootfs/0/out: it is there twice"
	assert_equal "$(ls outside)" ""
	# One that stays a symlink is the pod's business.
	edit "image.add('rootfs/0/out', tarfile.SYMTYPE, link='$PWD/outside', at='rootfs/0/etc')"
	podckpt restore -d bad.tar
	assert_equal "$(podckpt exec small -- readlink /out)" "$PWD/outside"
}

@test "a hard link of an image leads to a file of the same tree that was there before" {
	local link

	for link in /etc/shadow ../../../../../../../etc/shadow rootfs/1/x rootfs/tmpfs/0/null; do
		edit "image.add('rootfs/0/link', tarfile.LNKTYPE, link='$link', at='rootfs/0/etc')"
		is_refused 6 "rootfs/0/link: a hard link to '$link', which is elsewhere"
	done
	edit "image.add('rootfs/0/link', tarfile.LNKTYPE, link='rootfs/0/../../../../../../etc/shadow', at='rootfs/0/etc')"
	is_refused 6 "rootfs/0/link: a hard link to '../../../../../../etc/shadow'"
	edit "image.add('rootfs/0/link', tarfile.LNKTYPE, link='rootfs/0/later', at='rootfs/0/etc')"
	is_refused 6 "rootfs/0/link: a hard link to 'later', which is not there"
}

@test "a file name with a newline and a terminal's commands makes no line of its own" {
	edit "image.add('rootfs/0/a\npodckpt: all is well\x1b[2J/..', at='rootfs/0/etc')"
	run -6 podckpt restore -d bad.tar
	assert_equal "${#lines[@]}" 1
	assert_output "podckpt: restore bad.tar: rootfs/0/a?podckpt: all is well?[2J/..: a path that leads elsewhere"
	edit "image.add('rootfs/0/a\nb', data=b'x', at='rootfs/0/etc')"
	podckpt restore -d bad.tar
	assert_equal "$(podckpt exec small -- cat $'/a\nb')" x
}

@test "a device node of an image is as dead as one that a pod makes" {
	local disk

	disk=$(awk '$4 !~ /loop|ram/ && NR > 2 { print $1 ", " $2; exit }' /proc/partitions)
	edit "image.add('rootfs/0/disk', tarfile.BLKTYPE, mode=0o666, device=(${disk:-8, 0}), at='rootfs/0/etc')
image.add('rootfs/0/memory', tarfile.CHRTYPE, mode=0o666, device=(1, 1), at='rootfs/0/etc')"
	podckpt restore -d bad.tar
	run podckpt exec small -- head -c 1 /disk
	assert_failure
	assert_output --partial "Permission denied"
	run podckpt exec small -- head -c 1 /memory
	assert_failure
	assert_output --partial "Permission denied"
	podckpt rm -f small
	edit "image.add('rootfs/tmpfs/0/disk', tarfile.BLKTYPE, mode=0o666, device=(8, 0), at='rootfs/tmpfs/1')"
	is_refused 6 "tmpfs: /dev: disk: a device that no pod without CAP_MKNOD has"
}

@test "a set-user-ID file of an image gives nobody more than the pod has" {
	edit "image.add('rootfs/0/su', data=open('/bin/cat', 'rb').read(), mode=0o4755, at='rootfs/0/etc')"
	podckpt restore -d bad.tar
	run podckpt exec -u nobody small -- /su /proc/self/status
	assert_line --regexp '^CapBnd:.0*a00425fb$'
	assert_line --regexp '^(Uid:.65534.65534.|NoNewPrivs:.0)'
	# On the host nobody but root gets to it.
	assert_equal "$(stat -c %a "$PODCKPT_ROOT/pods")" 700
}

@test "attributes that no file of a pod has are refused, and so are too many of them" {
	edit "image.add('rootfs/0/x', pax={'SCHILY.xattr.trusted.overlay.redirect': '/etc'}, at='rootfs/0/etc')"
	is_refused 6 "rootfs/0/x: an attribute 'trusted.overlay.redirect', which no file of a pod has"
	edit "image.add('rootfs/0/x', pax={'SCHILY.xattr.system.nfs4_acl': 'x'}, at='rootfs/0/etc')"
	is_refused 6 "rootfs/0/x: an attribute 'system.nfs4_acl', which no file of a pod has"
	# A head of 20 MB that is nothing but attributes.
	edit "image.add('rootfs/0/x', pax={'SCHILY.xattr.user.%d' % i: 'A' * 60000 for i in range(340)}, at='rootfs/0/etc')"
	is_refused 6 "files: ././@PaxHeader: an extended tar header of wrong size"
	edit "image.add('rootfs/0/x', pax={'SCHILY.xattr.user.%d' % i: 'A' * 60000 for i in range(200)}, at='rootfs/0/etc')"
	stays_below 150000
	assert_equal "$(ls "$PODCKPT_ROOT/pods")" ""
}

@test "a sparse file of exabytes fails and leaves nothing" {
	edit "image.add('rootfs/0/GNUSparseFile.0/big', data=b'1\n9000000000000000000\n0\n'.ljust(512, b'\0'), at='rootfs/0/etc',
	pax={'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 'rootfs/0/big',
	     'GNU.sparse.realsize': '9000000000000000000'})"
	run podckpt restore -d bad.tar
	assert_failure
	assert_equal "${#lines[@]}" 1
	assert_equal "$(ls "$PODCKPT_ROOT/pods")" ""
	stays_below 100000
}

@test "a file that says it is larger than the image is refused" {
	edit "image.add('rootfs/0/big', size=8000000000, at='rootfs/0/etc')"
	run -6 podckpt restore -d bad.tar
	assert_equal "${#lines[@]}" 1
	stays_below 100000
	assert_equal "$(ls "$PODCKPT_ROOT/pods")" ""
}

# ---- pages ----

@test "pages of memory that nobody has are refused" {
	edit "image.chunks.append(Chunk('mem/9/0.pages', [[0x10000, 1]], bytes(4096)))"
	is_refused 6 "mem/9: no such process in the manifest"
	edit "image.chunks.append(Chunk('shm/999/0.pages', [[0, 1]], bytes(4096)))"
	is_refused 6 "a descriptor 999 that is not in the manifest"
	edit "image.chunks.append(Chunk('mem/0/%d.pages' % len(image.chunks), [[0x7fffffffe000, 1]], b'x' * 4096))"
	is_refused 6 "pid 2: mem/0: pages at 7fffffffe000 outside every private area"
}

@test "a chunk that says it unpacks to more than it does, or to more than a chunk may hold, is refused" {
	edit "image.chunks = [Chunk('mem/0/%d.pages' % i, [[(i + 1) << 32, 1024]], b'x' * 4096, 2) for i in range(8)]"
	run -6 podckpt restore -d bad.tar
	assert_equal "${#lines[@]}" 1
	stays_below 100000
	edit "image.chunks = [Chunk('mem/0/0.pages', [[0x10000, 1025]], b'x' * 4096, 2)]"
	is_refused 6 "mem/0/0.pages: 1025 pages in a chunk"
	assert_equal "$(ls "$PODCKPT_ROOT/pods")" ""
}

# ---- the manifest as a whole ----

@test "deep, wide and endless manifests are refused" {
	edit "image.text = b'{\"a\":' * 100000 + b'1' + b'}' * 100000"
	run -6 podckpt restore -d bad.tar
	assert_equal "${#lines[@]}" 1
	stays_below 60000
	edit "image.text = b'{\"a\":[' + b'0,' * 20000000 + b'0]}'"
	run -6 podckpt restore -d bad.tar
	assert_equal "${#lines[@]}" 1
	stays_below 600000
	edit "image.text = b'{\"format\": 1' + b' ' * 1000000"
	run -6 podckpt restore -d bad.tar
	assert_equal "${#lines[@]}" 1
	edit "image.text = b''"
	run -6 podckpt restore -d bad.tar
	assert_equal "${#lines[@]}" 1
	assert_equal "$(ls "$PODCKPT_ROOT/pods")" ""
}

@test "a tree of processes that has a cycle, or none, is refused" {
	edit "p['parent'] = p['vpid']"
	is_refused 6 "processes[0]: its parent 2 is not in front of it"
	edit "m['processes'] = [dict(p, parent=3), dict(p, vpid=3, parent=2)]"
	is_refused 6 "processes[0]: its parent 3 is not in front of it"
	edit "m['processes'] = [p, p]"
	is_refused 6 "processes[1]: two processes with PID 2"
	edit "m['processes'] = []"
	is_refused 6 "manifest.json: a pod without processes"
}

@test "huge numbers of processes, descriptors and areas are refused in little memory" {
	edit "m['processes'] = [dict(p, vpid=2 + i, parent=1 + i, threads=[dict(vtid=2 + i)]) for i in range(20000)]"
	run podckpt restore -d bad.tar
	assert_failure
	assert_equal "${#lines[@]}" 1
	edit "m['descriptors'] = [dict(kind='unheard-of')] * 200000"
	run -6 podckpt restore -d bad.tar
	assert_equal "${#lines[@]}" 1
	stays_below 200000
	edit "p['memory']['areas'] = [dict(start=hex(0x10000 + 8192 * i), end=hex(0x11000 + 8192 * i), protection='rw-') for i in range(300000)]"
	run podckpt restore -d bad.tar
	assert_failure
	assert_equal "${#lines[@]}" 1
	assert_equal "$(ls "$PODCKPT_ROOT/pods")" ""
}

@test "a kind that nobody knows is refused by name" {
	edit "m['descriptors'][0] = dict(kind='teleport', flags='0x0')"
	run -6 podckpt restore -d bad.tar
	assert_equal "${#lines[@]}" 1
	assert_output --partial teleport
	edit "m['pod_state']['teleport'] = {}"
	is_refused 6 "pod_state.teleport: unknown to this version"
}
