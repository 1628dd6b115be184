#!/bin/sh
# Somebody else's suite through the command line, as CTest runs it: unpack the archive into the build folder once, judge.
#
#   sh tools/run_suite.sh DOPPEL BUILD ARCHIVE|FILE NAME [options of doppel suite]
set -eu
doppel=$1
build=$2
archive=$3
name=$4
shift 4
if [ ! -f "$archive" ]; then
  echo "skipped: ../shared not there"
  exit 0
fi
case $archive in
  *.tar.xz) ;;
  *) exec "$doppel" suite "$name" "$archive" "$@" ;; # a plain file or a folder
esac
place=$build/suites/$(basename "$archive" .tar.xz)
if [ ! -d "$place" ]; then
  mkdir -p "$build/suites"
  part=$(mktemp -d "$build/suites/part.XXXXXX")
  tar -xJf "$archive" -C "$part"
  # two tests may unpack at once: the second finds the place taken and drops its own
  mv -T "$part" "$place" 2>/dev/null || rm -rf "$part"
fi
# the cases lie in the archive's one folder, or at its top
folder=$place
inner=$(find "$place" -mindepth 1 -maxdepth 1)
[ -d "$inner" ] && folder=$inner
exec "$doppel" suite "$name" "$folder" "$@"
