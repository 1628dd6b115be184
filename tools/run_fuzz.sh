#!/bin/sh
# Each fuzz target for T seconds, from its seed inputs under fuzz/seed/<target> when there are any.
set -eu
build=$1
seconds=$2
for target in "$build"/fuzz_*; do
  [ -x "$target" ] && [ -f "$target" ] || continue
  name=$(basename "$target")
  mkdir -p "$build/corpus/$name"
  seeds=""
  [ -d "fuzz/seed/$name" ] && seeds="fuzz/seed/$name"
  echo "fuzz: $name for $seconds s"
  # shellcheck disable=SC2086
  "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
    -artifact_prefix="$build/$name-" "$build/corpus/$name" $seeds 2>&1 | grep -E "stat::number_of_executed|ERROR|SUMMARY" || true
  if ls "$build/$name-"* >/dev/null 2>&1; then
    echo "fuzz: $name found something: $(ls "$build/$name-"*)" >&2
    exit 1
  fi
done
echo "fuzz: nothing found"
