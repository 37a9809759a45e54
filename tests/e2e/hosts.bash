# shellcheck shell=bash
# Two hosts and a client on one machine, joined by a bridge. For e2e files that `load hosts` after helpers.
#
#	   client 10.77.0.100		hub (a bridge)
#		\______________________/    |	\
#			hosta 10.77.0.1: sshd	hostb 10.77.0.2: sshd
#
# Each is a network namespace with a mount namespace of its own; a host has its own state directory
# (at /var/lib/podckpt, as a host has), /run and sshd. Its address is that of its bridge of pods,
# which has the link to the hub as a port: so pods keep their addresses when they move. Every address
# is of these namespaces only, and the keys are made for the run.

HOSTA=10.77.0.1
HOSTB=10.77.0.2

# Runs a command in one of them: on hosta COMMAND...
on() {
	local pid

	pid=$(cat "$HOSTS/$1.pid") || return 1
	shift
	nsenter -t "$pid" -n -m -- env -u PODCKPT_ROOT "$@"
}

# podckpt there.
ona() { on hosta timeout -k 5 "$STEP_TIMEOUT" "$PODCKPT" "$@"; }
onb() { on hostb timeout -k 5 "$STEP_TIMEOUT" "$PODCKPT" "$@"; }

# podckpt on hosta, towards hostb; and the other way.
there() { ona "$@" --host "$HOSTB" --rsh "$RSH" --remote-podckpt "$PODCKPT"; }
back() { onb "$@" --host "$HOSTA" --rsh "$RSH" --remote-podckpt "$PODCKPT"; }

# A namespace pair that lives as long as its one process; named NAME.
host_space() {
	# shellcheck disable=SC2016
	unshare --net --mount --propagation private -- sh -c '
		ip link set lo up
		mount -t tmpfs -o mode=755 tmpfs /run
		echo $$ >"$1.pid.new" && mv "$1.pid.new" "$1.pid"
		exec sleep 100000' sh "$HOSTS/$1" </dev/null >/dev/null 2>&1 3>&- &
	until_ok 120 test -e "$HOSTS/$1.pid"
}

# A link from NAME to the hub: eth0 there.
host_link() {
	on hub ip link add "$1" type veth peer name eth0 netns "$(cat "$HOSTS/$1.pid")"
	on hub ip link set "$1" master br0 up
	on "$1" ip link set eth0 up
}

host_ssh() {
	local dir=$HOSTS/ssh-$1

	mkdir -p "$dir"
	[ -e "$HOSTS/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$HOSTS/key"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
	# SHLVL: no ~/.bashrc of this machine, which may do and say anything.
	cat >"$dir/config" <<-END
		ListenAddress $2:22
		HostKey $dir/host
		PidFile $dir/pid
		AuthorizedKeysFile $HOSTS/key.pub
		StrictModes no
		UsePAM no
		PasswordAuthentication no
		SetEnv SHLVL=2
		PermitRootLogin yes
		MaxStartups 100
		PrintMotd no
	END
	on "$1" mkdir -p /run/sshd
	on "$1" /usr/sbin/sshd -f "$dir/config" -E "$dir/log"
	until_ok 120 test -s "$dir/pid"
}

# A host NAME with ADDRESS.
host_make() {
	mkdir -p "$HOSTS/state-$1"
	host_space "$1"
	host_link "$1"
	# An address of its own: else it has the lowest of its ports, which come and go.
	on "$1" ip link add podckpt0 address "02:00:00:77:00:0${2##*.}" type bridge
	on "$1" ip link set eth0 master podckpt0
	on "$1" ip address add "$2/24" dev podckpt0
	on "$1" ip link set podckpt0 up
	on "$1" mkdir -p /var/lib/podckpt
	on "$1" mount --bind "$HOSTS/state-$1" /var/lib/podckpt
	host_ssh "$1" "$2"
}

hosts_setup() {
	HOSTS=$(mktemp -d /var/tmp/podckpt-hosts.XXXXXX) || return 1
	export HOSTS
	host_space hub
	on hub ip link add br0 type bridge
	on hub ip link set br0 up
	host_make hosta "$HOSTA"
	host_make hostb "$HOSTB"
	host_space client
	host_link client
	on client ip address add 10.77.0.100/24 dev eth0
	on client ip address add fd40:2352:b44b:a4d::64/64 dev eth0 nodad # of the subnet that follows from 10.77.0.0
	# As ssh is called from podckpt: by its options only, no files of the user.
	export RSH="ssh -F none -i $HOSTS/key -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR -o BatchMode=yes"
}

# After each test: what did a test that failed leave in the logs? And nothing stays, whatever the test did.
hosts_clean() {
	local host name

	for host in hosta hostb; do
		[ -z "${BATS_TEST_COMPLETED:-}" ] || break
		echo "-- $host:"
		on "$host" "$PODCKPT" ps
		for name in $(on "$host" "$PODCKPT" ps -q); do
			echo "-- output of $name:"
			on "$host" "$PODCKPT" logs "$name" | tail -n 20
		done
		tail -n 5 "$HOSTS/ssh-$host/log"
	done
	ona rm -f -a
	onb rm -f -a
	# Nothing half-made, either.
	run find "$HOSTS/state-hosta/pods" "$HOSTS/state-hostb/pods" -mindepth 1
	assert_output ""
}

hosts_teardown() {
	local name pid left=0

	[ -n "${HOSTS:-}" ] || return 0
	for name in hosta hostb; do
		[ -e "$HOSTS/$name.pid" ] || continue
		on "$name" "$PODCKPT" rm -f -a || left=1
		[ ! -s "$HOSTS/ssh-$name/pid" ] || kill "$(cat "$HOSTS/ssh-$name/pid")"
	done
	for name in hosta hostb client hub; do
		[ -e "$HOSTS/$name.pid" ] || continue
		pid=$(cat "$HOSTS/$name.pid")
		kill "$pid"
		until_fails 120 kill -0 "$pid" 2>/dev/null || left=1
	done
	rm -rf --one-file-system "$HOSTS" || left=1
	return "$left"
}
