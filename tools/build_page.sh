#!/bin/sh
# Build the page's template web/dist/report.html; installs the locked npm packages first when they are not there.
set -eu
cd "$1"
command -v npm >/dev/null || { echo "npm is needed to build the page: run tools/setup.sh" >&2; exit 1; }
# npm writes this file last: an installation that was broken off does not count
whole=node_modules/.package-lock.json
if [ ! -f $whole ] || [ package-lock.json -nt $whole ]; then
  npm ci --no-audit --no-fund --loglevel=error
  touch $whole
fi
npm run --silent build
