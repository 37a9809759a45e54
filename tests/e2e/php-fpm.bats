#!/usr/bin/env bats
# php-fpm with a single worker, which is busy: nginx has sent it more requests, and it has not accepted them.

bats_require_minimum_version 1.5.0
load helpers

# ask NUMBER BYTES: a request with a body, which will be answered some time.
ask() {
	head -c "$2" /dev/urandom >"body.$1"
	# shellcheck disable=SC2016
	podckpt exec web -- sh -c 'curl -s -H "Content-Type: x/x" -H Expect: --data-binary "@$1/body.$2" "http://127.0.0.1:8080/?$2" \
		>"/run/answer.$2" 2>/dev/null 3>&- & echo $! >"/run/curl.$2"' sh "$PWD" "$1"
}

is_there() {
	podckpt exec web -- test -e "$1"
}

answered() {
	[ "$(podckpt exec web -- cat "/run/answer.$1")" = "$1 $(md5sum <"body.$1" | cut -d' ' -f1)" ]
}

# waits N M: N connections are to be accepted, M of them by somebody who is still there and has sent something.
waits() {
	nsenter -t "$(pod_field web pid)" -n ss -Hxa >sockets
	[ "$(awk '$2 == "LISTEN" && $5 == "/run/fpm.sock" { print $3 }' sockets)" = "$1" ] &&
		[ "$(awk '$2 == "ESTAB" && $4 > 0 && $8 == 0' sockets | wc -l)" = "$2" ]
}

@test "requests that wait at the socket of a busy php-fpm are refused where the kernel cannot be read, else all answered after the restore" {
	local n

	cat >ask.php <<-'END'
		<?php
		touch('/run/site/begun');
		while (!file_exists('/run/site/go')) {
			usleep(10000);
			clearstatcache();
		}
		$n = $_SERVER['QUERY_STRING'];
		file_put_contents('/run/site/served', "$n\n", FILE_APPEND);
		echo $n, ' ', md5(file_get_contents('php://input'));
	END
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$PWD" "$PWD/.." "$PWD/../.."
	podckpt run -d --name web --net none -- bash "$BATS_TEST_DIRNAME/programs/php-fpm.sh" "$PWD/ask.php"
	wait_output web ready
	ask 1 10
	until_ok 120 is_there /run/site/begun
	ask 2 100
	until_ok 120 waits 1 1
	ask 3 100000
	until_ok 120 waits 2 2
	# More than nginx can send before it is read; and one whose visitor goes.
	ask 4 700000
	until_ok 120 waits 3 3
	ask 5 3000
	until_ok 120 waits 4 4
	# shellcheck disable=SC2016
	podckpt exec web -- sh -c 'kill "$(cat /run/curl.5)"'
	until_ok 120 waits 4 3

	run unshare -m sh -c 'mount --bind /dev/null /sys/kernel/btf/vmlinux && exec "$0" checkpoint web' "$PODCKPT"
	assert_failure 4
	assert_output --regexp '^podckpt: checkpoint web: pid [0-9]+ \(php-fpm[0-9.]+\) fd [0-9]+: a connection that waits to be accepted has bytes in it already, or its other end is closed, and that cannot be read: this kernel does not describe its types \(/sys/kernel/btf\); accept it first$'
	waits 4 3

	cycle web plain
	waits 4 3
	cycle web verify
	waits 4 3
	tar xOf web.tar manifest.json | jq -e '[.descriptors[] | select(.kind == "unix") | (.sent, .closed[]?.sent) | values] | length == 4'

	podckpt exec web -- touch /run/site/go
	for n in 1 2 3 4; do
		until_ok 120 answered "$n"
	done
	ask 6 20
	until_ok 120 answered 6
	assert_equal "$(podckpt exec web -- cat /run/site/served | tr '\n' ' ')" '1 2 3 4 5 6 '
}
