#!/usr/bin/env bats
# Living with pods: ps, logs, exec, attach, kill, stop, wait, rm, inspect.

bats_require_minimum_version 1.5.0
load helpers

@test "ps shows name, status, PID, address and command, also of ended pods" {
	podckpt run -d --name one --net none -- sleep 1000
	podckpt run --name two --net none -- sh -c 'exit 3' || true
	run podckpt ps
	assert_success
	assert_line --index 0 --regexp '^NAME +STATUS +PID +IP +UPTIME +COMMAND$'
	assert_line --index 1 --regexp '^one +running +[0-9]+ +- +[0-9]+ s +sleep 1000$'
	assert_line --index 2 --regexp "^two +exited \(3\) +- +- +- +sh -c exit 3$"
	run podckpt ps -q
	assert_output $'one\ntwo'
	run bash -c '"$PODCKPT" ps --format json | jq -c "[.version, (.pods[] | .name, .status, .exit_code)]"'
	assert_output '[1,"one","running",null,"two","exited",3]'
}

@test "ps without pods prints the head of the table, and empty JSON" {
	run podckpt ps
	assert_success
	assert_equal "${#lines[@]}" 1
	run bash -c '"$PODCKPT" ps --format json | jq -c .pods'
	assert_output '[]'
}

@test "logs has what the pod wrote, both streams, also after its end" {
	podckpt run -d --name talk --net none -- sh -c 'echo one; echo two >&2; echo three'
	podckpt wait talk
	run podckpt logs talk
	assert_success
	assert_line one
	assert_line two
	assert_line three
}

@test "logs -f follows until the pod ends" {
	podckpt run -d --name talk --net none -- sh -c 'for i in 1 2 3; do echo $i; sleep 0.3; done'
	run podckpt logs -f talk
	assert_success
	assert_output $'1\n2\n3'
}

@test "exec runs in the pod, with its own exit code and streams" {
	podckpt run -d --name box --net none --hostname inner -e MARK=7 -- sleep 1000
	run podckpt exec box -- sh -c 'uname -n; echo $MARK; echo err >&2; exit 9'
	assert_failure 9
	assert_line inner
	assert_line 7
	assert_line err
	run bash -c 'echo hi | "$PODCKPT" exec -i box -- cat'
	assert_output hi
	run podckpt exec -e A=b -w /usr -u nobody box -- sh -c 'echo $A; pwd; id -un'
	assert_output $'b\n/usr\nnobody'
	run -127 podckpt exec box -- /no/such/program
	assert_failure 127
}

@test "exec -t has a terminal" {
	podckpt run -d --name box --net none -- sleep 1000
	run script -qec "'$PODCKPT' exec -it box -- sh -c 'test -t 0 && echo yes'" /dev/null
	assert_success
	assert_output --partial yes
}

@test "what needs a running pod is refused for an ended one, by one line" {
	local c

	run podckpt run --name over --net none -- sh -c 'exit 3'
	assert_failure 3
	run podckpt exec over -- true
	assert_failure 125
	assert_output "podckpt: exec over: the pod is exited, not running"
	run podckpt attach over
	assert_failure 125
	assert_output --regexp '^podckpt: attach over: the pod has ended \(exit code 3\); [^
]*$'
	run podckpt kill over
	assert_failure 1
	assert_output "podckpt: kill over: the pod has ended"
	for c in "" "-n" "-R" "-o over.tar"; do
		# shellcheck disable=SC2086
		run podckpt checkpoint $c over
		assert_failure 1
		assert_output "podckpt: checkpoint over: the pod is exited, not running"
	done
	run ls -A
	refute_output --partial over
	run podckpt stop over
	assert_success
	run podckpt wait over
	assert_output 3
}

@test "exec returns what container engines return" {
	local code words got

	podckpt run -d --name box --net none -- sleep 1000
	echo text >file
	while read -r code words; do
		got=0
		# shellcheck disable=SC2086
		podckpt exec $words >exec.out 2>&1 </dev/null || got=$?
		assert_equal "$got $words" "$code $words"
	done <<-EOF
		127 box -- /no/such/program
		126 box -- /etc/passwd
		127 box -- no-such-program-anywhere
		143 box -- sh -c kill\${IFS}-TERM\${IFS}\$\$
		125 -u no-such-user box -- true
	EOF
	run podckpt exec box
	assert_failure 125
	run podckpt exec box -- true
	assert_success
}

