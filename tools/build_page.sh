#!/bin/sh
# Build the page's template web/dist/report.html; installs the locked npm packages first when they are not there.
set -eu
cd "$1"
command -v npm >/dev/null || { echo "npm is needed to build the page: run tools/setup.sh" >&2; exit 1; }
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules ]; then
  npm ci --no-audit --no-fund --loglevel=error
  touch node_modules
fi
npm run --silent build
