#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Counts how often the health command of an app failed in a row: app-health.sh NAME begin, at each start of the app; NAME end MOST, after each run of
# the command, with systemd's SERVICE_RESULT. After MOST failures the app starts anew. Nothing of ours stays in memory for it.
file=/run/mbl/apps/$1/failures
case $2 in
begin) : >"$file" ;;
end)
	# Its release is on trial: mbl-apps asks too, counts itself, and takes the release back rather than starting the app anew.
	[ ! -e "/run/mbl/apps/$1/trial" ] || exit 0
	if [ "$SERVICE_RESULT" = success ]; then
		: >"$file"
		exit
	fi
	read -r count <"$file" 2>/dev/null
	count=$((${count:-0} + 1))
	if [ "$count" -ge "$3" ]; then
		: >"$file"
		echo "the health command failed $count times: the app starts anew"
		# Not one that is being stopped.
		exec systemctl try-restart --no-block "mbl-app-$1.service"
	fi
	echo "$count" >"$file"
	;;
esac
