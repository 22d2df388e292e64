#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The usual start: everything that the board writes to is as it was left, so it is mounted, and that is all. Whatever is not usual is for
# storage.mjs, which starts a second later and mends. Nothing but builtins where it can be: each process counts on a slow board.
disks=/run/mbl/disk

# Its label says that a file system was made to the end, its state that the kernel found no error in it.
mount_volume() {
	facts=$(tune2fs -l "$disks/$1" 2>/dev/null) || return 1
	case $facts in *"
Filesystem volume name:   mbl-$1
"*) ;; *) return 1 ;; esac
	case $facts in *"
Filesystem state:         clean
"*) ;; *) return 1 ;; esac
	mount -t ext4 -o "$2" "$disks/$1" "/$1" 2>/dev/null
}

is_folder() { [ -d "$1" ] && [ ! -L "$1" ]; }

# Links and files in the place of folders that services write to.
usual_contents() {
	for folder in /data/var /data/home /data/var/lib /config/ssh /config/incidents /config/update /config/identity \
		/data/apps /data/apps/incoming /data/apps/orders /data/apps/installed /data/apps/installed/teams \
		/data/apps/installed/images /data/apps/installed/accepted /data/apps/volumes; do
		is_folder "$folder" || return 1
	done
	for entry in /data/var/* /data/var/lib/*; do
		case $entry in /data/var/run | /data/var/lock) continue ;; esac
		is_folder "$entry" || return 1
	done
	for entry in /data/var/lib/*/*; do
		[ ! -L "$entry" ] || [ "$entry" = /data/var/lib/dbus/machine-id ] || [ ! -e "$entry" ] || return 1
	done
	for entry in /config/identity/* /config/identity/.[!.]*; do
		[ -e "$entry" ] || [ -L "$entry" ] || continue
		# A file of root's is one that its service cannot read.
		[ -f "$entry" ] && [ ! -L "$entry" ] && [ ! -O "$entry" ] || return 1
	done
}

usual() {
	[ ! -e /run/mbl/notes ] || return 1
	mount_volume config rw,nosuid,nodev,noexec,noatime,errors=remount-ro || return 1
	mount_volume data rw,nosuid,nodev,noexec,noatime,errors=remount-ro,prjquota || return 1
	usual_contents || return 1
	mount -t erofs -o ro,nosuid,nodev,noexec $disks/factory /factory 2>/dev/null || return 1
	[ -s /factory/factory.json ]
}

if usual; then
	: >/run/mbl/provisioned
	exit 0
fi
for folder in /factory /data /config; do
	umount "$folder" 2>/dev/null
done
exec /usr/bin/node --disable-warning=ExperimentalWarning --max-old-space-size=64 /usr/lib/mbl/storage.mjs