@test "what exec started belongs to the pod and ends with it" {
	podckpt run -d --name box --net none -- sleep 1000
	local length=4321.$BASHPID # by which nobody else sleeps

	"$PODCKPT" exec box -- sleep "$length" &
	until_ok 120 pgrep -fx "sleep $length"
	podckpt rm -f box
	until_fails 120 pgrep -fx "sleep $length"
}

@test "attach shows what comes and returns the exit code" {
	podckpt run -d --name later --net none -- sh -c 'while [ ! -e /run/go ]; do echo waiting; sleep 0.05; done; echo over; exit 6'
	"$PODCKPT" attach later >out &
	until_ok 120 grep -q waiting out
	: >"$(pod_path later /run/go)"
	await $!
	assert_equal "$status" 6
	assert_equal "$(uniq out)" $'waiting\nover'
}

@test "a terminal can be left by ctrl-p ctrl-q and joined again" {
	python3 "$BATS_TEST_DIRNAME/pty-driver.py" 300 <<-END
		spawn $PODCKPT run -it --name term --net none -- sh
		expect #
		send PS1=re''ady:\\n
		expect ready:
		send \\x10\\x11
		end 0
		spawn $PODCKPT attach term
		send \\n
		expect ready:
		send echo \$((40+2))\\n
		expect 42
		send exit 5\\n
		end 5
	END
}

@test "kill sends the signal that is named" {
	podckpt run -d --name trap --net none -- sh -c 'trap "echo hup" HUP; trap "echo usr1; exit 4" USR1; echo ready; while :; do sleep 0.1; done'
	wait_output trap ready
	podckpt kill -s HUP trap
	wait_output trap hup
	podckpt kill -s SIGUSR1 trap
	run podckpt wait trap
	assert_output 4
	podckpt run -d --name hard --net none -- sleep 1000
	podckpt kill hard
	run podckpt wait hard
	assert_output 137
}

@test "stop sends the stop signal first, and kills what stays" {
	podckpt run -d --name soft --net none --stop-signal INT -- sh -c 'trap "exit 11" INT; echo ready; while :; do sleep 0.1; done'
	wait_output soft ready
	podckpt stop soft
	run podckpt wait soft
	assert_output 11
	podckpt run -d --name deaf --net none -- sh -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
	wait_output deaf ready
	# Long before the ten seconds that it would have otherwise, on a busy host once in a while.
	for _ in 1 2 3 4 5; do
		before=$EPOCHREALTIME
		podckpt stop -t 1 deaf
		took=$((${EPOCHREALTIME/./} - ${before/./}))
		run podckpt wait deaf
		assert_output 137
		[ "$took" -ge 8000000 ] || break
		podckpt rm deaf
		podckpt run -d --name deaf --net none -- sh -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
		wait_output deaf ready
	done
	assert [ "$took" -lt 8000000 ]
}

@test "wait waits, for several pods, and prints their codes" {
	podckpt run -d --name w1 --net none -- sh -c 'sleep 0.5; exit 1'
	podckpt run -d --name w2 --net none -- sh -c 'exit 2'
	run podckpt wait w1 w2
	assert_success
	assert_output $'1\n2'
}

@test "rm refuses a running pod and removes an ended one" {
	podckpt run -d --name r --net none -- sleep 1000
	run podckpt rm r
	assert_failure
	assert_output --partial "podckpt: rm r: "
	podckpt rm -f r
	run podckpt ps -q
	assert_output ""
	run podckpt rm r
	assert_failure 3
}

@test "what a pod wrote is gone when it is removed" {
	podckpt run --name w --net none -- sh -c 'echo x >/var/tmp/written'
	assert_exist "$PODCKPT_ROOT/pods/w"
	podckpt rm w
	assert_not_exist "$PODCKPT_ROOT/pods/w"
}

@test "inspect prints configuration and state as JSON" {
	podckpt run -d --name i --net none --hostname box -- sleep 1000
	run bash -c '"$PODCKPT" inspect i | jq -e .'
	assert_success
	assert_output --partial '"i"'
	assert_output --partial box
}
