# Whoever dies in the middle of a checkpoint or a restore: monitors, PID 1, podckpt itself, the program.
# The moment is fixed by a FIFO: podckpt waits in the midst of the image.

bats_require_minimum_version 1.5.0
load helpers

# It counts on, in steps of one.
goes_on_in_order() {
	goes_on "$1"
	[ "$(podckpt logs "$1" | awk '/^count/ { if ($2 != n++) bad = 1 } END { print bad + 0 }')" = 0 ]
}

# One that outlives its monitors, which read what a pod says.
silent_server() {
	podckpt run -d --name "$1" -- sh -c 'exec python3 -m http.server 80 >/dev/null 2>&1'
	until_ok 120 curl -sfo /dev/null "http://$(pod_ip "$1")/"
}

keeper_of() {
	jq .monitor.pid "$PODCKPT_ROOT/pods/$1/state.json"
}

# A checkpoint of pod c to a FIFO that stands still; its PID in $checkpoint, the reader's end is 8.
begin_checkpoint() {
	mkfifo pipe
	"$PODCKPT" checkpoint -o - c >pipe 2>err &
	checkpoint=$!
	exec 8<pipe
	head -c 100000 <&8 >part
	until_ok 120 status_is c checkpointing
}

# The rest of it, into image.tar; its exit code in $status.
end_checkpoint() {
	cat part - <&8 >image.tar
	exec 8<&-
	await "$checkpoint"
}

# A restore of c.tar that stands still in the midst of it; its PID in $restore, what it has got in $most.
begin_restore() {
	mkfifo pipe
	exec 7<>pipe
	"$PODCKPT" restore -d - <pipe >out 2>err 7>&- &
	restore=$!
	# In the memory, which comes behind the files: the pod's PID 1 is there.
	most=$(($(stat -c %s c.tar) - 10000000))
	head -c "$most" c.tar >pipe
	until_ok 120 bash -c '[ "$(jq .pid1.pid "$PODCKPT_ROOT/pods/c/state.json")" -gt 1 ]'
}

end_restore() {
	# Nobody but the restore reads, so that this ends with it.
	exec 9>pipe 7>&-
	tail -c +$((most + 1)) c.tar >&9 2>/dev/null &
	exec 9>&-
	await "$restore"
	wait
}

@test "the keeper is killed during a checkpoint: the server ends it" {
	counter c 20 --net bridge
	begin_checkpoint
	kill -KILL "$(keeper_of c)"
	end_checkpoint
	if [ "$status" -eq 0 ]; then
		run podckpt ps -q
		assert_output ""
		podckpt restore -d --verify image.tar
	else
		assert_equal "$(wc -l <err)" 1
	fi
	goes_on_in_order c
}

@test "both monitors are killed during a checkpoint: it fails, and the pod runs on and can be removed" {
	local keeper server

	silent_server c
	keeper=$(keeper_of c)
	server=$(pgrep -P "$keeper" -x podckpt-serve)
	begin_checkpoint
	kill -KILL "$keeper" "$server"
	end_checkpoint
	assert_equal "$status" 1
	run cat err
	assert_output "podckpt: checkpoint c: the pod's monitor was killed during the checkpoint; try again"
	assert status_is c running
	until_ok 120 curl -sfo /dev/null "http://$(pod_ip c)/"
	podckpt exec c -- true
	podckpt rm -f c
}

@test "podckpt and both monitors are killed during a checkpoint: the next command sets the pod free" {
	local keeper server ip

	silent_server c
	ip=$(pod_ip c)
	keeper=$(keeper_of c)
	server=$(pgrep -P "$keeper" -x podckpt-serve)
	begin_checkpoint
	kill -STOP "$checkpoint"
	until_ok 120 is_stopped "$checkpoint"
	kill -KILL "$keeper" "$server"
	kill -KILL "$checkpoint"
	exec 8<&-
	await "$checkpoint"
	until_ok 120 has_ended "$keeper"
	until_ok 120 has_ended "$server"
	podckpt ps
	assert status_is c running
	until_ok 120 curl -sfo /dev/null "http://$ip/"
	podckpt rm -f c
}

@test "PID 1 is killed during a restore: one line, nothing is left, and the next one succeeds" {
	counter c 20 --net bridge
	podckpt checkpoint c
	begin_restore
	kill -KILL "$(jq .pid1.pid "$PODCKPT_ROOT/pods/c/state.json")"
	end_restore
	assert_equal "$status" 1
	assert_equal "$(wc -l <err)" 1
	assert [ ! -e "$PODCKPT_ROOT/pods/c" ]
	podckpt restore -d --verify c.tar
	goes_on_in_order c
}

@test "a monitor is killed during a restore: the pod runs, or nothing is left of it" {
	local who keeper pid

	counter c 20 --net bridge
	podckpt checkpoint c
	for who in keeper server; do
		begin_restore
		pid=$(keeper_of c)
		[ "$who" = keeper ] || pid=$(pgrep -P "$pid" -x podckpt-serve)
		kill -KILL "$pid"
		end_restore
		if [ "$status" -eq 0 ]; then
			podckpt rm -f c
		else
			assert_equal "$(wc -l <err)" 1
		fi
		assert [ ! -e "$PODCKPT_ROOT/pods/c" ]
		rm -f pipe
	done
	podckpt restore -d --verify c.tar
	goes_on_in_order c
}

is_zombie() {
	grep -q '^State:.Z' "/proc/$1/status"
}

@test "a pod of which only a zombie is left comes back and ends with its code" {
	local pid1 main

	podckpt run -d --name c --net none -- sleep infinity
	pid1=$(jq .pid1.pid "$PODCKPT_ROOT/pods/c/state.json")
	main=$(pgrep -P "$pid1")
	kill -STOP "$pid1" # so that nobody waits for its child
	until_ok 120 is_stopped "$pid1"
	kill -TERM "$main"
	until_ok 120 is_zombie "$main"
	podckpt checkpoint -o c.tar c
	run podckpt restore c.tar
	assert_failure 143
}

@test "a program that ends while it is looked at leaves its exit code or a whole image" {
	local ms whole=0 over=0

	for ms in 00 02 04 06 08 10 12 14 16 18 20 25 30; do
		podckpt run -d --name c --net none -- sh -c "sleep 0.$ms; exit 9"
		run podckpt checkpoint -o c.tar c
		if [ "$status" -eq 0 ]; then
			whole=$((whole + 1))
			run podckpt restore c.tar
			assert_failure 9
		else
			over=$((over + 1))
			assert_equal "${#lines[@]}" 1
			assert_file_not_exists c.tar
			run podckpt wait c
			assert_output 9
		fi
		podckpt rm -f c || true
		rm -f c.tar
	done
	echo "$whole whole, $over over"
	[ "$((whole + over))" -eq 13 ]
}
