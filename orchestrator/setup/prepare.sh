# Makes the folder of a deployment's state with its first manifest in it, so that
# whenever this ends, nothing unknown is there.
set -eu
umask 022
state=$1 deployment=$2 manifest=$3
home=$state/$deployment
[ ! -s "$home/manifest.json" ] || exit 0
# What was cut off on its way in or out.
at=$home
while [ -n "$at" ]; do
	rm -rf "${at%/*}/.ainur-$deployment.new"
	at=${at%/*}
done
top=$home
while [ -n "${top%/*}" ] && [ ! -e "${top%/*}" ]; do top=${top%/*}; done
new=${top%/*}/.ainur-$deployment.new
mkdir "$new"
mkdir -p "$new/it${home#"$top"}"
printf '%s\n' "$manifest" >"$new/it${home#"$top"}/manifest.json"
sync "$new/it${home#"$top"}/manifest.json" 2>/dev/null || sync
mv "$new/it" "$top"
rmdir "$new"
