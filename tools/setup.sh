#!/bin/sh
# Install what building, running and testing need, as Debian 12 packages. Does nothing when all is there.
#
#   sh tools/setup.sh          what make run and make test need
#   sh tools/setup.sh fuzz     also Clang with its sanitizers and libFuzzer
#   sh tools/setup.sh root     also debootstrap (tools/fresh_root.sh)
#   sh tools/setup.sh mpi      also Open MPI: the plug-in for mpirun, and its test
#   sh tools/setup.sh arm64    also a cross compiler, qemu and debootstrap (tools/arm64.sh)
set -eu

packages="gcc g++ libc6-dev cmake ninja-build pkg-config python3 xz-utils ca-certificates
libsundials-dev libsuitesparse-dev libsbml5-dev coinor-libclp-dev libsleef-dev libyaml-dev libjansson-dev libssl-dev libcmocka-dev libnlopt-dev
libllvm19 llvm-19-dev"
for word in "$@"; do
  case $word in
    fuzz) packages="$packages clang libclang-rt-dev" ;;
    root) packages="$packages debootstrap" ;;
    mpi) packages="$packages libopenmpi-dev openmpi-bin" ;;
    arm64) packages="$packages gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user-static debootstrap" ;;
    *) echo "setup: unknown word '$word', expected fuzz, root, mpi or arm64" >&2; exit 2 ;;
  esac
done

# The page is built with Node.js: one that stands on the PATH already, from wherever, is used when it is new enough.
if ! command -v npm >/dev/null 2>&1 || ! command -v node >/dev/null 2>&1; then
  packages="$packages nodejs npm"
elif ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 18 || (a == 18 && b >= 19) ? 0 : 1)'; then
  echo "setup: building the page needs Node.js 18.19 or newer, found $(node --version) at $(command -v node)" >&2
  exit 1
fi

if ! command -v apt-get >/dev/null 2>&1; then
  if command -v cmake >/dev/null 2>&1 && command -v ninja >/dev/null 2>&1; then exit 0; fi
  echo "setup: no apt-get on this machine; please install what these Debian packages hold:" $packages >&2
  exit 1
fi

# the runtime library of a Clang that was installed under its number counts too
there=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' |
  sed 's/^libclang-rt-[0-9]*-dev$/libclang-rt-dev/')
missing=""
for p in $packages; do
  case "
$there
" in
    *"
$p
"*) ;;
    *) missing="$missing $p" ;;
  esac
done
[ -n "$missing" ] || exit 0

as=""
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null 2>&1 || {
    echo "setup: not root and no sudo here; as root: apt-get install$missing" >&2
    exit 1
  }
  as="sudo"
fi
echo "setup: installing Debian packages:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  $as env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 "$@" >"$log" 2>&1 || {
    cat "$log" >&2
    echo "setup: apt-get $1 failed (above); as root: apt-get update && apt-get install$missing" >&2
    exit 1
  }
}
apt update
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing
echo "setup: done"
