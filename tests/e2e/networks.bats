#!/usr/bin/env bats
# Bridges that span hosts. The other host is a network namespace on the other end of a wire.

bats_require_minimum_version 1.5.0
load helpers

teardown() {
	ip link delete br9 2>/dev/null || :
	ip link delete wire 2>/dev/null || :
	[ -z "${other:-}" ] || kill "$other"
	podckpt rm -f -a
	until_ok 120 nothing_left || { show_left; return 1; }
}

on_other() {
	nsenter -t "$other" -n "$@"
}

# A bridge of this host, and on the other end of its wire the other host with these addresses.
two_hosts() {
	local address

	ip link add br9 type bridge
	ip link set br9 up
	unshare -n sleep 1000 3>&- &
	other=$!
	until_ok 120 differs
	ip link add wire type veth peer name far netns "/proc/$other/ns/net"
	ip link set wire master br9 up
	for address in "$@"; do
		on_other ip address add "$address" dev far
	done
	on_other ip link set far up
	on_other ip link set lo up
	until_ok 120 has_carrier
}

differs() {
	[ "$(readlink "/proc/$other/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

has_carrier() {
	ip link show br9 up | grep -q "state UP"
}

far_mac() {
	on_other ip -o link show far | grep -o 'link/ether [0-9a-f:]*' | cut -d' ' -f2
}

neighbour_is() {
	on_other ip neighbour show "$1" | grep -qF "lladdr $2"
}

net_server() {
	podckpt run -d --name "$1" "${@:2}" -- python3 -u -c '
import socket
s = socket.create_server(("0.0.0.0", 7000))
print("ready")
while True:
    c, peer = s.accept()
    c.sendall(("hello " + peer[0]).encode())
    c.close()'
	wait_output "$1" ready
}

@test "a pod on a bridge that spans hosts is reached from the other host, also after a restore" {
	two_hosts 10.99.0.2/24
	ip address add 10.99.0.1/24 dev br9
	net_server web --net bridge:br9 --ip 10.99.0.7
	run on_other timeout 120 socat -t 60 -T 60 TCP:10.99.0.7:7000 -
	assert_output "hello 10.99.0.2"
	podckpt checkpoint -o web.tar web
	run podckpt restore -d web.tar
	assert_failure 12
	assert_output --partial "the pod hangs on the bridge 'br9'; say on which it may here: --net bridge:br9"
	# A neighbour that believes the pod elsewhere learns better without asking.
	on_other sh -c 'echo 0 >/proc/sys/net/ipv4/neigh/far/locktime'
	on_other ip neighbour replace 10.99.0.7 lladdr 02:00:00:00:00:99 dev far nud stale
	podckpt restore --verify -d --net bridge:br9 web.tar
	until_ok 120 neighbour_is 10.99.0.7 "$(podckpt exec web -- cat /sys/class/net/eth0/address)"
	run on_other timeout 120 socat -t 60 -T 60 TCP:10.99.0.7:7000 -
	assert_output "hello 10.99.0.2"
	podckpt checkpoint -o web.tar web
	ip link delete br9
	run podckpt restore -d --net bridge:br9 web.tar
	assert_failure
	assert_output --partial "there is no bridge 'br9' on this host; make it first (podckpt network create br9)"
	run podckpt ps -q
	assert_output ''
}

@test "an address that another host has is not given to a pod" {
	local i ips=()

	for i in 3 4 5 6; do ips+=("10.99.0.$i/29"); done
	two_hosts "${ips[@]}"
	ip address add 10.99.0.1/29 dev br9
	run podckpt run -d --net bridge:br9 --ip 10.99.0.4 -- sleep 1000
	assert_failure 8
	assert_output --regexp "address 10\.99\.0\.4 is taken: $(far_mac) answers for it on the bridge 'br9'"
	podckpt run -d --name only --net bridge:br9 -- sleep 1000
	assert_equal "$(pod_ip only)" 10.99.0.2
	run podckpt run -d --net bridge:br9 -- sleep 1000
	assert_failure
	assert_output --partial "others have them all"
}

@test "IPv6: an address of the bridge's subnet that nobody else has, known to the neighbours after a restore" {
	local mac

	two_hosts 10.99.0.2/24
	on_other ip address add 2001:db8:9::2/64 dev far nodad
	on_other ip address add 2001:db8:9::a63:7/64 dev far nodad
	ip address add 10.99.0.1/24 dev br9
	ip address add 2001:db8:9::1/64 dev br9 nodad
	run podckpt run -d --net bridge:br9 --ip6 2001:db8:9::2 -- sleep 1000
	assert_failure 8
	assert_output --partial "address 2001:db8:9::2 is taken: $(far_mac) answers for it on the bridge 'br9'; choose another with --ip6"
	# Made from 10.99.0.7, which is free itself.
	run podckpt run -d --net bridge:br9 --ip 10.99.0.7 -- sleep 1000
	assert_failure 8
	assert_output --partial "address 2001:db8:9::a63:7 is taken: $(far_mac) answers for it"
	podckpt run -d --name web --net bridge:br9 --ip 10.99.0.8 -- python3 -u -c '
import socket
s = socket.create_server(("::", 7000), family=socket.AF_INET6)
print("ready")
while True:
    c, peer = s.accept()
    c.sendall(("hello " + peer[0]).encode())
    c.close()'
	wait_output web ready
	assert_equal "$(pod_field web ip6)" 2001:db8:9::a63:8
	mac=$(podckpt exec web -- cat /sys/class/net/eth0/address)
	run on_other timeout 120 socat -t 60 -T 60 "TCP6:[2001:db8:9::a63:8]:7000" -
	assert_output --partial "hello 2001:db8:9::"
	podckpt checkpoint -o web.tar web
	# A neighbour that believes the pod elsewhere learns better without asking.
	on_other ip neighbour replace 2001:db8:9::a63:8 lladdr 02:00:00:00:00:99 dev far nud stale
	podckpt restore --verify -d --net bridge:br9 web.tar
	until_ok 120 neighbour_is 2001:db8:9::a63:8 "$mac"
	run on_other timeout 120 socat -t 60 -T 60 "TCP6:[2001:db8:9::a63:8]:7000" -
	assert_output --partial "hello 2001:db8:9::"
	podckpt checkpoint -o web.tar web
	# On a bridge without IPv6 it keeps its address, among neighbours.
	ip address delete 2001:db8:9::1/64 dev br9
	podckpt restore --verify -d --net bridge:br9 web.tar
	run on_other timeout 120 socat -t 60 -T 60 "TCP6:[2001:db8:9::a63:8]:7000" -
	assert_output --partial "hello 2001:db8:9::"
	podckpt run -d --name none --net bridge:br9 -- sleep 1000
	assert_equal "$(pod_field none ip6)" null
}

@test "a bridge without an address takes a subnet for its pods" {
	two_hosts 10.99.0.2/24
	run podckpt run -d --net bridge:br9 -- sleep 1000
	assert_failure
	assert_output --partial "bridge 'br9' has no IPv4 address; say with --subnet which one its pods are in"
	net_server web --net bridge:br9 --subnet 10.99.0.0/24
	run on_other timeout 120 socat -t 60 -T 60 "TCP:$(pod_ip web):7000" -
	assert_output "hello 10.99.0.2"
	podckpt checkpoint -o web.tar web
	podckpt restore --verify -d --net bridge:br9 web.tar
	run on_other timeout 120 socat -t 60 -T 60 "TCP:$(pod_ip web):7000" -
	assert_output "hello 10.99.0.2"
}

@test "what cannot be a pod's bridge is refused" {
	two_hosts
	ip address add 10.99.0.1/24 dev br9
	run podckpt run -d --net bridge: -- sleep 1000
	assert_failure
	assert_output --partial "--net 'bridge:': a name is missing behind 'bridge:'"
	run podckpt run -d --net bridge:wire -- sleep 1000
	assert_failure
	assert_output --partial "link 'wire' is not a bridge"
	run podckpt run -d --net bridge:a/b -- sleep 1000
	assert_failure
	assert_output --partial "'a/b' cannot be the name of a bridge"
	run podckpt run -d --net bridge:br9 --subnet 10.98.0.0/24 -- sleep 1000
	assert_failure
	assert_output --partial "bridge 'br9' already has the subnet 10.99.0.0/24 and not 10.98.0.0/24"
	ip link set br9 down
	run podckpt run -d --net bridge:br9 -- sleep 1000
	assert_failure
	assert_output --partial "bridge 'br9' is down; bring it up (ip link set br9 up)"
}

networks() {
	podckpt network ls --format json | jq -r ".networks[] | select(.name == \"$1\") | $2"
}

@test "two hosts on one VXLAN: their pods reach each other by addresses of one subnet" {
	unshare -n sleep 1000 3>&- &
	other=$!
	until_ok 120 differs
	ip link add wire type veth peer name far netns "/proc/$other/ns/net"
	ip address add 198.51.100.1/24 dev wire
	ip link set wire up
	on_other ip address add 198.51.100.2/24 dev far
	on_other ip link set far up
	on_other ip link set lo up
	run podckpt network create br9 --vxlan 239.1.1.1 --dev wire --id 77
	assert_failure
	assert_output --partial "a bridge with a VXLAN needs a subnet, the same on every host: --subnet"
	podckpt network create br9 --vxlan 239.1.1.1 --dev wire --id 77 --subnet 10.99.0.0/24
	on_other "$PODCKPT" network create br9 --vxlan 239.1.1.1 --dev far --id 77 --subnet 10.99.0.0/24
	assert_equal "$(networks br9 '.address, .ports[], .own')" "$(printf '10.99.0.1/24\nvx-br9\ntrue')"
	run on_other ip -4 -br address show br9
	assert_output --partial 10.99.0.2/24
	# Nobody was asked for these, and they are in one subnet.
	assert_equal "$(networks br9 .address6)" fd40:2352:b44b:a63::a63:1/64
	run on_other ip -6 -br address show br9
	assert_output --partial fd40:2352:b44b:a63::a63:2/64
	net_server web --net bridge:br9
	run on_other timeout 120 socat -t 60 -T 60 "TCP:$(pod_ip web):7000" -
	assert_output "hello 10.99.0.2"
	run on_other timeout 120 socat -t 60 -T 60 "TCP6:[$(pod_field web ip6)]:7000" -
	assert_output --partial "Connection refused" # the server is there for IPv4
	run podckpt network rm br9
	assert_failure 10
	assert_output --partial "bridge 'br9' is in use by the pod at $(pod_ip web); end them first"
	podckpt rm -f web
	podckpt network rm br9
	run ip link show vx-br9
	assert_failure
}

@test "a network card becomes the uplink of a bridge, unless it has addresses or belongs to another" {
	two_hosts 10.99.0.2/24
	run podckpt network create lan --uplink wire
	assert_failure 10
	assert_output --partial "link 'wire' already belongs to 'br9'; take it out first (ip link set wire nomaster), or use that one"
	ip link delete br9
	ip address add 198.51.100.7/24 dev wire
	run podckpt network create lan --uplink wire
	assert_failure 10
	assert_output --partial "link 'wire' has the address 198.51.100.7/24, by which this host is not reached any more"
	ip address flush dev wire
	run podckpt network create lan --uplink wire --subnet 10.99.0.2/24
	assert_failure 8
	assert_output --partial "address 10.99.0.2 is taken: $(far_mac) answers for it"
	run podckpt network ls
	refute_output --partial lan
	podckpt network create lan --uplink wire --subnet 10.99.0.0/24
	net_server web --net bridge:lan
	run on_other timeout 120 socat -t 60 -T 60 "TCP:$(pod_ip web):7000" -
	assert_output "hello 10.99.0.2"
	podckpt rm -f web
	podckpt network rm lan
	run ip link show wire
	assert_success
	refute_output --partial master
}

@test "bridges that others made are shown and left alone" {
	two_hosts
	ip address add 10.99.0.1/24 dev br9
	run podckpt network ls
	assert_output --regexp "br9 +10\.99\.0\.1/24 +- +0 +up +others +wire"
	run podckpt network rm br9
	assert_failure
	assert_output --partial "bridge 'br9' was not made by podckpt network create; it is left alone"
	run podckpt network rm wire
	assert_failure
	assert_output --partial "there is no bridge 'wire' on this host"
	run podckpt network create br9
	assert_failure 8
	assert_output --partial "link 'br9' exists"
	run podckpt network create plain --subnet 10.99.0.0/25
	assert_failure
	assert_output --partial "subnet 10.99.0.0/25 overlaps an address of this host"
	run podckpt network create plain --uplink nothing
	assert_failure
	assert_output --partial "there is no link 'nothing' on this host"
	run podckpt network create a.b
	assert_failure
	assert_output --partial "'a.b' cannot be the name of a bridge for pods"
	podckpt network create plain
	net_server web --net bridge:plain
	run timeout 120 socat -t 60 -T 60 "TCP:$(pod_ip web):7000" -
	assert_output --partial hello
	podckpt rm -f web
	podckpt network rm plain
	run podckpt network sell
	assert_failure 2
}
