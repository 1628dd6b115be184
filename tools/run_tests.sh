#!/bin/sh
# Run the tests of a build folder through CTest; count and name what was skipped because ../shared is not there.
# With DOPPEL_TEST_ALL=1 also what is labelled "whole": suites and studies from end to end, minutes each.
set -u
build=$1
export UBSAN_OPTIONS=print_stacktrace=1
set -- --output-on-failure --no-tests=error -j "$(nproc)"
[ "${DOPPEL_TEST_ALL:-}" = 1 ] || set -- "$@" -LE whole
ctest --test-dir "$build" "$@"
code=$?
log=$build/Testing/Temporary/LastTest.log
awk '/^[0-9]+\/[0-9]+ Testing: / { test = $3 }
     /^ *skipped: \.\.\/shared not there/ { n++; if (!(test in seen)) { seen[test] = 1; names = names " " test } }
     END { printf "skipped because ../shared is not there: %d%s\n", n, names ? " (in" names ")" : "" }' "$log"
exit $code
