#!/bin/sh
# Each fuzz target for T seconds, from its seed inputs under fuzz/seed/<target> when there are any. What one finds stays in
# <build>/found/<target>/ and stops the run; replay it with <build>/<target> FILE. A third argument other than 0 seeds the
# walk, so that what a check says depends on the change and not on chance.
set -eu
build=$1
seconds=$2
seed=${3:-0}
ntarget=0
for target in "$build"/fuzz_*; do
  [ -x "$target" ] && [ -f "$target" ] || continue
  name=$(basename "$target")
  found=$build/found/$name
  log=$build/$name.log
  mkdir -p "$build/corpus/$name" "$found"
  set -- "$build/corpus/$name"
  [ -d "fuzz/seed/$name" ] && set -- "$@" "fuzz/seed/$name"
  code=0
  "$target" -seed="$seed" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$found/" "$@" \
    >"$log" 2>&1 || code=$?
  if [ "$code" != 0 ]; then
    grep -vE '^#[0-9]+.(NEW|REDUCE|pulse)' "$log" | tail -60 >&2
    echo "fuzz: $name stopped with exit code $code; inputs in $found/: $(ls "$found")" >&2
    exit 1
  fi
  echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s," \
    "$(grep -oE 'cov: [0-9]+' "$log" | tail -1)"
  ntarget=$((ntarget + 1))
done
[ "$ntarget" -gt 0 ] || { echo "fuzz: no target in $build" >&2; exit 1; }
echo "fuzz: $ntarget targets, nothing found"
