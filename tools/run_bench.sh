#!/bin/sh
# Build the benchmarks in a build folder and run them all: one table, and the same as <build>/bench.json.
#
#   sh tools/run_bench.sh BUILD [options of bench/bench_all.py]
set -eu
build=$1
shift
for wrong in DOPPEL_SANITIZE:BOOL=ON DOPPEL_FUZZ:BOOL=ON CMAKE_BUILD_TYPE:STRING=Debug; do
  if grep -q "^$wrong" "$build/CMakeCache.txt"; then
    echo "bench: $build is built with $wrong; timings need the ordinary build" >&2
    exit 1
  fi
done
targets=$(ninja -C "$build" -t targets all | sed -nE "s/^(bench_[a-z0-9_]+|doppel|logistic_plugin): .*/\1/p" | sort -u)
# shellcheck disable=SC2086
ninja -C "$build" $targets >"$build/bench.log" || { cat "$build/bench.log" >&2; exit 1; }
exec python3 bench/bench_all.py "$build" "$@"
