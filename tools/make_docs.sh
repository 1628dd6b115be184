#!/bin/sh
# Manual page from the program's own tables; API pages from the public headers when doxygen is there.
set -eu
build=$1
out=$build/docs
[ -x "$build/doppel" ] || { echo "docs: build first (make build)" >&2; exit 1; }
mkdir -p "$out"
"$build/doppel" --manual >"$out/doppel.1"
echo "docs: $out/doppel.1"
if ! command -v doxygen >/dev/null 2>&1; then
  echo "docs: doxygen is not installed; API pages left out"
  exit 0
fi
doxygen - >/dev/null <<END
PROJECT_NAME=Doppel
INPUT=include/doppel README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md docs $(echo src/*/README.md src/*/*/README.md bench/README.md)
USE_MDFILE_AS_MAINPAGE=README.md
RECURSIVE=YES
EXTRACT_ALL=YES
JAVADOC_AUTOBRIEF=YES
OPTIMIZE_OUTPUT_FOR_C=YES
HAVE_DOT=NO
GENERATE_LATEX=NO
QUIET=YES
WARNINGS=NO
OUTPUT_DIRECTORY=$out
END
echo "docs: $out/html/index.html"
