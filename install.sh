#!/usr/bin/env bash
# Installs Wharf on a Debian or Ubuntu machine, with or without systemd. Run as root.
#
#   ./install.sh                     install or upgrade, start, print the address
#   ./install.sh --demo              and deploy the applications of examples/
#   ./install.sh --uninstall         stop and remove Wharf and its containers; data stays
#   ./install.sh --uninstall --purge and remove the data, volumes and images too
#
# Options
#   --domain DOMAIN     apps are reached as NAME.DOMAIN, the portal as wharf.DOMAIN (default: localhost)
#   --http-port N       (default: 80)
#   --https-port N      (default: 443)
#   --ssh-port N        git over SSH (default: 2222)
#   --data DIR          where everything that must last is kept (default: /var/lib/wharf)
#   --run DIR           sockets and process ids (default: /run/wharf)
#   --binary FILE       install this binary; else the file `wharf` beside this script, else it
#                       is built with cargo from the sources beside this script
#   --docker-only       only see to it that a Docker engine answers
#   --rust-only         only see to it that cargo is there (to build Wharf or run its tests)
#   --help
#
# It can be run again at any time: it does only what is missing. Options once given are
# remembered in /etc/wharf/install.conf. With --demo, WHARF_TOKEN names a token to deploy
# with when Wharf has been set up already, and WHARF_TENANT its tenant.
set -Eeuo pipefail

readonly program=/usr/local/bin/wharf
readonly remembered=/etc/wharf/install.conf
readonly unit_folder=/etc/systemd/system
readonly docker_socket=/var/run/docker.sock
readonly docker_log=/var/log/wharf-dockerd.log
readonly demo_images="debian python node-24 postgres redis" # what the examples below are built on
readonly demo_apps="static-site flask-guestbook express-chat dockerfile-hello procfile-queue microshop"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here

domain=localhost http_port=80 https_port=443 ssh_port=2222
data=/var/lib/wharf run=/run/wharf
installation="" # the label value of everything Wharf makes in Docker; Wharf names it itself
binary="" task=install demo=0 purge=0
scratch=""

# ================================================================ telling and failing

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold="" plain=""; fi

step() { printf '%s==>%s %s\n' "$bold" "$plain" "$*"; }
note() { printf '    %s\n' "$*"; }

# fail WHAT [WHAT TO DO...]: one line each.
fail() {
    printf 'install.sh: error: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '            %s\n' "$line" >&2; done
    exit 1
}

unexpected() {
    printf 'install.sh: error: line %s: this command failed: %s\n' "$1" "$2" >&2
    printf '            Nothing is half done that a second run would not finish; run it again, or\n' >&2
    printf '            with "bash -x %s" to see every command.\n' "$0" >&2
}
trap 'unexpected "$LINENO" "$BASH_COMMAND"' ERR

tidy() {
    [ -z "$scratch" ] || rm -rf -- "$scratch"
    [ ! -e /usr/sbin/policy-rc.d.wharf ] || rm -f /usr/sbin/policy-rc.d /usr/sbin/policy-rc.d.wharf
}
trap tidy EXIT

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

has() { command -v "$1" >/dev/null 2>&1; }
with_systemd() { [ -d /run/systemd/system ]; }
last_lines() { [ ! -s "$1" ] || tail -n "${2:-15}" "$1" | sed 's/^/    | /' >&2; }

# within SECONDS COMMAND...: true as soon as the command is, false when the time is over.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

# ================================================================ options

number() {
    case $2 in
        '' | *[!0-9]*) fail "$1 wants a port number, not \"$2\"." ;;
    esac
    if [ "$2" -lt 1 ] || [ "$2" -gt 65535 ]; then fail "$1 wants a port from 1 to 65535, not $2."; fi
}

