#!/bin/sh
# Gradients backwards, forward and by differences on models of a suite (tests/test_gradients.c), as CTest runs it.
#
#   sh tools/run_gradients.sh TEST BUILD ARCHIVE events [N]    cases of the SBML Test Suite that have events; every N-th
#   sh tools/run_gradients.sh TEST BUILD ARCHIVE shrink        how backwards and forward come together as tolerances shrink
#   sh tools/run_gradients.sh TEST BUILD ARCHIVE calibration   models of calibration problems, up to their last measurement
set -eu
test=$1
build=$2
archive=$3
what=$4
every=${5:-1}
if [ ! -f "$archive" ]; then
  echo "skipped: ../shared not there"
  exit 0
fi
place=$build/suites/$(basename "$archive" .tar.xz)
if [ ! -d "$place" ]; then
  mkdir -p "$build/suites"
  part=$(mktemp -d "$build/suites/part.XXXXXX")
  tar -xJf "$archive" -C "$part"
  mv -T "$part" "$place" 2>/dev/null || rm -rf "$part"
fi
cd "$place"
inner=$(find . -mindepth 1 -maxdepth 1)
[ -d "$inner" ] && cd "$inner"
if [ "$what" = shrink ]; then
  exec "$test" shrink Boehm_JProteomeRes2014/model_Boehm_JProteomeRes2014.xml@240
fi
if [ "$what" = events ]; then
  for law in $(grep -lE '^(componentTags|testTags):.*Event' */*-model.m); do
    for level in l3v2 l3v1 l2v5 l2v4 l2v3; do
      [ -f "${law%-model.m}-sbml-$level.xml" ] && echo "${law%-model.m}-sbml-$level.xml" && break
    done || true
  done
else
  for folder in */; do
    last=$(awk -F'\t' 'FNR == 1 {for (i = 1; i <= NF; i++) if ($i == "time") c = i}
                       FNR > 1 && $c != "inf" && $c + 0 > t {t = $c + 0} END {print (t > 0 ? t : 20)}' "$folder"measurement*.tsv)
    for model in "$folder"*.xml; do echo "$model@$last"; done
  done
fi | awk -v n="$every" 'NR % n == 0' | xargs "$test"
