#!/bin/sh
# The check of the two commands: a bare Debian 12 with git and make in FOLDER, this working tree copied into it, and there
# each make target in turn, as root, timed. Nothing of this machine is seen from inside but its way to the networks: Debian's
# package sources and apt's proxies, name servers, locally trusted certificates, npm's registry.
#
#   sh tools/fresh_root.sh FOLDER [TARGET ...]        default: setup build run test
set -eu

[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$1
shift
[ $# -gt 0 ] || set -- setup build run test
[ "$(id -u)" = 0 ] || { echo "fresh_root: chroot needs root: sudo sh tools/fresh_root.sh $root" >&2; exit 1; }
[ ! -e "$root" ] || [ -z "$(ls -A "$root")" ] || { echo "fresh_root: $root is not empty" >&2; exit 1; }
here=$(cd "$(dirname "$0")/.." && pwd)
sh "$here/tools/setup.sh" root
mkdir -p "$root"
root=$(cd "$root" && pwd)

# Debian's own sources of this machine; the first address in them is where the root is made from
sources=""
for f in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
  [ -s "$f" ] && sources="$sources $f"
done
# shellcheck disable=SC2086
mirror=$([ -z "$sources" ] || sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' $sources | head -1)
[ -n "$mirror" ] || { echo "fresh_root: no Debian source found under /etc/apt" >&2; exit 1; }

now() { date +%s; }
begin=$(now)
echo "fresh_root: Debian 12 from $mirror into $root"
debootstrap --variant=minbase --include=git,make bookworm "$root" "$mirror" >"$root.log" 2>&1 || {
  tail -20 "$root.log" >&2
  exit 1
}
rm -f "$root.log"
if [ -n "$sources" ]; then
  rm -f "$root/etc/apt/sources.list"
  # shellcheck disable=SC2086
  for f in $sources; do cp "$f" "$root${f}"; done
fi
apt-config dump | grep -E '^Acquire::(http|https|ftp)::Proxy' >"$root/etc/apt/apt.conf.d/90proxy" || true
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
if [ -d /usr/local/share/ca-certificates ]; then
  mkdir -p "$root/usr/local/share/ca-certificates"
  cp -RL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
fi

# what git would take, as it stands in the working tree
mkdir -p "$root/doppel"
git -C "$here" ls-files -z --cached --others --exclude-standard |
  tar -C "$here" --null --ignore-failed-read -T - -cf - 2>/dev/null | tar -C "$root/doppel" -xf -

mount -t proc proc "$root/proc"
trap 'umount "$root/proc"' EXIT
echo "fresh_root: made in $(($(now) - begin)) s; $(chroot "$root" dpkg-query -W | wc -l) packages"

inside() {
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    ${no_proxy:+no_proxy="$no_proxy"} ${registry:+NPM_CONFIG_REGISTRY="$registry"} \
    chroot "$root" sh -c "cd /doppel && $1" </dev/null
}
registry=$(npm config get registry 2>/dev/null || true)
times=""
for target in "$@"; do
  begin=$(now)
  code=0
  inside "make $target" || code=$?
  times="$times
fresh_root: make $target: $(($(now) - begin)) s, exit code $code"
  [ "$code" = 0 ] || break
done
echo "$times"
echo "fresh_root: $(chroot "$root" dpkg-query -W | wc -l) packages, $(du -sm "$root" --exclude=proc | cut -f1) MB; remove with: rm -rf $root"
exit "$code"
