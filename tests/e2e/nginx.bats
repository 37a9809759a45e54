#!/usr/bin/env bats
# nginx: a master and two workers.

bats_require_minimum_version 1.5.0
load helpers

pids() {
	podckpt exec web -- ps -A -o pid=,ppid=,args= | grep 'nginx: ' | sort
}

all_there() {
	[ "$(pids | grep -c 'nginx: worker')" = 2 ] && [ "$(pids | wc -l)" = 3 ]
}

serves() {
	curl -sf --max-time 120 "http://$1:8080/$2"
}

@test "nginx serves before and after, by the same master and workers" {
	local ip before mode

	mkdir site
	echo "hello from the pod" >site/index.html
	head -c 300000 /dev/urandom >site/blob
	cat >nginx.conf <<-END
		daemon off;
		master_process on;
		worker_processes 2;
		pid /run/nginx.pid;
		error_log stderr notice;
		user nobody nogroup;
		events { worker_connections 64; }
		http {
			access_log /dev/stdout;
			client_body_temp_path /run/body;
			proxy_temp_path /run/proxy;
			fastcgi_temp_path /run/fastcgi;
			uwsgi_temp_path /run/uwsgi;
			scgi_temp_path /run/scgi;
			limit_req_zone \$binary_remote_addr zone=all:1m rate=1000r/s;
			server { listen 8080; root $PWD/site; limit_req zone=all burst=100; }
		}
	END
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$PWD" "$PWD/.." "$PWD/../.."
	PATH=$PATH:/usr/sbin podckpt run -d --name web -- nginx -c "$PWD/nginx.conf" -p "$PWD"
	ip=$(pod_ip web)
	until_ok 120 serves "$ip" index.html
	# One of them may serve before the other is there.
	until_ok 120 all_there
	before=$(pids)

	for mode in plain verify pipe; do
		cycle web "$mode"
		assert_equal "$(pids)" "$before"
		for _ in 1 2 3 4 5; do
			assert_equal "$(serves "$ip" index.html)" "hello from the pod"
			serves "$ip" blob | cmp - site/blob
		done
		assert_equal "$(pids)" "$before"
	done

	# The master is alive as well: told to, it ends its workers and itself in good order.
	podckpt kill -s QUIT web
	assert_equal "$(podckpt wait web)" 0
}
