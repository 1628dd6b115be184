#!/bin/sh
# Run the tests of a build folder through CTest and count what was skipped because ../shared is not there.
# With DOPPEL_TEST_ALL=1 also what is labelled "whole": suites and studies from end to end, minutes each.
set -u
build=$1
export UBSAN_OPTIONS=print_stacktrace=1
set -- --output-on-failure --no-tests=error -j "$(nproc)"
[ "${DOPPEL_TEST_ALL:-}" = 1 ] || set -- "$@" -LE whole
ctest --test-dir "$build" "$@"
code=$?
log=$build/Testing/Temporary/LastTest.log
echo "skipped because ../shared is not there: $(grep -c '^ *skipped: ../shared not there' "$log")"
exit $code
