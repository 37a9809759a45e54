#!/usr/bin/env bats
# MariaDB as it comes, with its asynchronous I/O, under a load of commits.

bats_require_minimum_version 1.5.0
load helpers

SESSIONS=8

sql() {
	STEP_TIMEOUT=240 podckpt exec -w / db -- mariadb --no-defaults -S /run/db/sock -N -B test -e "$1"
}

# What each session has heard of so far, in their order.
confirmed() {
	podckpt exec db -- sh -c 'for n in $(seq '"$SESSIONS"'); do wc -l </run/db/confirmed.$n; done'
}

more_confirmed() {
	paste <(confirmed) <(echo "$1") | awk -v by="$2" '$1 < $2 + by { bad = 1 } END { exit bad }'
}

goes_on_by() {
	local before

	before=$(confirmed)
	until_ok 180 more_confirmed "$before" "$1"
}

# A checkpoint that dies as soon as the pod is said to be in one, and so many milliseconds later.
killed() {
	"$PODCKPT" checkpoint -R -o killed.tar db &
	until status_is db checkpointing || ! kill -0 $!; do :; done
	sleep "0.$(printf %03d "$1")"
	kill -KILL $! 2>/dev/null || :
	wait $! || :
}

# One that dies when a part of the image is read, and the pod is stopped.
killed_in_image() {
	mkfifo pipe
	"$PODCKPT" checkpoint -o - db >pipe &
	exec 8<pipe
	head -c 1000000 <&8 >part
	kill -KILL $!
	wait $! || :
	exec 8<&-
}

has_ring() {
	tar xOf "$1" manifest.json | jq -e '[.processes[].memory.areas[]? | select(.aio)] | length == 1'
}

# Every confirmed row is there, no session has a gap, the table is whole, the log has no complaint.
sound() {
	# The last line may be half written.
	podckpt exec db -- sh -c 'for n in $(seq '"$SESSIONS"'); do head -n -1 /run/db/confirmed.$n; done' | sort >confirmed
	sql 'select id from t' | sort >there
	run -0 comm -23 confirmed there
	assert_output ''
	run -0 sql 'select session from t group by session having count(*) <> max(number)'
	assert_output ''
	run -0 sql 'check table t'
	assert_output "$(printf 'test.t\tcheck\tstatus\tOK')"
	run ! podckpt exec db -- grep -E '\[ERROR\]|crash|corrupt' /run/db/log
	run ! output_has db ended
}

@test "MariaDB with asynchronous I/O loses nothing that it has confirmed, and its sessions go on" {
	podckpt run -d --name db --net none -- bash "$BATS_TEST_DIRNAME/programs/mariadb.sh" "$SESSIONS"
	until_ok 120 output_has db ready
	goes_on_by 20
	for _ in 1 2 3 4; do
		podckpt checkpoint -R -o copy.tar db
	done
	has_ring copy.tar
	cycle db verify
	goes_on_by 20
	sound
	# Nor where podckpt dies.
	killed_in_image
	goes_on_by 20
	for ms in 0 30 60 90; do
		killed "$ms"
		goes_on_by 1
	done
	sound
	cycle db verify
	goes_on_by 20
	sound
	podckpt rm -f db
	# The same from a copy that was made while it ran.
	podckpt restore -d --verify copy.tar
	remember db
	goes_on_by 20
	sound
	# It gives its contexts back.
	sql shutdown
	until_ok 120 output_has db "the server has ended well"
}
