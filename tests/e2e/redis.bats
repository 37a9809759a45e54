#!/usr/bin/env bats
# redis-server with 200,000 keys and a client that never stops asking.

bats_require_minimum_version 1.5.0
load helpers

redis() {
	podckpt exec redis -- redis-cli -s /run/redis.sock "$@"
}

answers() {
	[ "$(redis ping 2>/dev/null)" = PONG ]
}

# Good answers of the client so far.
good() {
	podckpt logs redis | sed -n 's/^good //p' | tail -n 1
}

more_good_than() {
	[ "$(good)" -gt "$1" ]
}

@test "redis-server goes on with every key, the same PIDs and its client still connected" {
	local digest pids ip before mode run_id

	podckpt run -d --name redis -- sh -c "
		redis-server --save '' --protected-mode no --enable-debug-command yes \
			--unixsocket /run/redis.sock --logfile /run/redis.log &
		while [ ! -e /run/loaded ]; do sleep 0.1; done
		exec python3 -u $BATS_TEST_DIRNAME/programs/redis-client.py /run/redis.sock"
	until_ok 120 answers
	ip=$(pod_ip redis)
	seq 200000 | sed 's/.*/SET key:& "the value of &"/' | redis-cli -h "$ip" --pipe
	: >"$(pod_path redis /run/loaded)"
	until_ok 120 output_has redis "good 1000"
	digest=$(redis debug digest)
	pids=$(podckpt exec redis -- pidof redis-server python3)
	run_id=$(redis info server | grep run_id)
	assert_equal "$(redis dbsize)" 200000

	for mode in plain verify pipe; do
		before=$(good)
		cycle redis "$mode"
		assert_equal "$(redis debug digest)" "$digest"
		assert_equal "$(podckpt exec redis -- pidof redis-server python3)" "$pids"
		assert_equal "$(redis info server | grep run_id)" "$run_id"
		assert_equal "$(pod_ip redis)" "$ip"
		until_ok 120 more_good_than "$((before + 3000))"
		assert_equal "$(redis-cli -h "$ip" get key:123456)" "the value of 123456"
	done
	assert_equal "$(redis dbsize)" 200000
}