absolute() {
    case $2 in
        /*[[:space:]]* | *[\"\'%\\]*) fail "$1 may not contain spaces, quotes, % or backslashes: $2" ;;
        / | //*) fail "$1 cannot be the root folder." ;;
        /*) ;;
        *) fail "$1 wants an absolute path, not \"$2\"." ;;
    esac
}

host_name() {
    printf '%s' "$2" | grep -qE '^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$' ||
        fail "$1 wants a domain in lower case like apps.example.org, not \"$2\"."
}

# What an earlier run was told counts as the default of this one.
recall() {
    [ -r "$remembered" ] || return 0
    local key value
    while IFS='=' read -r key value; do
        case $key in
            domain) domain=$value ;;
            http_port) http_port=$value ;;
            https_port) https_port=$value ;;
            ssh_port) ssh_port=$value ;;
            data) data=$value ;;
            run) run=$value ;;
            installation) installation=$value ;;
        esac
    done <"$remembered"
}

remember() {
    local text
    text=$(printf '%s=%s\n' domain "$domain" http_port "$http_port" https_port "$https_port" \
        ssh_port "$ssh_port" data "$data" run "$run" installation "$installation")
    [ "$(cat "$remembered" 2>/dev/null)" != "$text" ] || return 0
    mkdir -p "$(dirname "$remembered")"
    printf '%s\n' "$text" >"$remembered"
}

read_options() {
    while [ $# -gt 0 ]; do
        local option=$1 value=""
        shift
        case $option in
            --*=*) value=${option#*=} option=${option%%=*} ;;
            --domain | --http-port | --https-port | --ssh-port | --data | --run | --binary)
                [ $# -gt 0 ] || fail "$option wants a value." "See: $0 --help"
                value=$1
                shift
                ;;
        esac
        case $option in
            --domain) host_name "$option" "$value"; domain=$value ;;
            --http-port) number "$option" "$value"; http_port=$value ;;
            --https-port) number "$option" "$value"; https_port=$value ;;
            --ssh-port) number "$option" "$value"; ssh_port=$value ;;
            --data) absolute "$option" "$value"; data=${value%/} ;;
            --run) absolute "$option" "$value"; run=${value%/} ;;
            --binary) binary=$value ;;
            --demo) demo=1 ;;
            --uninstall) task=uninstall ;;
            --purge) purge=1 ;;
            --docker-only) task=docker ;;
            --rust-only) task=rust ;;
            -h | --help) usage; exit 0 ;;
            *) fail "unknown option $option." "See: $0 --help" ;;
        esac
    done
    if [ "$purge" = 1 ] && [ "$task" != uninstall ]; then fail "--purge goes with --uninstall only."; fi
    if [ -n "$binary" ]; then
        [ -f "$binary" ] || fail "--binary: there is no file $binary."
    fi
}

# ================================================================ packages

apt_ready=0

# Starting services is this script's business; where no service manager runs, packages
# would try it with whatever init scripts they bring.
hold_services() {
    with_systemd || [ -e /usr/sbin/policy-rc.d ] || {
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        : >/usr/sbin/policy-rc.d.wharf
    }
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -q -y \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"
}

# packages NAME...: installs them with apt.
packages() {
    has apt-get || fail "these programs are missing and there is no apt to install them: $*" \
        "Install them by this system's own means, then run this again."
    local log=$scratch/apt.log
    if [ $apt_ready = 0 ]; then
        note "apt-get update"
        apt_get update >"$log" 2>&1 || {
            last_lines "$log"
            fail "apt-get update failed." "Check the network and /etc/apt/sources.list, then run this again."
        }
        apt_ready=1
    fi
    note "apt-get install $*"
    hold_services
    apt_get install --no-install-recommends "$@" >"$log" 2>&1 || {
        last_lines "$log" 25
        fail "apt could not install: $*" \
            "Its last lines are above. Often: not enough disk, or \"apt-get -f install\" is wanted."
    }
}

# offered NAME: whether apt knows the package. The lists must be there.
offered() {
    if [ $apt_ready = 0 ]; then
        note "apt-get update"
        apt_get update >/dev/null 2>&1 || true
        apt_ready=1
    fi
    apt-cache policy "$1" 2>/dev/null | grep -qE 'Candidate: [^(]'
}

ensure_base() {
    local missing=()
    has git || missing+=(git)
    has curl || missing+=(curl)
    [ -s /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    [ ${#missing[@]} = 0 ] || packages "${missing[@]}"
}

# ================================================================ Docker

docker_answers() {
    [ -S "$docker_socket" ] &&
        [ "$(curl -s -m 5 --unix-socket "$docker_socket" http://docker/_ping 2>/dev/null)" = OK ]
}

# Only where this machine has no settings of its own. Containers outlive a restart of
# dockerd, and no container fills the disk with its log.
configure_docker() {
    [ ! -e /etc/docker/daemon.json ] || return 0
    mkdir -p /etc/docker
    cat >/etc/docker/daemon.json <<'JSON'
{
  "live-restore": true,
  "log-driver": "json-file",
  "log-opts": { "max-size": "10m", "max-file": "3" }
}
JSON
    note "wrote /etc/docker/daemon.json: live-restore on, container logs bounded"
}

install_docker() {
    local list=(docker.io)
    has iptables || list+=(iptables)
    ! offered docker-cli || list+=(docker-cli)
    packages "${list[@]}"
    has dockerd || fail "docker.io was installed, yet there is no dockerd." \
        "Install Docker Engine by hand (docs.docker.com/engine/install), then run this again."
}

# Without a service manager nobody may have mounted the control groups: version 2 where the
# controllers are on it, else version 1 with a folder for each controller.
mount_cgroups() {
    local top=/sys/fs/cgroup controller enabled name
    ! grep -qE "^[^ ]+ $top(/[^ ]+)? cgroup2? " /proc/mounts || return 0
    if mount -t cgroup2 cgroup2 $top 2>/dev/null; then
        ! grep -qw memory $top/cgroup.controllers || { note "mounted the control groups (version 2)"; return 0; }
        umount $top
    fi
    mount -t tmpfs -o mode=755 cgroup $top 2>/dev/null || true
    while read -r controller _ _ enabled; do
        [ "$enabled" = 1 ] || continue
        mkdir -p "$top/$controller" &&
            mount -t cgroup -o "$controller" cgroup "$top/$controller" 2>/dev/null ||
            rmdir "$top/$controller" 2>/dev/null || true
    done < <(grep -v '^#' /proc/cgroups)
    # Those with a name and no controller too: containerd reports no container as out of memory
    # while one that its process is in has no mount.
    while IFS=: read -r _ controller _; do
        name=${controller#name=}
        [ "$name" != "$controller" ] || continue
        mkdir -p "$top/$name" &&
            mount -t cgroup -o "none,$controller" cgroup "$top/$name" 2>/dev/null ||
            rmdir "$top/$name" 2>/dev/null || true
    done </proc/self/cgroup
    if grep -qE "^[^ ]+ $top/memory cgroup " /proc/mounts; then
        note "mounted the control groups (version 1)"
    else
        note "the control groups could not be mounted at $top; dockerd will say what it lacks"
    fi
}

start_dockerd_unmanaged() {
    mount_cgroups
    # Kept small: one older file at most.
    [ ! -e "$docker_log" ] || mv -f -- "$docker_log" "$docker_log.1"
    # A file left by a machine that went down would keep dockerd from starting.
    local pid_file=/var/run/docker.pid
    if [ -e "$pid_file" ] && ! grep -qa dockerd "/proc/$(cat "$pid_file")/cmdline" 2>/dev/null; then
        rm -f -- "$pid_file"
    fi
    setsid dockerd --log-level warn >"$docker_log" 2>&1 </dev/null 9>&- &
    local pid=$!
    # shellcheck disable=SC2317  # called by name
    answers_or_gone() { docker_answers || ! kill -0 "$pid" 2>/dev/null; }
    within 60 answers_or_gone || true
    docker_answers || {
        last_lines "$docker_log" 20
        fail "dockerd was started in the background and does not answer." \
            "Its last lines are above, the whole log is $docker_log." \
            "It needs a kernel with overlayfs (or enough disk for vfs), iptables and control groups."
    }
    note "started dockerd in the background (no service manager here); its log is $docker_log"
    note "after a reboot nothing starts it again: run this script, or start it from your own init"
}

ensure_docker() {
    if docker_answers; then return 0; fi
    step "Docker"
    local ours=0
    has dockerd || ours=1
    configure_docker
    [ $ours = 0 ] || install_docker
    if docker_answers; then return 0; fi
    if with_systemd; then
        systemctl enable --now docker >/dev/null 2>&1 || true
        within 60 docker_answers || {
            journalctl -u docker -n 15 --no-pager 2>/dev/null | sed 's/^/    | /' >&2 || true
            fail "the docker service was started and does not answer on $docker_socket." \
                "Its last lines are above. See: systemctl status docker"
        }
        note "started and enabled the docker service"
    else
        start_dockerd_unmanaged
    fi
}

docker_live_restore() {
    curl -s -m 10 --unix-socket "$docker_socket" http://docker/info 2>/dev/null |
        grep -q '"LiveRestoreEnabled":true'
}

# ================================================================ the binary

cargo_path() {
    if has cargo; then
        command -v cargo
    elif [ -x "${HOME:-/root}/.cargo/bin/cargo" ]; then
        printf '%s\n' "${HOME:-/root}/.cargo/bin/cargo"
    else
        return 1
    fi
}

ensure_rust() {
    local missing=()
    has cc || missing+=(gcc libc6-dev)
    has make || missing+=(make)
    [ ${#missing[@]} = 0 ] || packages "${missing[@]}"
    if cargo_path >/dev/null; then return 0; fi
    step "Rust"
    if has rustup || offered rustup; then
        has rustup || packages rustup
        rustup default stable >"$scratch/rustup.log" 2>&1 || last_lines "$scratch/rustup.log"
    else
        note "fetching rustup from sh.rustup.rs"
        if curl -fsS --proto '=https' -m 60 -o "$scratch/rustup.sh" https://sh.rustup.rs; then
            sh "$scratch/rustup.sh" -y --profile minimal -c rustfmt,clippy >"$scratch/rustup.log" 2>&1 ||
                last_lines "$scratch/rustup.log"
        fi
    fi
    cargo_path >/dev/null || fail "there is no cargo, and rustup could not be had." \
        "Install Rust (rustup.rs), or bring a built binary: put it beside this script as \"wharf\"" \
        "or name it with --binary FILE."
}

build_binary() {
    ensure_rust
    step "Building Wharf with cargo; the first time takes several minutes"
    local cargo folder
    cargo=$(cargo_path)
    PATH="$(dirname "$cargo"):$PATH" "$cargo" build --release --locked --manifest-path "$here/Cargo.toml" ||
        fail "cargo could not build Wharf." "Its messages are above."
    folder=${CARGO_TARGET_DIR:-$here/target}
    binary=$(find "$folder" -maxdepth 3 -type f -name wharf -path '*/release/wharf' -printf '%T@ %p\n' |
        sort -rn | head -n 1 | cut -d ' ' -f 2-)
    [ -n "$binary" ] || fail "cargo ended well, yet there is no release/wharf under $folder."
}

