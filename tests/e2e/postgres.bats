#!/usr/bin/env bats
# PostgreSQL under a load of commits: nothing that it has confirmed may be missing afterwards.

bats_require_minimum_version 1.5.0
load helpers

sql() {
	podckpt exec -i -w / db -- setpriv --reuid=postgres --regid=postgres --clear-groups \
		psql -qAt -h "${host:-/run/pg}" -d postgres -v ON_ERROR_STOP=1 "$@"
}

confirmed() {
	podckpt exec db -- sh -c "cat /run/pg/confirmed.$1 | wc -l"
}

more_confirmed() {
	[ "$(confirmed "$1")" -gt "$2" ]
}

# All processes but those that come and go: who cleans up, and who serves the test itself.
pids() {
	podckpt exec db -- ps -C postgres,psql -o pid=,args= | grep -v 'autovacuum worker' | awk '{ print $1 }' | sort
}

same_pids() {
	[ "$(pids)" = "$1" ]
}

steady_pids() {
	local now

	now=$(pids)
	sleep 0.5
	same_pids "$now"
}

# Every confirmed row is there, no session has a gap, the indexes fit the table, the log has no complaint.
sound() {
	local n

	for n in 1 2 3; do
		# The last line may be half written.
		podckpt exec db -- sh -c "head -n -1 /run/pg/confirmed.$n >/run/pg/whole.$n"
	done
	run -0 --separate-stderr sql <<-SQL
		create temp table c (id bigint);
		\\copy c from program 'cat /run/pg/whole.1 /run/pg/whole.2 /run/pg/whole.3'
		select count(*) from c left join t using (id) where t.id is null;
		select session from t group by session having count(*) <> max(number);
		select bt_index_check('t_pkey', true), bt_index_check('by_session', true);
	SQL
	assert_output "0
|"
	run podckpt exec db -- grep -E 'PANIC|FATAL|ERROR|WARNING' /run/pg/log
	assert_output ""
	run ! output_has db ended
}

@test "PostgreSQL loses nothing that it has confirmed, and its sessions go on" {
	local mode n pids
	local -a before

	podckpt run -d --name db -- bash "$BATS_TEST_DIRNAME/programs/postgres.sh"
	until_ok 120 output_has db ready
	for n in 1 2 3; do
		until_ok 120 more_confirmed "$n" 500
	done
	until_ok 120 steady_pids
	pids=$(pids)

	for mode in leave plain verify pipe; do
		if [ "$mode" = leave ]; then
			podckpt checkpoint -R -o copy.tar db
		else
			cycle db "$mode"
		fi
		for n in 1 2 3; do
			before[n]=$(confirmed "$n")
		done
		sound
		# A pipe's content is some 1,300 statements: more than were under way.
		for n in 1 2 3; do
			until_ok 120 more_confirmed "$n" "$((before[n] + 3000))"
		done
		until_ok 120 same_pids "$pids"
	done
	assert_equal "$(host=127.0.0.1 sql -c 'select count(*) > 10000 from t')" t
}

@test "a copy made while PostgreSQL ran on is whole as well" {
	podckpt run -d --name db -- bash "$BATS_TEST_DIRNAME/programs/postgres.sh"
	until_ok 120 output_has db ready
	until_ok 120 more_confirmed 1 500
	podckpt checkpoint -R -o copy.tar db
	until_ok 120 more_confirmed 1 5000
	podckpt rm -f db
	podckpt restore -d --verify copy.tar
	remember db
	sound
	until_ok 120 more_confirmed 1 8000
}
