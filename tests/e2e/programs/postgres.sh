#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL as its own user, and three sessions that insert for as long as they are connected. What
# the server has confirmed to session N is in /run/pg/confirmed.N, a row's number a line.
set -eu

export LC_ALL=C.UTF-8
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
PATH=$bin:$PATH

as_postgres() {
	setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
}

session() {
	local i=0

	while i=$((i + 1)); do
		echo "insert into t (session, number) values ($1, $i) returning id;"
	done | as_postgres psql -qAt -v ON_ERROR_STOP=1 -h /run/pg -d postgres -f - \
		>"/run/pg/confirmed.$1" || :
	echo "session $1 has ended"
}

cd /run
mkdir /run/pg
chown postgres /run/pg
as_postgres initdb -D /run/pg/data --data-checksums -A trust >/run/pg/initdb.log
as_postgres postgres -D /run/pg/data -k /run/pg -h 127.0.0.1 2>>/run/pg/log &
until as_postgres pg_isready -q -h /run/pg; do sleep 0.1; done
# It complains of whoever asks too early.
: >/run/pg/log
as_postgres psql -q -h /run/pg -d postgres -v ON_ERROR_STOP=1 <<-SQL
	create extension amcheck;
	create table t (id bigserial primary key, session int, number int,
		text text default repeat(md5(random()::text), 10));
	create unique index by_session on t (session, number);
SQL
for n in 1 2 3; do
	session "$n" &
done
echo ready
wait
