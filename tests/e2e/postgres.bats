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
	until_ok 60 output_has db ready
	for n in 1 2 3; do
		until_ok 30 more_confirmed "$n" 500
	done
	pids=$(podckpt exec db -- pidof postgres psql)

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
			until_ok 60 more_confirmed "$n" "$((before[n] + 3000))"
		done
		assert_equal "$(podckpt exec db -- pidof postgres psql)" "$pids"
	done
	assert_equal "$(host=127.0.0.1 sql -c 'select count(*) > 10000 from t')" t
}

@test "a copy made while PostgreSQL ran on is whole as well" {
	podckpt run -d --name db -- bash "$BATS_TEST_DIRNAME/programs/postgres.sh"
	until_ok 60 output_has db ready
	until_ok 30 more_confirmed 1 500
	podckpt checkpoint -R -o copy.tar db
	until_ok 30 more_confirmed 1 5000
	podckpt rm -f db
	podckpt restore -d --verify copy.tar
	remember db
	sound
	until_ok 60 more_confirmed 1 8000
}
