#!/usr/bin/env bats
# Pods that do what is least convenient at the moment of a checkpoint, and people who do so.

bats_require_minimum_version 1.5.0
load helpers

# The pod's directory in the v2 hierarchy, or in the v1 freezer where there is one.
cgroup_of() {
	find /sys/fs/cgroup -maxdepth 4 -type d \
		-path "*${2:-}$(jq -r .cgroup "$PODCKPT_ROOT/pods/$1/state.json")" | sort
}

@test "processes that fork as fast as they can are frozen, carried, and fork on" {
	local i

	cat >forks.py <<-'EOF'
	import os, signal, time
	signal.signal(signal.SIGCHLD, signal.SIG_IGN)
	made, told = 0, 0
	while True:
	    try:
	        if os.fork() == 0:
	            try:
	                os.fork()
	            except OSError:
	                pass
	            os._exit(0)
	        made += 1
	    except OSError:
	        pass
	    if time.monotonic() - told > 0.1:
	        told = time.monotonic()
	        print("count", made, flush=True)
	EOF
	podckpt run -d --name forks --net none --pids 40 -- python3 forks.py
	wait_output forks "count "
	for i in 1 2 3 4 5; do
		podckpt checkpoint -n forks
		podckpt checkpoint -R forks
	done
	podckpt checkpoint forks
	podckpt restore -d --verify forks.tar
	goes_on forks
}

@test "a pod that has all the processes it may have is carried with them" {
	cat >full.py <<-'EOF'
	import os, signal, time
	children = []
	try:
	    while True:
	        pid = os.fork()
	        if pid == 0:
	            signal.pause()
	        children.append(pid)
	except OSError:
	    print("full with", len(children), flush=True)
	n = 0
	while True:
	    time.sleep(0.1)
	    for pid in children:
	        os.kill(pid, 0)
	    n += 1
	    print("count", n, len(children), flush=True)
	EOF
	podckpt run -d --name full --net none --pids 20 -- python3 full.py
	wait_output full "count 3 "
	podckpt checkpoint -R full
	podckpt checkpoint full
	podckpt restore -d --verify full.tar
	goes_on full
	# Nothing of podckpt's is in the way of the last one, and nothing has made room.
	run podckpt exec full -- true
	assert_failure 125
	assert_output "podckpt: exec full: clone3: Resource temporarily unavailable"
}

@test "a pod that ends in the middle of its checkpoint leaves no image and its own exit code" {
	local dir checkpoint

	# A FIFO that nobody reads: the checkpoint stands still with the pod frozen.
	counter c 40
	dir=$(cgroup_of c | head -n 1)
	mkfifo pipe
	exec 7<>pipe
	"$PODCKPT" checkpoint -o - c >pipe 2>err 7>&- &
	checkpoint=$!
	until_ok 120 status_is c checkpointing
	kill -KILL "$(pod_pid1 c)"
	exec 8<pipe 7>&-
	cat <&8 >/dev/null &
	exec 8<&-
	await "$checkpoint"
	[ "$status" -eq 0 ] || assert_equal "$(wc -l <err)" 1
	until_fails 120 status_is c running
	until_fails 120 status_is c checkpointing
	run pod_field c status
	[ -z "$output" ] || assert_output exited
	[ -n "$dir" ]
}

@test "a pod that somebody else has frozen is left as it is, and the line says where" {
	local dir file on off stderr

	counter c
	while read -r dir; do
		if [ -e "$dir/cgroup.freeze" ]; then
			file=$dir/cgroup.freeze on=1 off=0
		elif [ -e "$dir/freezer.state" ]; then
			file=$dir/freezer.state on=FROZEN off=THAWED
		else
			continue
		fi
		echo "$on" >"$file"
		for arguments in "checkpoint c" "checkpoint -n c" "checkpoint -R -o - c"; do
			# shellcheck disable=SC2086
			run --separate-stderr podckpt $arguments
			assert_failure 10
			assert_equal "$stderr" "podckpt: checkpoint c: somebody has frozen the pod ('$file'); it has to be thawed there first"
		done
		run podckpt exec c -- true
		assert_failure 125
		assert_output --partial "somebody has frozen the pod"
		assert_equal "$(cat "$file")" "$on"
		assert_not_exist c.tar
		echo "$off" >"$file"
		goes_on c
		podckpt checkpoint -R c
		rm c.tar
	done < <(cgroup_of c)
	assert [ -n "$file" ]
}

