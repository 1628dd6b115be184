#!/bin/sh
# Run the tests through CTest and say what was skipped because ../shared is not there.
set -u
build=$1
export UBSAN_OPTIONS=print_stacktrace=1
ctest --test-dir "$build" --output-on-failure -j"$(nproc)" --no-tests=error >"$build/tests.log" 2>&1
code=$?
cat "$build/tests.log"
skipped=$(cat "$build"/Testing/Temporary/LastTest.log 2>/dev/null | grep -c "skipped: ../shared not there" || true)
echo "skipped because ../shared is not there: $skipped"
grep -h "skipped: ../shared not there" "$build"/Testing/Temporary/LastTest.log 2>/dev/null | sort | uniq -c || true
exit $code
