# Says what this host is, each line with a marker, a word and a value. It is read
# whole before it runs, so that standard input is free for what comes after it.
say() { printf '%s %s %s\n' "$marker" "$1" "$2"; }
each() { sed "s/^/$marker $1 /"; }

# holder is who has a lock, and when it was heard of.
holder() { printf '%s, heard of %d s ago' "$(cat "$1")" $(($(date +%s) - $(stat -c %Y "$1"))); }

# hold takes the lock of the deployment and keeps it until standard input ends.
hold() {
	where=/run/lock
	[ -d $where ] || where=/run
	lock=$where/ainur-$deployment
	if ! command -v flock >/dev/null; then
		say nolock "flock is not installed"
		lock=
		return
	fi
	while :; do
		exec 9<>"$lock" || exit 1
		if ! flock -n 9; then
			say busy "$(holder "$lock")"
			flock 9
		fi
		[ "$lock" -ef /proc/self/fd/9 ] && break
	done
	printf '%s\n' "$owner" >"$lock"
	# What somebody whose connection was lost has begun here may still go on.
	if [ -d "$home" ] && exec 8<"$home"; then
		flock 8
		exec 8<&-
	fi
}

gather() {
	say machine "$(uname -m)"
	say uid "$(id -u)"
	say cores "$(nproc 2>/dev/null || grep -c ^processor /proc/cpuinfo)"
	if [ -d /run/systemd/system ]; then
		say systemd yes
		say file "service irqbalance:$(systemctl is-active irqbalance)"
	fi
	for path in $exists; do
		[ -e "$path" ] && say exists "$path"
	done
	for name in $programs; do
		at=$(command -v "$name") && say program "$name $at"
	done
	if [ -n "$packages" ]; then
		if command -v dpkg-query >/dev/null; then
			dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null | grep '^installed ' | each package
		elif command -v rpm >/dev/null; then
			rpm -q --qf 'installed %{NAME}\n' $packages | grep '^installed ' | each package
		fi
	fi
	if [ -e "$binary" ]; then
		stat=$(stat -c '%s %i %Y %Z' "$binary")
		say stat "$stat"
		# What was hashed and is the same file since is not hashed again.
		case $(cat "$home/manifest.json" 2>/dev/null) in
		*"\"stat\":\"$stat\""*) say unchanged yes ;;
		*) say sha256 "$(sha256sum "$binary" | cut -d ' ' -f 1)" ;;
		esac
	fi
	ls -l /proc/[0-9]*/exe 2>/dev/null | grep -F -e "-> $root/" | while IFS= read -r line; do
		pid=${line#*/proc/}
		pid=${pid%%/*}
		# Of another host on this machine, where the same path is another file.
		[ "/proc/$pid/ns/mnt" -ef /proc/self/ns/mnt ] || continue
		read -r stat 2>/dev/null <"/proc/$pid/stat" && say process "$stat"
	done
	for path in "$root" "$home"; do
		while [ ! -e "$path" ]; do path=${path%/*}; done
		say free "$(df -Pk "${path:-/}" | sed -n '$p')"
	done
	who 2>/dev/null | each user
	if [ -n "$full" ]; then
		for name in containerd runc docker; do
			command -v $name >/dev/null && say version "$name $($name --version 2>/dev/null | sed -n 1p)"
		done
		command -v crun >/dev/null && say version "crun there" # to ask it makes a folder
		cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep ' 0A ' | each listens
	fi
	for path in /run/lock/ainur-$deployment /run/ainur-$deployment; do
		[ -z "$owner" ] && [ -f "$path" ] && ! flock -n "$path" true && say lock "$path $(holder "$path")"
	done
	# One line of a file at a time, with its path before it. Paths may be patterns, and
	# overlap.
	grep -H '' $(printf '%s\n' $* | sort -u) 2>/dev/null | each file
}

# heard waits for a line: when the holder of a lock gives its patience, for no longer,
# since a connection may be lost without a word.
heard() {
	if [ -z "$patience" ]; then
		read -r question
	else
		question=$(timeout "$patience" sh -c 'read -r line && printf %s "$line"' 9>&-)
	fi
}

main() {
	marker=$1 owner=$2 deployment=$3 root=$4 home=$5 exists=$6 programs=$7 packages=$8 full=$9
	shift 9
	binary=$root/bin/ainur lock=
	LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
	export LC_ALL PATH
	[ -n "$owner" ] && hold
	gather "$@" </dev/null
	say end now
	patience=
	while heard; do
		case $question in
		beat*)
			[ -n "$lock" ] && touch "$lock"
			timeout 9 true && patience=${question#beat }
			;;
		*) say clock "$(date +%s%N)" ;;
		esac
	done
	[ -n "$lock" ] && [ "$lock" -ef /proc/self/fd/9 ] && rm -f "$lock"
	return 0
}

main "$@"; exit