@test "a frozen pod can be ended and removed" {
	local dir

	counter c
	while read -r dir; do
		[ ! -e "$dir/cgroup.freeze" ] || echo 1 >"$dir/cgroup.freeze"
		[ ! -e "$dir/freezer.state" ] || echo FROZEN >"$dir/freezer.state"
	done < <(cgroup_of c)
	podckpt rm -f c
	run podckpt ps -q
	assert_output ""
}

@test "of two checkpoints at a time one is told to wait, and so is who removes the pod meanwhile" {
	local first

	counter c 20
	mkfifo pipe
	exec 7<>pipe
	"$PODCKPT" checkpoint -R -o - c >pipe 7>&- &
	first=$!
	until_ok 120 status_is c checkpointing
	for arguments in "checkpoint -o c.tar c" "checkpoint -n c" "rm -f c" "stop c"; do
		# shellcheck disable=SC2086
		run podckpt $arguments
		assert_failure 10
		assert_output "podckpt: ${arguments%% *} c: another operation on the pod is under way"
	done
	assert_not_exist c.tar
	exec 8<pipe 7>&-
	cat <&8 >image &
	exec 8<&-
	await "$first"
	assert_success
	goes_on c
	podckpt checkpoint c
}

@test "of two restores of one image at a time one gets the name, or the address" {
	local first second

	podckpt run -d --name c -- python3 "$BATS_TEST_DIRNAME/programs/counter.py"
	wait_output c "count 3 "
	podckpt checkpoint c
	"$PODCKPT" restore -d c.tar >first 2>&1 &
	first=$!
	"$PODCKPT" restore -d c.tar >second 2>&1 &
	second=$!
	await "$first"
	first=$status
	await "$second"
	assert_equal "$((first + status))" 8
	run grep -h "the name 'c' is taken" first second
	assert_success
	goes_on c
	podckpt rm -f c
	"$PODCKPT" restore -d --name a c.tar >first 2>&1 &
	first=$!
	"$PODCKPT" restore -d --name b c.tar >second 2>&1 &
	second=$!
	await "$first"
	first=$status
	await "$second"
	assert_equal "$((first + status))" 8
	run grep -hE "address [0-9.]+ is taken by another pod" first second
	assert_success
	run podckpt ps -q
	assert_equal "${#lines[@]}" 1
	goes_on "$output"
}

@test "what is being restored is not removed, entered or frozen before it runs" {
	local restore

	counter c 20
	podckpt checkpoint c
	mkfifo pipe
	exec 7<>pipe
	"$PODCKPT" restore -d - <pipe 7>&- &
	restore=$!
	head -c 4000000 c.tar >pipe
	until_ok 120 bash -c '"$PODCKPT" ps -q | grep -qx c'
	for arguments in "rm c" "rm -f c" "checkpoint c" "stop c"; do
		# shellcheck disable=SC2086
		run podckpt $arguments
		assert_failure 10
		assert_output "podckpt: ${arguments%% *} c: another operation on the pod is under way"
	done
	tail -c +4000001 c.tar >pipe
	exec 7>&-
	await "$restore"
	assert_success
	goes_on c
}

@test "a program that mounts and unmounts all the time is carried or refused by name" {
	local i carried=0

	cat >mounts.py <<-'EOF'
	import ctypes, os
	libc = ctypes.CDLL(None)
	os.makedirs("/run/m", exist_ok=True)
	n = 0
	while True:
	    assert libc.mount(b"tmpfs", b"/run/m", b"tmpfs", 0, None) == 0
	    assert libc.umount2(b"/run/m", 2) == 0
	    n += 1
	    if n % 100 == 0:
	        print("count", n, flush=True)
	EOF
	podckpt run -d --name m --net none --cap-add sys_admin --seccomp unconfined -- python3 mounts.py
	wait_output m "count 300"
	for i in 1 2 3 4 5 6 7 8; do
		run podckpt checkpoint -R m
		if [ "$status" -eq 0 ]; then
			carried=$((carried + 1))
		else
			assert_failure 4
			assert_output --partial "the mount of tmpfs on '/run/m' was made inside the pod"
		fi
		goes_on m
	done
	if [ "$carried" -gt 0 ]; then
		podckpt rm -f m
		podckpt restore -d --verify --cap-add sys_admin --seccomp unconfined m.tar
		goes_on m
	fi
}

