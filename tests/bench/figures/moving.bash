# shellcheck shell=bash disable=SC2154
# A pod that goes to another host, by ssh between the two hosts of tests/e2e/hosts.bash: how long a client hears nothing
# of it, what that time is made of, and how fast it goes against cat by the same ssh.
#
# shellcheck source=tests/e2e/hosts.bash
. "$source/tests/e2e/hosts.bash"

there=$scratch/podckpt

# move FROM ADDRESS: to there; what --stats printed is in $scratch/output.
move() {
	timed nsenter -t "$(cat "$HOSTS/$1.pid")" -n -m -- env -u PODCKPT_ROOT "$PODCKPT" migrate --stats moved \
		--host "$2" --rsh "$RSH" --remote-podckpt "$there"
}

# Microseconds of the phases; also their sum.
phases() {
	jq "[.phases[] | select(.name | IN(\$ARGS.positional[])).time] | add" "$scratch/output" --args "$@"
}

ready_there() {
	on "$1" "$PODCKPT" logs moved 2>/dev/null | grep -qx ready
}

moving() {
	local mb=$1 n=$2 i at=hosta towards=$HOSTB address=10.77.0.50 phase ms tcp udp

	ona run -d --name moved --ip "$address" -- "$programs/hold" served "$mb" >/dev/null || die "no pod: served $mb"
	until_ok 120 ready_there hosta || die "not ready: served $mb"
	head -c "${mb}M" /dev/urandom >"$scratch/bytes"
	for ((i = 0; i < n; i++)); do
		timed nsenter -t "$(cat "$HOSTS/hosta.pid")" -n -m -- \
			sh -c "cat '$scratch/bytes' | $RSH $HOSTB 'cat >/dev/null'"
		sample "cat$mb" "$us"
		talker_begin nsenter -t "$(cat "$HOSTS/client.pid")" -n -m -- \
			"$programs/talk" gap "$address" "$scratch/gap"
		move "$at" "$towards"
		talker_end
		read -r tcp udp <"$scratch/gap"
		sample "tcp$mb" "$tcp"
		sample "udp$mb" "$udp"
		sample "down$mb" "$(stat_of downtime)"
		sample "carry$mb" "$(phases connect check send)"
		for phase in send build "hand over"; do
			sample "$phase$mb" "$(phases "$phase")"
		done
		if [ "$at" = hosta ]; then at=hostb towards=$HOSTA; else at=hosta towards=$HOSTB; fi
	done
	on "$at" "$PODCKPT" rm -f moved >/dev/null
	ms="$(calc "$(median "cat$mb") / 1000")"
	row "migrate of $mb MB: a TCP client hears nothing" ms "$(calc "$(median "tcp$mb") / 1000")" "$ms" - "cat by ssh"
	row "migrate of $mb MB: a UDP client hears nothing" ms "$(calc "$(median "udp$mb") / 1000")" "$ms" - "cat by ssh"
	for phase in send build "hand over"; do
		row "migrate of $mb MB: of that, $phase" ms "$(calc "$(median "$phase$mb") / 1000")" \
			"$(calc "$(median "down$mb") / 1000")" - "downtime"
	done
	# Both begin with the login.
	[ "$mb" -lt 100 ] || row "migrate of $mb MB: until all is there" ms "$(calc "$(median "carry$mb") / 1000")" \
		"$ms" 1.25 "cat by ssh"
}

cat >"$there" <<END
#!/bin/sh
LD_LIBRARY_PATH=$LD_LIBRARY_PATH exec $PODCKPT "\$@"
END
chmod 755 "$there"
hosts_setup || die "no hosts"
moving 1 $((REPEAT + 1))
moving 256 $((REPEAT + 1))
hosts_teardown || die "something of the hosts is left"
unset HOSTS
rm -f "$scratch/bytes"
