#!/bin/sh
# The tests on arm64, on an x86-64 Debian: cross-compiled, run under qemu's user emulation. FOLDER gets Debian's arm64 libraries
# (root, once, 1.5 GB) and the build; words after it choose tests by name (default: mathematics, lanes, tapes, machine code,
# integrators, equations). Needs no root but for installing packages.
#
#   sh tools/arm64.sh FOLDER [NAME ...]
set -eu

[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1
shift
[ $# -gt 0 ] || set -- mathfn philox smallmat linear_belief lane tape graph reverse jit solve event_pool equations sim_spokes conformance sketch
here=$(cd "$(dirname "$0")/.." && pwd)
sh "$here/tools/setup.sh" arm64
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
root=$folder/root

if [ ! -e "$root/.complete" ]; then
  echo "arm64: Debian's arm64 libraries into $root"
  # only the first stage: packages are unpacked, nothing of them is run
  debootstrap --foreign --arch=arm64 --variant=minbase \
    --include=libc6-dev,libgcc-12-dev,libstdc++-12-dev,libsundials-dev,libsuitesparse-dev,libsbml5-dev,coinor-libclp-dev,libsleef-dev,libyaml-dev,libjansson-dev,libssl-dev,libcmocka-dev,libllvm19 \
    bookworm "$root" >"$folder/root.log" 2>&1 || { tail -5 "$folder/root.log" >&2; exit 1; }
  for package in "$root"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$root" 2>>"$folder/root.log"; done
  : >"$root/.complete"
fi
# the links that Debian's alternatives make when packages are installed
libraries=$root/usr/lib/aarch64-linux-gnu
ln -sf blas/libblas.so.3 lapack/liblapack.so.3 "$libraries"
# headers of LLVM's C interface are the same for all processors: this machine's serve
llvm=/usr/lib/llvm-19/include
[ -e "$llvm/llvm-c/Core.h" ] && set_llvm=-DLLVM19_INCLUDE=$llvm || set_llvm=-DDOPPEL_LLVM=OFF

cmake -S "$here" -B "$folder/build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$here/cmake/arm64.cmake" -DDOPPEL_ARM64_ROOT="$root" "$set_llvm" \
  >"$folder/configure.log" 2>&1 || { cat "$folder/configure.log" >&2; exit 1; }
pattern=$(printf '|%s' "$@")
pattern="test_.*(${pattern#|})"
cd "$folder/build"
targets=$(ctest -N -R "$pattern" | sed -n 's/^ *Test *#[0-9]*: //p')
# shellcheck disable=SC2086
ninja -j"$(nproc)" $targets
ctest -R "$pattern" --output-on-failure -j"$(nproc)"