binary_changed=0

install_binary() {
    if [ -z "$binary" ]; then
        if [ -f "$here/wharf" ]; then
            binary=$here/wharf
        elif [ -f "$here/Cargo.toml" ]; then
            build_binary
        elif [ -x "$program" ]; then
            binary=$program
        else
            fail "there is no Wharf to install." \
                "Put the binary beside this script as \"wharf\", name it with --binary FILE, or run this" \
                "script from a clone of the sources, from which it builds."
        fi
    fi
    if [ "$binary" = "$program" ] || cmp -s -- "$binary" "$program"; then return 0; fi
    step "Installing $program"
    mkdir -p "$(dirname "$program")"
    install -m 0755 -- "$binary" "$program.new"
    "$program.new" --version >"$scratch/version" 2>&1 || {
        last_lines "$scratch/version"
        rm -f -- "$program.new"
        fail "$binary does not run on this machine." "It must be a build for $(uname -m) Linux."
    }
    mv -f -- "$program.new" "$program"
    binary_changed=1
    note "$(head -n 1 "$scratch/version")"
}

# ================================================================ the processes

serve_arguments() {
    printf '%s\n' serve --data "$data" --run "$run" --domain "$domain" \
        --http-port "$http_port" --https-port "$https_port" --ssh-port "$ssh_port"
}
ingress_arguments() {
    printf '%s\n' ingress --data "$data" --run "$run" --http "0.0.0.0:$http_port" --http "[::]:$http_port" \
        --https "0.0.0.0:$https_port" --https "[::]:$https_port"
}

