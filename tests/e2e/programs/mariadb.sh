#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# MariaDB as its own user with the settings it comes with, on a disk, so that its pages go there by asynchronous I/O; and as many
# sessions as are asked for that insert for as long as they are connected. What the server has confirmed to session N is in
# /run/db/confirmed.N, a row's number a line.
set -eu

data=/var/lib/podckpt-db

session() {
	local i=0

	while i=$((i + 1)); do
		echo "insert into t (session, number, text) values ($1, $i, repeat(md5($i), 30)) returning id;"
	done | mariadb --no-defaults -S /run/db/sock -N -B -n test >"/run/db/confirmed.$1" || :
	echo "session $1 has ended"
}

mkdir /run/db "$data"
chown mysql /run/db "$data"
mariadb-install-db --no-defaults --user=mysql --datadir="$data" --auth-root-authentication-method=normal \
	--skip-test-db >/run/db/install.log
mariadbd --no-defaults --user=mysql --datadir="$data" --socket=/run/db/sock --skip-networking 2>/run/db/log &
server=$!
until mariadb --no-defaults -S /run/db/sock -e 'select 1' >/run/db/ping 2>&1; do sleep 0.1; done
mariadb --no-defaults -S /run/db/sock <<-SQL
	create database test;
	use test;
	create table t (id bigint auto_increment primary key, session int, number int, text text,
		unique (session, number));
	-- What is written goes to the disk without delay.
	set global innodb_max_dirty_pages_pct = 0, global innodb_max_dirty_pages_pct_lwm = 0;
SQL
for n in $(seq "$1"); do
	session "$n" &
done
echo ready
wait "$server" && echo "the server has ended well"
