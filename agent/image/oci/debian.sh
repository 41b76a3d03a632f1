# Finishes a root filesystem of Debian packages, which were unpacked and not set up. $1 is its folder.
set -e
cd "$1"
# Debian chooses between libraries of linear algebra when it sets packages up.
for dir in usr/lib/*/blas usr/lib/*/lapack; do
	if [ -d "$dir" ]; then echo "/$dir" >> etc/ld.so.conf; fi
done
ldconfig -r .
# Without bytecode, python3 compiles what it imports each time it starts from a filesystem it may not write to.
if [ -e usr/bin/python3 ]; then
	for dir in usr/lib/python3*; do
		chroot . /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash "/$dir" || true # some files are of other versions of Python
	done
fi
rm -rf var/lib/apt var/cache/* usr/share/doc usr/share/man usr/share/locale