# An ingress binds exactly what it is told, so a port for HTTPS that another program has would keep it from HTTP too.
choose_https_port() {
    local wanted=$https_port port
    for port in "$wanted" 8443 8444 8445 8446 8447 8448; do
        if ! taken "$port" || ours_has_https "$port"; then
            https_port=$port
            [ "$port" = "$wanted" ] || note "port $wanted is taken by another program, so HTTPS is on $port; --https-port N chooses another"
            return 0
        fi
    done
    fail "no port for HTTPS can be had: $wanted and 8443 to 8448 are taken." "Name a free one with --https-port N."
}
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
ours_has_https() {
    curl -s -m 3 --unix-socket "$run/ingress.sock" http://wharf/v1/status 2>/dev/null |
        tr -d ' \n' | grep -q "\"listening_tls\":\[[^]]*:$1\""
}

on_one_line() { tr '\n' ' ' | sed 's/ $//'; }

ingress_unit() {
    cat <<UNIT
[Unit]
Description=Wharf ingress: takes requests and passes them to the apps
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart=$program $(ingress_arguments | on_one_line)
Restart=always
RestartSec=100ms
LimitNOFILE=1048576
NoNewPrivileges=yes
ProtectHome=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes

[Install]
WantedBy=multi-user.target
UNIT
}

