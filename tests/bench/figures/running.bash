# shellcheck shell=bash disable=SC2154
# A running program costs nothing more for being in a pod: redis-server and redis-benchmark over loopback,
# both inside and both outside.

redis_rates() {
	local where=$1 port=$2

	shift 2
	until_ok 20 "$@" redis-cli -p "$port" ping >/dev/null 2>&1 || die "redis-server does not answer"
	"$@" redis-benchmark -p "$port" -t set,get -n "${REDIS_REQUESTS:-50000}" --csv >"$scratch/rates" 2>&1 ||
		{ cat "$scratch/rates" >&2; die "redis-benchmark failed"; }
	sample "$where-set" "$(sed -n 's/^"SET","\([0-9.]*\)".*/\1/p' "$scratch/rates")"
	sample "$where-get" "$(sed -n 's/^"GET","\([0-9.]*\)".*/\1/p' "$scratch/rates")"
}

running() {
	local port=$((20000 + $$ % 10000)) server i command

	if ! command -v redis-benchmark >/dev/null || ! command -v redis-server >/dev/null; then
		echo "no figures of redis: it is not installed"
		return
	fi
	(cd "$scratch" && exec redis-server --port "$port" --bind 127.0.0.1 --save '') >/dev/null 2>&1 &
	server=$!
	podckpt run -d --name redis -w / -- redis-server --port 6379 --bind 127.0.0.1 --save '' >/dev/null ||
		die "no pod: redis-server"
	for ((i = 0; i < REPEAT; i++)); do
		redis_rates outside "$port" env
		redis_rates inside 6379 podckpt exec redis --
	done
	kill "$server"
	wait "$server"
	podckpt rm -f redis >/dev/null
	for command in set get; do
		# Time for one request, so that as everywhere less is better.
		row "redis $command in a pod" us "$(calc "1e6 / $(median "inside-$command")")" \
			"$(calc "1e6 / $(median "outside-$command")")" 1.05 "outside"
	done
}

running
