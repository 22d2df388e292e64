#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The network of apps: a bridge without a way to the device, and a pair of interfaces for each app that may use it.
#
#   network.sh start | stop                      the bridge and its rules: mbl-apps-network.service
#   network.sh up SLOT [outbound] [PROTOCOL:PUBLISHED:PORT...]
#                                                as a createRuntime hook (OCI runtime-spec 1.1, "hooks"), with the container's state on the
#                                                standard input: gives the app eth0, its address, and these ports of the device;
#                                                "outbound": it may open connections
#   network.sh down SLOT [outbound] [PROTOCOL:PUBLISHED:PORT...]
#                                                takes back what of it did not go with the container
#
# The app of slot N has 198.18.0.0 + N + 2, the bridge 198.18.0.1. These addresses are for measurements of networks (RFC 2544, RFC 6890):
# a network that a device is in does not have them. SLOT is 0 to 65000.
set -eu
PATH=/usr/sbin:/usr/bin
export PATH

bridge=br-apps
gateway=198.18.0.1

# crun keeps to itself what a hook says on its standard error.
fail() {
	systemd-cat -t mbl-apps-network -p err echo "${name-}${name+: }$*" || echo "network of apps: $*" >&2
	exit 1
}

is_number() {
	case $1 in '' | *[!0-9]* | 0?* | ??????*) return 1 ;; esac
	[ "$1" -le "$2" ]
}

start() {
	ip link add "$bridge" type bridge forward_delay 0 mcast_snooping 0
	echo 1 >/proc/sys/net/ipv6/conf/$bridge/disable_ipv6
	ip addr add $gateway/16 dev "$bridge"
	# The rules before anything is forwarded.
	nft -f /usr/lib/mbl/apps/network.nft
	ip link set "$bridge" up
	echo 1 >/proc/sys/net/ipv4/ip_forward
}

stop() {
	echo 0 >/proc/sys/net/ipv4/ip_forward
	ip link delete "$bridge" || :
	nft delete table inet mbl_apps || :
}

# The one member of the state that counts: "pid": 123
read_pid() {
	state=
	while read -r line || [ -n "$line" ]; do
		state=$state$line
	done
	pid=${state#*\"pid\":}
	pid=${pid# }
	pid=${pid%%[!0-9]*}
	[ -n "$pid" ] && [ -d "/proc/$pid" ] || fail "the state of the container names no process"
}

# A service of the device must not be cut off from its own port.
is_served() {
	hex=$(printf %04X "$2")
	for file in "/proc/net/$1" "/proc/net/${1}6"; do
		[ -r "$file" ] || continue
		while read -r _ local _ state _; do
			[ "${local##*:}" = "$hex" ] || continue
			# Listening, and of UDP what has no peer.
			case $1$state in tcp0A | udp07) return 0 ;; esac
		done <"$file"
	done
	return 1
}

# "tcp:8080:80"
read_port() {
	protocol=${1%%:*} rest=${1#*:}
	published=${rest%%:*} port=${rest#*:}
	case $protocol in tcp | udp) ;; *) fail "$1 is no port" ;; esac
	is_number "$published" 65535 && is_number "$port" 65535 && [ "$published" -gt 0 ] && [ "$port" -gt 0 ] ||
		fail "$1 is no port"
}

up() {
	# Out of the app's own limits, which may be for fewer processes than this takes; crun bounds the time.
	echo $$ >/sys/fs/cgroup/cgroup.procs || :
	elements=
	for entry in "$@"; do
		read_port "$entry"
		! is_served "$protocol" "$published" || fail "the device itself serves $protocol $published"
		elements="$elements${elements:+, }$protocol . $published : $address . $port"
	done
	read_pid
	ip link delete "$name" 2>/dev/null || :
	ip link add "$name" type veth peer name eth0 netns "$pid"
	ip link set "$name" master "$bridge" up
	ip link set "$name" type bridge_slave isolated on
	ip netns delete "$name" 2>/dev/null || :
	ip netns attach "$name" "$pid"
	done=0
	ip -n "$name" -batch - <<-END || done=$?
		addr add $address/16 dev eth0
		link set lo up
		link set eth0 up
		route add default via $gateway
	END
	ip netns delete "$name"
	[ "$done" = 0 ] || fail "$name has no address"
	[ -z "$outbound" ] || nft add element inet mbl_apps outbound "{ $address }"
	[ -z "$elements" ] || nft add element inet mbl_apps published "{ $elements }" || fail "a port is another app's"
}

down() {
	for entry in "$@"; do
		read_port "$entry"
		key="{ $protocol . $published }"
		# Another app's stays: this one was refused it.
		case $(nft get element inet mbl_apps published "$key" 2>/dev/null) in
		*": $address . $port "*) nft delete element inet mbl_apps published "$key" 2>/dev/null || : ;;
		esac
	done
	nft delete element inet mbl_apps outbound "{ $address }" 2>/dev/null || :
	ip link delete "$name" 2>/dev/null || :
}

[ $# -gt 0 ] || fail "start, stop, up or down"
command=$1
shift
case $command in
start | stop) "$command" ;;
up | down)
	is_number "${1-}" 65000 || fail "which slot?"
	name=app$1
	host=$(($1 + 2))
	address=198.18.$((host / 256)).$((host % 256))
	shift
	outbound=
	if [ "${1-}" = outbound ]; then
		outbound=yes
		shift
	fi
	"$command" "$@"
	;;
*) fail "start, stop, up or down" ;;
esac