serve_unit() {
    cat <<UNIT
[Unit]
Description=Wharf control plane: API, portal, git, builds, scheduling
After=network-online.target docker.service wharf-ingress.service
Wants=network-online.target docker.service wharf-ingress.service
StartLimitIntervalSec=0

[Service]
ExecStart=$program $(serve_arguments | on_one_line)
Restart=always
RestartSec=1s
TimeoutStopSec=30s
LimitNOFILE=1048576
NoNewPrivileges=yes
# An ingress this process had to start itself must outlive it.
KillMode=process

[Install]
WantedBy=multi-user.target
UNIT
}

# put FILE: writes standard input there; true when that changed the file.
put() {
    local text
    text=$(cat)
    [ "$(cat "$1" 2>/dev/null)" != "$text" ] || return 1
    printf '%s\n' "$text" >"$1"
}

is_ready() { [ -s "$run/ready.json" ]; }

# The process of a pid file, if it still is what the file says.
running_pid() {
    local pid
    pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "wharf $1 " && printf '%s\n' "$pid"
}

start_managed() {
    local changed=0
    choose_https_port
    ! ingress_unit | put "$unit_folder/wharf-ingress.service" || changed=1
    ! serve_unit | put "$unit_folder/wharf.service" || changed=1
    [ $changed = 0 ] || systemctl daemon-reload
    systemctl enable wharf-ingress.service wharf.service >/dev/null 2>&1
    if [ $changed = 1 ]; then
        rm -f -- "$run/ready.json"
        systemctl restart wharf-ingress.service wharf.service
    elif [ $binary_changed = 1 ]; then
        rm -f -- "$run/ready.json"
        # It replaces an ingress of another version itself, without losing a request.
        systemctl restart wharf.service
    fi
    systemctl start wharf-ingress.service wharf.service
}

start_unmanaged() {
    local arguments pid wanted
    mapfile -t arguments < <(serve_arguments)
    wanted="wharf ${arguments[*]} "
    if pid=$(running_pid serve); then
        if ! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "$wanted"; then
            note "restarting Wharf with the new options"
            stop_process serve
            stop_ingress
        elif [ $binary_changed = 1 ]; then
            note "restarting the control plane; it replaces the ingress without losing a request"
            stop_process serve
        else
            return 0
        fi
    fi
    rm -f -- "$run/ready.json"
    mkdir -p "$data/log"
    [ ! -e "$data/log/serve.log" ] || mv -f -- "$data/log/serve.log" "$data/log/serve.log.1"
    setsid "$program" "${arguments[@]}" >"$data/log/serve.log" 2>&1 </dev/null 9>&- &
    printf '%s\n' $! >"$run/serve.pid"
    note "no service manager here: Wharf runs in the background, its log is $data/log/serve.log"
    note "after a reboot nothing starts it again: run this script, or start it from your own init"
}

serve_runs() {
    if with_systemd; then
        systemctl is-active --quiet wharf.service
    else
        kill -0 "$(cat "$run/serve.pid" 2>/dev/null)" 2>/dev/null
    fi
}

show_serve_log() {
    if with_systemd; then
        journalctl -u wharf -n 20 --no-pager 2>/dev/null | sed 's/^/    | /' >&2 || true
    else
        last_lines "$data/log/serve.log" 20
    fi
}

start_wharf() {
    mkdir -p "$data" "$run"
    chmod 0700 "$data" "$run"
    if with_systemd; then start_managed; else start_unmanaged; fi
    # shellcheck disable=SC2317  # called by name
    ready_or_gone() { is_ready || ! serve_runs; }
    within 60 ready_or_gone || true
    is_ready || {
        show_serve_log
        fail "Wharf was started and does not get ready ($run/ready.json did not appear)." \
            "The last lines of its log are above."
    }
    portal_answers_soon
    installation=$(ready installation)
    remember
}

# ready FIELD: a field of what Wharf says about itself; empty for null.
ready() { json "$1" <"$run/ready.json"; }

