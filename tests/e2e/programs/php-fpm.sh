#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# nginx, and behind its unix socket php-fpm with a single worker, which runs the script "$1" for every request.
set -eu

mkdir /run/site
chown nobody /run/site
cat >/run/fpm.conf <<END
[global]
daemonize = no
error_log = /run/fpm.log
[www]
user = nobody
group = nogroup
listen = /run/fpm.sock
listen.owner = nobody
pm = static
pm.max_children = 1
END
cat >/run/nginx.conf <<END
daemon off;
worker_processes 1;
pid /run/nginx.pid;
error_log /run/nginx.log;
user nobody nogroup;
events { worker_connections 64; }
http {
	access_log off;
	sendfile on;
	client_body_temp_path /run/body;
	proxy_temp_path /run/proxy;
	fastcgi_temp_path /run/fastcgi;
	uwsgi_temp_path /run/uwsgi;
	scgi_temp_path /run/scgi;
	server {
		listen 127.0.0.1:8080;
		location / {
			fastcgi_pass unix:/run/fpm.sock;
			fastcgi_read_timeout 1h;
			fastcgi_send_timeout 1h;
			fastcgi_param REQUEST_METHOD \$request_method;
			fastcgi_param QUERY_STRING \$query_string;
			fastcgi_param CONTENT_TYPE \$content_type;
			fastcgi_param CONTENT_LENGTH \$content_length;
			fastcgi_param SCRIPT_FILENAME $1;
		}
	}
}
END
fpm=$(printf '%s\n' /usr/sbin/php-fpm[0-9]* | sort -V | tail -n 1)
"$fpm" -y /run/fpm.conf &
until [ -S /run/fpm.sock ]; do sleep 0.05; done
/usr/sbin/nginx -c /run/nginx.conf -p /run &
until [ -s /run/nginx.pid ]; do sleep 0.05; done
echo ready
wait