@test "a tmpfs that is full is as full after the restore" {
	cat >fill.sh <<-'EOF'
	head -c 100000000 /dev/urandom >/dev/fill 2>/dev/null
	sha1sum /dev/fill >/run/sum
	n=0
	while sha1sum --status -c /run/sum; do
		(echo x >/dev/more) 2>/dev/null && { echo "there was room"; exit 1; }
		n=$((n + 1))
		echo count $n
		sleep 0.1
	done
	echo "it has changed"
	EOF
	podckpt run -d --name f --net none -- bash ./fill.sh
	wait_output f "count 3"
	podckpt checkpoint f
	podckpt restore -d --verify f.tar
	goes_on f
	podckpt checkpoint f
	podckpt restore -d --verify f.tar
	goes_on f
	run podckpt logs f
	refute_output --partial "there was room"
}

@test "files that are made by thousands while they are read are all there, each whole" {
	local i

	cat >files.py <<-'EOF'
	import os, time
	os.makedirs("/var/tmp/many")
	for i in range(20000):
	    with open("/var/tmp/many/%d" % i, "w") as f:
	        f.write(str(i))
	    if i % 200 == 0:
	        print("made", i, flush=True)
	for i in range(20000):
	    with open("/var/tmp/many/%d" % i) as f:
	        assert f.read() == str(i), i
	assert len(os.listdir("/var/tmp/many")) == 20000
	n = 0
	while True:
	    n += 1
	    print("count", n, flush=True)
	    time.sleep(0.1)
	EOF
	podckpt run -d --name many --net none -- python3 files.py
	for i in 1 2; do
		podckpt checkpoint -R -o "$i.tar" many
	done
	podckpt checkpoint many
	podckpt restore -d --verify many.tar
	wait_output many "count 1"
	goes_on many
	# The first one too, from which everything made since is missing.
	podckpt rm -f many
	podckpt restore -d 1.tar
	wait_output many "count 1"
}

@test "nothing of the host is read or written through links and devices that a pod has made" {
	mkdir host moved
	echo secret-of-the-host >host/secret
	touch moved/a
	chmod 600 host/secret
	cat >links.py <<-'EOF'
	import os, shutil, socket, stat, sys, time
	here = os.getcwd()
	os.mkdir("/var/tmp/l")
	os.chdir("/var/tmp/l")
	os.symlink("/etc/shadow", "shadow")
	os.symlink(here + "/host", "dir")
	os.symlink("../../.." + here + "/host/secret", "up")
	os.mknod("null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
	os.mknod("mem", stat.S_IFCHR | 0o600, os.makedev(1, 1))
	os.mknod("disk", stat.S_IFBLK | 0o600, os.makedev(254, 0))
	os.mkfifo("fifo")
	s = socket.socket(socket.AF_UNIX)
	s.bind("sock")
	# A directory of the host's becomes a link to another.
	shutil.move(here + "/moved", here + "/moved-away")
	os.symlink(here + "/host", here + "/moved")
	n = 0
	while True:
	    n += 1
	    assert sorted(os.listdir(".")) == ["dir", "disk", "fifo", "mem", "null", "shadow", "sock", "up"]
	    assert os.readlink("dir") == here + "/host" == os.readlink(here + "/moved")
	    assert os.stat("mem").st_rdev == os.makedev(1, 1)
	    print("count", n, flush=True)
	    time.sleep(0.1)
	EOF
	find host moved -printf '%p %C@ %s %m\n' >before
	podckpt run -d --name l --net none --cap-add mknod -- python3 links.py
	wait_output l "count 3"
	podckpt checkpoint l
	run grep -c secret-of-the-host l.tar
	assert_output 0
	run tar tf l.tar
	refute_output --partial rootfs/0/etc/shadow
	podckpt restore -d --verify --cap-add mknod l.tar
	goes_on l
	podckpt checkpoint l
	podckpt restore -d --verify --cap-add mknod l.tar
	goes_on l
	find host moved -printf '%p %C@ %s %m\n' | diff before -
}