# json FIELD: the value of a plain field of the JSON object on standard input.
json() {
    tr -d '\n' | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\(\"\([^\"]*\)\"\|\([0-9][0-9]*\)\).*/\2\3/p"
}

host_of() { printf '%s' "${1#*://}" | sed 's/[:/].*//'; }
port_of() {
    printf '%s' "${1#*://}" | sed -n 's/^[^/:]*:\([0-9]*\).*/\1/p' | grep . && return 0
    case $1 in https://*) printf '443\n' ;; *) printf '80\n' ;; esac
}

# fetch URL [CURL OPTIONS]: asks this machine, whatever the name resolves to elsewhere. Whose certificate answers is not
# asked here: an authority for tests or of a company is not known to this machine.
fetch() {
    local url=$1
    shift
    curl -s -k --noproxy '*' -m 10 --resolve "$(host_of "$url"):$(port_of "$url"):127.0.0.1" "$@" "$url"
}

answers_200() { [ "$(fetch "$1" -o /dev/null -w '%{http_code}' -L)" = 200 ]; }

portal_answers_soon() {
    local url
    url=$(ready portal_url)
    [ -n "$url" ] || fail "$run/ready.json names no portal_url." "Is $program a newer or older Wharf than this script?"
    within 30 answers_200 "$url" || {
        show_serve_log
        fail "Wharf says it is ready, yet $url does not answer." "The last lines of its log are above."
    }
}

stop_process() {
    local pid
    pid=$(running_pid "$1") || return 0
    kill -TERM "$pid" 2>/dev/null || true
    # shellcheck disable=SC2317  # called by name
    is_gone() { ! kill -0 "$pid" 2>/dev/null; }
    within 30 is_gone || kill -KILL "$pid" 2>/dev/null || true
    rm -f -- "$run/$1.pid"
}

# ================================================================ the demo

# Where no registry answers, base images must come from somewhere else.
ensure_base_images() {
    local script=$here/tests/standin-images/build.sh
    [ -x "$script" ] || return 0
    # shellcheck disable=SC2086  # the names are words
    "$script" --needed $demo_images || return 0
    step "No container registry can be reached: building stand-ins for the base images from Debian packages"
    local missing=()
    has docker || ! offered docker-cli || missing+=(docker-cli)
    has mmdebstrap || missing+=(mmdebstrap)
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
    [ ${#missing[@]} = 0 ] || packages "${missing[@]}"
    # shellcheck disable=SC2086  # the names are words
    "$script" --force $demo_images | sed 's/^/    /'
    note "for apps in other languages: $script all"
}

readonly demo_email=demo@wharf.localhost
demo_token="" demo_password="" demo_tenant=demo

demo_login() {
    local kept=$data/demo.conf url answer
    url=$(ready portal_url)
    demo_tenant=${WHARF_TENANT:-demo}
    if [ -n "${WHARF_TOKEN:-}" ]; then
        demo_token=$WHARF_TOKEN
    elif [ -r "$kept" ]; then
        demo_token=$(sed -n 's/^token=//p' "$kept")
        demo_password=$(sed -n 's/^password=//p' "$kept")
    elif [ -n "$(ready setup_url)" ]; then
        demo_password=$(head -c 18 /dev/urandom | base64 | tr '+/' '-_')
        answer=$(printf '%s' "$demo_password" | "$program" setup --run "$run" \
            --email "$demo_email" --password-stdin --tenant demo --json) || demo_needs_token
        demo_token=$(printf '%s' "$answer" | json token)
        [ -n "$demo_token" ] || fail "\"wharf setup\" printed no token."
        # Readable by root alone, like everything in the data folder.
        (umask 077 && printf 'token=%s\npassword=%s\n' "$demo_token" "$demo_password" >"$kept")
    else
        demo_needs_token
    fi
    export WHARF_URL=$url WHARF_TENANT=$demo_tenant WHARF_TOKEN=$demo_token
    "$program" whoami >"$scratch/login.log" 2>&1 || {
        last_lines "$scratch/login.log"
        fail "the demo could not log in at $url." \
            "If its token was revoked: rm $kept, and run this again with WHARF_TOKEN=..."
    }
    # So that `wharf` works in root's shell at once; a log-in that is there is left alone.
    if [ ! -e "${XDG_CONFIG_HOME:-${HOME:-/root}/.config}/wharf/config.toml" ]; then
        "$program" login --token "$demo_token" >/dev/null 2>&1 || true
    fi
}

demo_needs_token() {
    fail "Wharf has been set up already, so --demo needs a token to deploy with." \
        "Make one on the account page of the portal, then run:" \
        "WHARF_TOKEN=... WHARF_TENANT=your-tenant $0 --demo"
}

# git without a person's settings, and with the demo's token where no other user sees it.
demo_git() {
    GIT_CONFIG_NOSYSTEM=1 HOME=$scratch GIT_TERMINAL_PROMPT=0 \
        no_proxy="${no_proxy:+$no_proxy,}localhost,.localhost,$domain,.$domain" \
        git -c user.name="Wharf demo" -c user.email="$demo_email" -c init.defaultBranch=main \
        -c http.curloptResolve="$portal_host:$portal_port:127.0.0.1" \
        -c credential.helper="store --file=$scratch/credentials" "$@"
}

# Puts the example's files on top of what the app's repository has; false when it has them.
demo_commit() {
    local folder=$1 remote=$2
    demo_git -C "$folder" init -q
    demo_git -C "$folder" symbolic-ref HEAD refs/heads/main
    demo_git -C "$folder" remote add wharf "$remote"
    if demo_git -C "$folder" fetch -q wharf main 2>"$scratch/fetch.log"; then
        demo_git -C "$folder" reset -q --soft FETCH_HEAD
    fi
    demo_git -C "$folder" add -A
    if demo_git -C "$folder" rev-parse -q --verify HEAD >/dev/null; then
        ! demo_git -C "$folder" diff --cached --quiet || return 1
    fi
    demo_git -C "$folder" commit -q -m "Deploy the example"
}

# deploy_example NAME: pushes it if it changed, leaves its URL in the table.
deploy_example() {
    local name=$1 folder=$scratch/$1 remote log=$scratch/$1.log start=$SECONDS
    remote="$portal_origin/git/$demo_tenant/$name.git"
    cp -R -- "$here/examples/$name" "$folder"
    (cd "$folder" && "$program" apps create "$name" --no-remote) >"$log" 2>&1 || grep -qi already "$log" || {
        last_lines "$log"
        fail "the app $name could not be created." "Its message is above."
    }
    if ! demo_commit "$folder" "$remote"; then
        if within 3 example_answers "$name"; then
            note "$name is deployed already"
            return 0
        fi
        demo_git -C "$folder" commit -q --allow-empty -m "Deploy the example again"
    fi
    step "git push: $name"
    demo_git -C "$folder" push wharf main 2>&1 | tee "$log" | sed 's/^/    /' ||
        fail "the push of $name was refused." "The reason is above." "Try again: $0 --demo"
    within 60 example_answers "$name" ||
        fail "$name was deployed, yet http://$name.$domain does not answer with 200 within 60 s." \
            "See its log: wharf logs --app $name"
    note "it answers, $((SECONDS - start)) s after the start of the push"
}

# The first tenant's apps have the short address; the first address that answers is noted.
example_answers() {
    local port="" host scheme=${portal_origin%%://*}
    case $scheme:$portal_port in http:80 | https:443) ;; *) port=:$portal_port ;; esac
    for host in "$1--$demo_tenant" "$1"; do
        if answers_200 "$scheme://$host.$domain$port/"; then
            printf '%s\t%s\n' "$1" "$scheme://$host.$domain$port/" >>"$scratch/table"
            return 0
        fi
    done
    return 1
}

run_demo() {
    [ -d "$here/examples" ] || fail "--demo needs the folder examples/ beside this script." \
        "Run it from a clone of the sources."
    ensure_base_images
    demo_login
    portal_origin=$(ready portal_url)
    portal_origin=${portal_origin%/}
    portal_host=$(host_of "$portal_origin") portal_port=$(port_of "$portal_origin")
    printf '%s://git:%s@%s\n' "${portal_origin%%://*}" "$demo_token" "${portal_origin#*://}" >"$scratch/credentials"
    chmod 0600 "$scratch/credentials"
    : >"$scratch/table"
    local name
    for name in $demo_apps; do deploy_example "$name"; done
    printf '\n%sThe examples are live%s\n' "$bold" "$plain"
    while IFS=$'\t' read -r name url; do printf '  %-18s %s\n' "$name" "$url"; done <"$scratch/table"
}

# ================================================================ the end

farewell() {
    local setup portal
    setup=$(ready setup_url)
    portal=$(ready portal_url)
    printf '\n%sWharf runs.%s\n' "$bold" "$plain"
    printf '  %-18s %s\n' portal "$portal"
    if [ -n "$setup" ] && [ -z "$demo_token" ]; then
        printf '  %-18s %s\n' "set it up" "$setup"
        printf '  %-18s %s\n' "" "(works once; it makes the first tenant and its owner)"
    fi
    if [ -n "$demo_password" ]; then
        printf '  %-18s %s\n' "log in as" "$demo_email"
        printf '  %-18s %s\n' password "$demo_password"
        printf '  %-18s %s\n' "" "(random, kept for root alone in $data/demo.conf)"
    fi
    local port_of_http
    port_of_http=$(ready http_port)
    if [ -n "$port_of_http" ] && [ "$port_of_http" != "$http_port" ]; then
        note "port $http_port could not be had, so it is $port_of_http; --http-port N chooses another"
    fi
    case $domain in
        localhost) note "https:// works too; to be trusted: wharf certs ca" ;;
        *) case $portal in https://*) ;; *) note "for HTTPS by itself: set acme.email and acme.agree_to_terms in $data/wharf.toml (docs/operations.md)" ;; esac ;;
    esac
    docker_live_restore || note "Docker's live-restore is off: apps stop while dockerd restarts (see /etc/docker/daemon.json)"
}

