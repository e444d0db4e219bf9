#!/usr/bin/env bash
# Prepares a Debian or Ubuntu machine for `make test`. Run as root; run it as often as you like.
#
# Installs what the tests need and this machine lacks (apt), starts a Docker engine when none
# answers, sees to it that cargo is there, builds stand-ins for the base images when no
# container registry can be reached, and fetches the browser tests' packages.
#
#   tests/prepare.sh [--no-docker] [--no-browser]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
docker=1 browser=1
for option in "$@"; do
    case $option in
        --no-docker) docker=0 ;;
        --no-browser) browser=0 ;;
        -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
        *) printf 'prepare.sh: error: unknown option %s. See: %s --help\n' "$option" "$0" >&2; exit 2 ;;
    esac
done

say() { printf 'prepare: %s\n' "$*"; }
fail() { printf 'prepare.sh: error: %s\n' "$@" >&2; exit 1; }

# need COMMAND PACKAGE: notes the package when the command is missing.
missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need git git
need curl curl
need jq jq
need sqlite3 sqlite3
need ssh openssh-client
need make make
need cc gcc
need unzip unzip
need xz xz-utils
need flock util-linux
need ip iproute2
need wrk wrk
need h2load nghttp2-client
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
need python3 python3
need openssl openssl
need pebble pebble
if [ $docker = 1 ]; then
    need mmdebstrap mmdebstrap
    need iptables iptables
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
fi
if [ $browser = 1 ]; then
    need node nodejs
    need npm npm
    command -v chromium-browser >/dev/null 2>&1 || need chromium chromium
fi
# Headers, not only the compiler, are needed to build the C parts of dependencies.
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
[ -s /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)

if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || fail "these packages are missing, and only root can install them: ${missing[*]}" \
        "Run: sudo $0"
    command -v apt-get >/dev/null || fail "these programs are missing, and there is no apt here: ${missing[*]}" \
        "Install them by this system's own means, then run this again."
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a
    apt-get -q update -o Acquire::Retries=3 >/dev/null ||
        fail "apt-get update failed." "Check the network and /etc/apt/sources.list."
    apt-get -q -y install --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "${missing[@]}" >/tmp/prepare-apt.$$ 2>&1 || {
        tail -n 25 /tmp/prepare-apt.$$ >&2
        rm -f /tmp/prepare-apt.$$
        fail "apt could not install the packages named above."
    }
    rm -f /tmp/prepare-apt.$$
fi

if ! command -v cargo >/dev/null && [ ! -x "${HOME:-/root}/.cargo/bin/cargo" ]; then
    "$root/install.sh" --rust-only
fi

if [ $docker = 1 ]; then
    "$root/install.sh" --docker-only
    "$here/standin-images/build.sh"
fi

if [ $browser = 1 ] && [ -f "$here/browser/package-lock.json" ]; then
    # npm leaves a copy of the lockfile in what it installed: younger means nothing to do.
    if [ ! "$here/browser/node_modules/.package-lock.json" -nt "$here/browser/package-lock.json" ]; then
        say "fetching the packages of the browser tests"
        (cd "$here/browser" && npm ci --no-audit --no-fund --ignore-scripts) ||
            fail "npm could not fetch the packages of tests/browser." "Check that the npm registry can be reached."
        touch "$here/browser/node_modules/.package-lock.json"
    fi
fi
say "ready"
