#!/bin/sh
# Manual page from the program's own tables; API pages from the public headers when doxygen is there.
set -eu
build=$1
out=$build/docs
mkdir -p "$out"
[ -x "$build/doppel" ] || { echo "docs: build first (make build)" >&2; exit 1; }
"$build/doppel" --manual >"$out/doppel.1"
echo "docs: $out/doppel.1"
if command -v doxygen >/dev/null 2>&1; then
  printf 'PROJECT_NAME=Doppel\nINPUT=include/doppel ARCHITECTURE.md README.md docs\nRECURSIVE=YES\nEXTRACT_ALL=YES\nJAVADOC_AUTOBRIEF=YES\nOPTIMIZE_OUTPUT_FOR_C=YES\nGENERATE_LATEX=NO\nQUIET=YES\nWARNINGS=NO\nOUTPUT_DIRECTORY=%s\n' "$out" | doxygen - >/dev/null
  echo "docs: $out/html/index.html"
else
  echo "docs: doxygen is not installed; API pages left out"
fi