# ================================================================ removing

labelled() {
    local kind=$1
    shift
    docker "$kind" ls -q "$@" --filter "label=wharf.installation=$installation" 2>/dev/null || true
}

# remove KIND COMMAND...: the Docker objects of one kind that carry Wharf's label.
remove() {
    local kind=$1 ids
    shift
    case $kind in
        container) mapfile -t ids < <(labelled container -a) ;;
        *) mapfile -t ids < <(labelled "$kind" | sort -u) ;;
    esac
    [ ${#ids[@]} -gt 0 ] || return 0
    docker "$kind" "$@" "${ids[@]}" >/dev/null 2>>"$scratch/remove.log" ||
        note "some of Wharf's ${kind}s are still in use and stay: docker $kind ls --filter label=wharf.installation=$installation"
    note "removed ${#ids[@]} $kind(s)"
}

stop_wharf() {
    if with_systemd && [ -e "$unit_folder/wharf.service" ]; then
        systemctl disable --now wharf.service wharf-ingress.service >/dev/null 2>&1 || true
        rm -f -- "$unit_folder/wharf.service" "$unit_folder/wharf-ingress.service"
        systemctl daemon-reload
    fi
    stop_process serve
    stop_ingress
    note "stopped Wharf"
}

# The ingress lives on without its control plane, and has no pid file of this script's.
stop_ingress() {
    local entry
    for entry in /proc/[0-9]*/cmdline; do
        local line pid=${entry#/proc/}
        pid=${pid%/cmdline}
        line=$(tr '\0' ' ' 2>/dev/null <"$entry") || continue
        case $line in
            *wharf" ingress "*"--run $run "*) ;;
            *) continue ;;
        esac
        kill -TERM "$pid" 2>/dev/null || true
        # shellcheck disable=SC2317  # called by name
        is_gone() { ! kill -0 "$pid" 2>/dev/null; }
        within 30 is_gone || kill -KILL "$pid" 2>/dev/null || true
    done
}

