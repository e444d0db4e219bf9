#!/usr/bin/env bash
# The browser tests: a fresh Wharf on free ports, driven by a real Chromium, removed afterwards.
# Usage: tests/browser.sh PATH/TO/wharf      (make test does it after cargo test, which writes the sample pages)
set -euo pipefail
binary=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/browser"
[ -d node_modules ] || npm ci --silent

dir=$(mktemp -d -t wharf-browser-XXXXXX)
installation=

finish() {
    local status=$?
    if [ "$status" != 0 ]; then
        printf 'browser tests: the log of the control plane ends with\n'
        tail -n 20 "$dir/serve.log" || true
    fi
    if [ -n "${serve:-}" ]; then kill "$serve" 2>/dev/null || true; wait "$serve" 2>/dev/null || true; fi
    pkill -f -- "ingress --run $dir/run" || true
    if [ -n "$installation" ]; then
        local label="label=wharf.installation=$installation"
        docker ps -aq --filter "$label" | xargs -r docker rm -f >/dev/null
        docker network ls -q --filter "$label" | xargs -r docker network rm >/dev/null
        docker images -q --filter "$label" | sort -u | xargs -r docker rmi -f >/dev/null
    fi
    rm -rf "$dir"
    exit "$status"
}
trap finish EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

"$binary" serve --data "$dir/data" --run "$dir/run" --http-port "$(port)" --ssh-port "$(port)" >"$dir/serve.log" 2>&1 &
serve=$!
for _ in $(seq 300); do
    [ -f "$dir/run/ready.json" ] && break
    kill -0 "$serve" || exit 1
    sleep 0.2
done
read_ready() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$dir/run/ready.json" "$1"; }
installation=$(read_ready installation)
WHARF_SETUP_URL=$(read_ready setup_url) WHARF_URL=$(read_ready portal_url) node --test
