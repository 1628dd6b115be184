#!/bin/sh
# Install what building, running and testing need: Debian packages by name. Says what it does; does nothing when all is there.
set -eu
packages="gcc g++ cmake ninja-build pkg-config python3 libsundials-dev libsleef-dev libyaml-dev libjansson-dev libssl-dev
libcmocka-dev xz-utils ca-certificates"
[ "${DOPPEL_SETUP_EXTRA:-}" ] && packages="$packages $DOPPEL_SETUP_EXTRA"
# Node.js and npm build the page; an installation that is there already (of version 18 or newer) is used
if ! command -v npm >/dev/null 2>&1; then packages="$packages nodejs npm"; fi
missing=""
for p in $packages; do
  case "$(dpkg-query -W -f='${Status}' "$p" 2>/dev/null || true)" in
    *"install ok installed"*) ;;
    *) missing="$missing $p" ;;
  esac
done
command -v gcc >/dev/null 2>&1 || missing="$missing gcc"
[ -z "$missing" ] && exit 0
echo "setup: installing Debian packages:$missing"
if [ "$(id -u)" = 0 ]; then as=""; elif command -v sudo >/dev/null 2>&1; then as="sudo"; else
  echo "setup: not root and no sudo; please install:$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$as apt-get update -qq
# shellcheck disable=SC2086
$as apt-get install -y -qq --no-install-recommends $missing >/dev/null
echo "setup: done"