uninstall() {
    step "Removing Wharf"
    stop_wharf
    if [ -z "$installation" ]; then
        note "Wharf never got ready here, or this was installed by hand: what it made in Docker, if anything,"
        note "is listed by: docker ps -a --filter label=wharf.installation"
    elif docker_answers && has docker; then
        remove container rm -f
        remove network rm
        if [ $purge = 1 ]; then
            remove volume rm
            remove image rm -f
        fi
    else
        note "no Docker engine answers: containers, networks, volumes and images of Wharf stay"
    fi
    rm -f -- "$program"
    rm -rf -- "$run"
    if [ $purge = 1 ]; then
        rm -f -- "$remembered"
        rmdir /etc/wharf 2>/dev/null || true
        if [ -e "$data/wharf.db" ] || [ -d "$data/log" ]; then rm -rf -- "$data"; fi
        note "removed $data"
    else
        [ ! -d "$data" ] || note "your data stays in $data; install.sh finds it again, --uninstall --purge removes it"
    fi
    note "Docker and the packages that were installed stay"
}

# ================================================================ the run

main() {
    recall
    read_options "$@"
    [ "$(id -u)" = 0 ] || fail "this must be run as root." "Try: sudo $0 $*"
    [ "$(uname -s)" = Linux ] || fail "Wharf runs on Linux."
    umask 022
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/wharf-install.XXXXXX")
    case $task in
        uninstall) uninstall; return ;;
        docker) ensure_base; ensure_docker; return ;;
        rust) ensure_base; ensure_rust; return ;;
    esac
    ensure_base
    ensure_docker
    install_binary
    step "Starting Wharf"
    remember
    start_wharf
    [ $demo = 0 ] || run_demo
    farewell
}

main "$@"
