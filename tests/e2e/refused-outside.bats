#!/usr/bin/env bats
# What leads out of a pod, or came into it from outside: refused by name, and the pod runs on.

bats_require_minimum_version 1.5.0
load helpers

pod_has() {
	podckpt exec "$1" -- test -e "/proc/$2"
}

@test "a command of exec and what nsenter has left behind are refused by name" {
	local job pid

	counter c
	podckpt exec c -- sh -c 'echo $$; exec sleep 1000' >pid 3>&- &
	job=$!
	until_ok 120 test -s pid
	pid=$(cat pid)
	run podckpt checkpoint --dry-run c
	assert_failure 4
	assert_output --regexp "^podckpt: checkpoint c: pid $pid \((sh|sleep)\): it was started from outside \(podckpt exec\), where its parent and its streams are; end it first\$"
	goes_on c
	podckpt exec c -- kill "$pid"
	await "$job"
	# The shell ends: its child is podckpt-init's, in a session that the pod does not see.
	pid=$(nsenter -t "$(jq .pid1.pid "$PODCKPT_ROOT/pods/c/state.json")" -a \
		sh -c 'sleep 1000 </dev/null >/dev/null 2>&1 & echo $!' 3>&- 4>&-)
	run podckpt checkpoint --dry-run c
	assert_failure 4
	assert_output --regexp "^podckpt: checkpoint c: pid $pid \((sh|sleep)\): its session was made outside the pod; end it first\$"
	goes_on c
	podckpt exec c -- kill "$pid"
	until_fails 120 pod_has c "$pid"
	cycle c plain
	goes_on c
}

# Gives a file, the end of a pipe and a pidfd of its own to whoever connects; holds its ends until "over".
giver() {
	python3 - "$1" <<-END 3>&- &
		import os, socket, sys, time
		own = os.open("own", os.O_RDWR | os.O_CREAT)
		r, w = os.pipe()
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[1])
		s.listen(1)
		c, _ = s.accept()
		socket.send_fds(c, [b"x"], [own, r, os.pidfd_open(os.getpid())])
		c.close()
		s.close()
		while not os.path.exists("over"): time.sleep(0.05)
		os.write(w, b"late")
	END
	until_ok 120 test -S "$1"
}

@test "descriptors that lead to a volume or out of the pod are refused by name" {
	local job p="podckpt: checkpoint p: pid 2 (python3) fd" v

	[ "$(stat -f -c %T .)" != overlayfs ] || skip "needs a file system without layers"
	mkdir shared fixed
	mkfifo shared/fifo
	echo text >shared/linked
	ln shared/linked kept
	echo text >fixed/file
	giver shared/host
	job=$!
	v=(-v "$PWD/shared:/shared" -v "$PWD/fixed:/fixed:ro")
	podckpt run -d --name p --net none "${v[@]}" -- python3 -u -c '
import os, socket, time
def wait(name):
    while not os.path.exists("/shared/" + name): time.sleep(0.05)
files = [os.open("/shared/fifo", os.O_RDWR), os.open("/shared/linked", os.O_RDWR),
         os.open("/fixed/file", os.O_RDONLY)]
s = socket.socket(socket.AF_UNIX)
s.connect("/shared/host")
_, fds, _, _ = socket.recv_fds(s, 1, 3)
s.close()
print("opened", files + fds)
wait("close")
for fd in files + fds[:1]: print(os.write(fd, b"x") if fd != files[2] else os.read(fd, 10)); os.close(fd)
print("closed")
wait("read")
print(os.read(fds[1], 10), os.read(fds[1], 10))
os.close(fds[2])
print("read")
wait("go")
print("end", os.read(fds[1], 10))'
	wait_output p "opened [3, 4, 5, 7, 8, 9]"
	rm shared/linked fixed/file
	for option in --dry-run -R; do
		run podckpt checkpoint "$option" p
		assert_failure 4
		assert_output "$p 3: a FIFO on a volume leads out of the pod; put '/shared/fifo' into the pod's own files
$p 4: '/shared/linked' was deleted, and its other name is not in the pod; close it first
$p 5: '/fixed/file' was deleted on a read-only file system; close it first
$p 7: '$PWD/own' is a file outside of the pod; close it first"
	done
	: >shared/close
	wait_output p closed
	# What has another end, or a process, is known once all of the pod stands still.
	podckpt checkpoint --dry-run p
	run podckpt checkpoint -o p.tar p
	assert_failure 4
	assert_output "$p 9: a pidfd of a process outside the pod is not carried; close it first
$p 8: the other end of the pipe is held outside the pod; close it there first"
	assert_not_exists p.tar
	: >over
	await "$job"
	: >shared/read
	wait_output p "b'late' b''"
	wait_output p "read"
	cycle p plain "${v[@]}"
	: >shared/go
	wait_output p "end b''"
	assert_equal "$(cat kept)" "xext"
}

@test "a file system of the host that the pod has unmounted is refused by name" {
	mkdir small
	mount -t tmpfs tmpfs small
	podckpt run -d --name m --net none --cap-add SYS_ADMIN --seccomp unconfined -- \
		sh -c 'umount "$1" && echo unmounted && exec sleep 1000' sh "$PWD/small"
	wait_output m unmounted
	run podckpt checkpoint m
	assert_failure 4
	assert_output "podckpt: checkpoint m: '$PWD/small' was unmounted inside the pod, which is not carried"
	status_is m running
	podckpt rm -f m
	umount small
}
