#!/usr/bin/env bats
# The command line itself: usage, options, exit codes, completion, man pages.

bats_require_minimum_version 1.5.0
load helpers

@test "without a command it prints usage and returns 2" {
	run podckpt
	assert_failure 2
	assert_output --partial "Usage: podckpt"
}

@test "--help and help print every command and return 0" {
	local c

	run podckpt --help
	assert_success
	for c in $(podckpt __commands); do
		assert_output --regexp "^.*"$'\n'"  $c "
	done
	run podckpt help
	assert_success
	assert_output --partial "Commands:"
}

@test "every command explains itself" {
	local c

	for c in $(podckpt __commands); do
		run podckpt "$c" --help
		assert_success
		assert_output --partial "Usage: podckpt $c"
		assert_equal "$(podckpt help "$c")" "$output"
	done
}

@test "--version names the version" {
	run podckpt --version
	assert_success
	assert_output --regexp '^podckpt [0-9]+\.[0-9]+\.[0-9]+$'
	assert_equal "$(podckpt version)" "$output"
}

@test "an unknown command and unknown options return 2 with one line" {
	run podckpt frobnicate
	assert_failure 2
	assert_output "podckpt: no such command: 'frobnicate'; see podckpt --help"
	run podckpt --frobnicate ps
	assert_failure 2
	assert_output "podckpt: no such option: --frobnicate; see podckpt --help"
	run podckpt ps --frobnicate
	assert_failure 2
	assert_output "podckpt: ps: no such option: --frobnicate; see podckpt ps --help"
	run podckpt ps -z
	assert_failure 2
	assert_output "podckpt: ps: no such option: -z; see podckpt ps --help"
	run podckpt stop -t
	assert_failure 2
	assert_output "podckpt: stop: -t needs a value: SECONDS; see podckpt stop --help"
	run podckpt ps --quiet=yes
	assert_failure 2
	assert_output "podckpt: ps: --quiet takes no value; see podckpt ps --help"
	run podckpt logs
	assert_failure 2
	assert_output "podckpt: logs: no argument given; see podckpt logs --help"
	run podckpt logs a b
	assert_failure 2
	assert_output "podckpt: logs: too many arguments; see podckpt logs --help"
}

@test "run returns 125 for a wrong command line, as container engines do" {
	run podckpt run --frobnicate true
	assert_failure 125
	run podckpt run
	assert_failure 125
}

@test "values of options are checked" {
	run podckpt run --memory 12q true
	assert_output --partial "--memory '12q': not a size"
	run podckpt run --memory 99999999999999999999 true
	assert_output --partial "--memory '99999999999999999999': not a size"
	run podckpt run --cpus=-1 true
	assert_output --partial "--cpus '-1': not a number of CPUs"
	run podckpt run --pids 0 true
	assert_output --partial "--pids '0': not a number above 0"
	run podckpt run --net moon true
	assert_output --partial "--net 'moon': no such choice (one of: bridge none host)"
	run podckpt run --stop-signal SIGNO true
	assert_output --partial "--stop-signal 'SIGNO': no such signal"
	run podckpt run -d --volume /nothing-there:/x true
	assert_failure 2
	assert_output "podckpt: run: --volume '/nothing-there:/x': No such file or directory"
	run podckpt run --volume /tmp:x true
	assert_failure 125
	assert_output "podckpt: run: --volume '/tmp:x': DST is not an absolute path"
	run podckpt run --env-file /nothing-there true
	assert_output "podckpt: run: --env-file '/nothing-there': No such file or directory"
}

@test "not being root is told, with a code of its own" {
	# The build may be in a directory that is root's alone.
	run setpriv --reuid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search "$PODCKPT" ps
	assert_failure 11
	assert_output --partial "not root"
}

@test "a pod that does not exist returns 3, whatever is asked of it" {
	local c

	for c in "logs" "kill" "stop" "wait" "rm" "rm -f" "inspect" "checkpoint" "checkpoint -n"; do
		# shellcheck disable=SC2086
		run podckpt $c nobody
		assert_failure 3
		assert_output --regexp "^podckpt: [a-z]+ nobody: no such pod in '$PODCKPT_ROOT'\$"
	done
	run podckpt exec nobody -- true
	assert_failure 125
	run podckpt attach nobody
	assert_failure 125
}

@test "the shell completes commands, options, values and pods" {
	assert_equal "$(podckpt __complete -- chec | cut -f1 | xargs)" "checkpoint check"
	assert_equal "$(podckpt __complete -- run --net "" | cut -f1 | xargs)" "bridge none host"
	assert_equal "$(podckpt __complete -- run --net=n | cut -f1 | xargs)" "--net=none"
	assert_equal "$(podckpt __complete -- run --rootfs "")" ":directory"
	assert_equal "$(podckpt __complete -- run -d "")" ":command"
	assert_equal "$(podckpt __complete -- kill -s WIN | cut -f1)" "WINCH"
	podckpt run -d --name seen --net none -- sleep 1000
	assert_equal "$(podckpt __complete -- logs s | cut -f1)" "seen"
	assert_equal "$(podckpt __complete -- exec -it "" | cut -f1)" "seen"
	assert_equal "$(podckpt __complete -- exec seen "")" ":command"
}

@test "every option of every command is offered to the shell" {
	local c option

	for c in $(podckpt __commands); do
		for option in $(podckpt "$c" --help | sed -n 's/^  .. *\(--[a-z-]*\).*/\1/p'); do
			assert_equal "$(podckpt __complete -- "$c" "$option" | cut -f1 | grep -xF -- "$option")" "$option"
		done
	done
}

@test "bash takes its completion script and completes with it" {
	mkdir bin
	ln -s "$PODCKPT" bin/podckpt
	# shellcheck disable=SC2016
	PATH=$PWD/bin:$PATH run bash -c '
		source <(podckpt completion bash) || exit 1
		COMP_LINE="podckpt ins" COMP_POINT=11 COMP_WORDS=(podckpt ins) COMP_CWORD=1
		_podckpt && echo "${COMPREPLY[@]}"'
	assert_output "inspect"
	run podckpt completion tcsh
	assert_failure 2
}

@test "two state directories do not see each other's pods" {
	mkdir other
	podckpt run -d --name one --net none -- sleep 1000
	run podckpt --root "$PWD/other" ps -q
	assert_success
	assert_output ""
	PODCKPT_ROOT=$PWD/other run podckpt ps -q
	assert_output ""
	run podckpt ps -q
	assert_output "one"
}
