#!/usr/bin/env bats
# MariaDB as it comes, with its asynchronous I/O, under a load of commits.

bats_require_minimum_version 1.5.0
load helpers

sql() {
	podckpt exec -w / db -- mariadb --no-defaults -S /run/db/sock -N -B test -e "$1"
}

confirmed() {
	podckpt exec db -- sh -c "cat /run/db/confirmed.$1 | wc -l"
}

more_confirmed() {
	[ "$(confirmed "$1")" -ge "$2" ]
}

goes_on_by() {
	local n before

	for n in 1 2; do
		before=$(confirmed "$n")
		until_ok 60 more_confirmed "$n" "$((before + $1))"
	done
}

has_ring() {
	tar xOf "$1" manifest.json | jq -e '[.processes[].memory.areas[]? | select(.aio)] | length == 1'
}

# Every confirmed row is there, no session has a gap, the table is whole, the log has no complaint.
sound() {
	# The last line may be half written.
	podckpt exec db -- sh -c 'for n in 1 2; do head -n -1 /run/db/confirmed.$n; done' | sort >confirmed
	sql 'select id from t' | sort >there
	run -0 comm -23 confirmed there
	assert_output ''
	run -0 sql 'select session from t group by session having count(*) <> max(number)'
	assert_output ''
	run -0 sql 'check table t extended'
	assert_output "$(printf 'test.t\tcheck\tstatus\tOK')"
	run ! podckpt exec db -- grep -E '\[ERROR\]|crash|corrupt' /run/db/log
	run ! output_has db ended
}

@test "MariaDB with asynchronous I/O loses nothing that it has confirmed, and its sessions go on" {
	podckpt run -d --name db --net none -- bash "$BATS_TEST_DIRNAME/programs/mariadb.sh"
	until_ok 60 output_has db ready
	goes_on_by 100
	for _ in 1 2 3 4 5 6 7 8; do
		podckpt checkpoint -R -o copy.tar db
	done
	has_ring copy.tar
	cycle db verify
	goes_on_by 100
	sound
	cycle db verify
	goes_on_by 100
	sound
	podckpt rm -f db
	# The same from a copy that was made while it ran.
	podckpt restore -d --verify copy.tar
	remember db
	goes_on_by 100
	sound
	# It gives its contexts back.
	sql shutdown
	until_ok 60 output_has db "the server has ended well"
}
