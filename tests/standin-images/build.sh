#!/usr/bin/env bash
# Builds stand-ins for the base images Wharf builds on, from Debian packages.
#
# A machine that can reach a container registry needs none of this: Docker pulls the
# official images, and this script says so and stops. Where no registry can be reached (a
# closed network, a CI machine), it makes images under the same names which look like the
# official ones as far as Wharf and usual Dockerfiles rely on them: commands, paths,
# environment variables, entry points, users.
#
#   tests/standin-images/build.sh                 what the tests and the demo need
#   tests/standin-images/build.sh node golang     only these (and what they stand on)
#   tests/standin-images/build.sh all             everything in the table below
#   tests/standin-images/build.sh --list          the table: names and tags
#   tests/standin-images/build.sh --force ...     build even though a registry answers
#   tests/standin-images/build.sh --needed ...    build nothing; exit 0 when there is need to
#
# Each image carries a hash of everything it was made from in the label `standin.hash`; an
# image whose hash still holds is not built again, so that a second run takes a moment.
#
# To add one more: a folder with a Dockerfile here, and one `define` line in the table.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly suite=bookworm

# ---------------------------------------------------------------- the table

names=()
declare -A folder parent arguments tags group

# define NAME GROUP FOLDER PARENT "ARG=VALUE ..." TAG...
define() {
    local name=$1
    names+=("$name")
    group[$name]=$2 folder[$name]=$3 parent[$name]=$4 arguments[$name]=$5
    shift 5
    tags[$name]=$*
}

# versions REPOSITORY "VERSION ..." "SUFFIX ..." prints every combination as a tag.
versions() {
    local version suffix
    for version in $2; do
        for suffix in $3; do printf '%s:%s%s ' "$1" "$version" "${suffix#.}"; done
    done
}

# A lone "." stands for "no suffix". The tags of one line are all the same image.
# shellcheck disable=SC2046  # the tags are words
{
    define debian debian . "" "" debian:bookworm-slim debian:bookworm debian:stable-slim
    define python python python debian "" \
        $(versions python "3 3.9 3.10 3.11 3.12 3.13 3.14" "-slim -slim-bookworm .")
    define node-18 node node-18 python "NODE_WHEEL=20.18.0" \
        $(versions node 18 "-slim -bookworm-slim -bookworm .")
    for major in 20 22 24; do
        define node-$major node node python "NODE_WHEEL=$major.*" \
            $(versions node "$major" "-slim -bookworm-slim -bookworm .")
    done
    tags[node-24]+=" node:lts-slim node:lts node:slim"
    define golang golang golang python "GO_WHEEL=1.27.3" \
        $(versions golang "1 1.19 1.20 1.21 1.22 1.23 1.24 1.25 1.26 1.27" "-bookworm .")
    define php php php debian "" $(versions php "8 8.1 8.2 8.3 8.4" "-cli -cli-bookworm")
    define php-apache php php-apache php "" \
        $(versions php "8 8.1 8.2 8.3 8.4" "-apache -apache-bookworm")
    define composer php composer php "" composer:2 composer:latest
    define ruby ruby ruby debian "" $(versions ruby "3 3.1 3.2 3.3 3.4 3.5" "-slim -slim-bookworm .")
    define rust rust rust debian "" $(versions rust "1" "-slim-bookworm -slim -bookworm .")
    define java java java debian "" $(versions eclipse-temurin "11 17 21" "-jdk -jre .")
    define maven java maven java "" maven:3-eclipse-temurin-11 maven:3-eclipse-temurin-17 maven:3-eclipse-temurin-21 maven:3
    define postgres postgres postgres debian "" $(versions postgres "13 14 15 16 17" "-bookworm .") postgres:latest
    define redis redis redis debian "" $(versions redis "6 7 8" "-bookworm .") redis:latest
}
readonly default_groups="debian python node golang php postgres redis"

# ---------------------------------------------------------------- telling and failing

say() { printf 'stand-in images: %s\n' "$*"; }
fail() {
    printf 'stand-in images: error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'stand-in images: %s\n' "$2" >&2
    exit 1
}

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

list() {
    local name
    for name in "${names[@]}"; do printf '%-12s %s\n' "$name" "${tags[$name]}"; done
}

# ---------------------------------------------------------------- what comes from the host

# A proxy that inspects TLS is known to the host by certificates which Debian does not
# ship. They go into the image the Debian way, and survive `update-ca-certificates` there.
readonly host_bundle=${WHARF_CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}

# Only what the host's apt needs to fetch packages at all; its own hooks and caches stay.
host_apt_options() {
    command -v apt-config >/dev/null || return 0
    apt-config dump |
        grep -E '^Acquire::(Check-Valid-Until|Check-Date|Retries|ForceIPv[46]|https?)(::[A-Za-z-]+)* "[^"]+";' || true
}

# Package managers in containers must reach the same mirrors as those on the host.
readonly mirror_variables="PIP_INDEX_URL PIP_EXTRA_INDEX_URL UV_INDEX_URL NPM_CONFIG_REGISTRY GOPROXY GONOSUMDB GOFLAGS"
host_mirrors() {
    local variable
    for variable in $mirror_variables; do
        [ -z "${!variable:-}" ] || printf '%s=%s\n' "$variable" "${!variable}"
    done
}

# ---------------------------------------------------------------- is there anything to do?

hash_text() { sha256sum | cut -c1-32; }

# The files a name is made from, without the parent.
own_hash() {
    local name=$1
    if [ "${folder[$name]}" = . ]; then
        {
            declare -f build_debian
            cat "$here/add-host-certificates.sh"
            cat "$host_bundle" 2>/dev/null || true
            host_apt_options
            host_mirrors
        } | hash_text
    else
        { printf '%s\n' "${arguments[$name]}"
          cd "$here/${folder[$name]}" && find . -type f -print0 | sort -z | xargs -0 sha256sum
        } | hash_text
    fi
}

declare -A wanted
compute_hashes() {
    local name
    for name in "${names[@]}"; do
        local above=""
        [ -z "${parent[$name]}" ] || above=${wanted[${parent[$name]}]}
        wanted[$name]=$(printf '%s %s' "$above" "$(own_hash "$name")" | hash_text)
    done
}

declare -A present
read_present() {
    local tag hash
    # shellcheck disable=SC2016  # the dollars are the template's
    while read -r hash tag; do
        [ -z "$tag" ] || present[$tag]=$hash
    done < <(docker image ls --filter label=standin.hash --format '{{.Repository}}:{{.Tag}}' |
        { grep -v '<none>' || true; } |
        xargs -r docker image inspect --format '{{$h := index .Config.Labels "standin.hash"}}{{range .RepoTags}}{{$h}} {{.}}{{println}}{{end}}' |
        sort -u)
}

is_current() {
    local tag
    for tag in ${tags[$1]}; do
        [ "${present[$tag]:-}" = "${wanted[$1]}" ] || return 1
    done
}

# Asks for a manifest only, nothing is downloaded; where the engine is set to use mirrors,
# which the client does not know of, a tiny pull tells.
registry_answers() {
    timeout 10 docker manifest inspect debian:$suite-slim >/dev/null 2>&1 && return 0
    [ "$(docker info --format '{{len .RegistryConfig.Mirrors}}' 2>/dev/null)" != 0 ] || return 1
    timeout 30 docker pull -q hello-world >/dev/null 2>&1
}

# ---------------------------------------------------------------- building

scratch=""
tidy() { [ -z "$scratch" ] || rm -rf -- "$scratch"; }
trap tidy EXIT

# Shows the steps of a build, keeps the whole log for the case that it fails.
follow() {
    tee -a "$1" | awk '
        /^Step [0-9]+\/[0-9]+ : / || /^#[0-9]+ \[.*\] / || /^[IEW]: / {
            printf "    %s\n", substr($0, 1, 110); fflush()
        }'
}

build_debian() {
    local log=$1 options=() tarball=$scratch/debian.tar extra=$scratch/extra-certificates
    command -v mmdebstrap >/dev/null ||
        fail "mmdebstrap is not installed." "Run: apt-get install -y mmdebstrap"
    [ -f /usr/share/keyrings/debian-archive-keyring.gpg ] ||
        fail "the keys of the Debian archive are not installed." \
            "Run: apt-get install -y debian-archive-keyring"
    local line
    while IFS= read -r line; do
        [ -z "$line" ] || options+=(--aptopt="$line")
    done < <(host_apt_options)
    for line in doc man info locale groff lintian linda; do
        options+=(--dpkgopt="path-exclude=/usr/share/$line/*")
    done
    options+=(--dpkgopt="path-include=/usr/share/doc/*/copyright")
    # Some packages create alternatives for manual pages and fail without the folder.
    # shellcheck disable=SC2016  # the dollar is the hook's
    options+=(--customize-hook='mkdir -p "$1/usr/share/man/man1"')
    options+=(--customize-hook="'$here/add-host-certificates.sh' \"\$1\" '$host_bundle' '$extra'")
    mmdebstrap --variant=minbase --include=ca-certificates,netbase,tzdata \
        "${options[@]}" "$suite" "$tarball" ${WHARF_DEBIAN_MIRROR:+"$WHARF_DEBIAN_MIRROR"} 2>&1 |
        follow "$log"
    local changes=(--change 'CMD ["bash"]' --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')
    changes+=(--change "LABEL standin.name=debian" --change "LABEL standin.hash=${wanted[debian]}")
    while IFS= read -r line; do
        [ -z "$line" ] || changes+=(--change "ENV $line")
    done < <(host_mirrors)
    if [ -e "$extra" ]; then
        # The tools that bring certificates of their own and do not look at the system's.
        local variable
        for variable in SSL_CERT_FILE PIP_CERT REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS \
            CARGO_HTTP_CAINFO GIT_SSL_CAINFO CURL_CA_BUNDLE; do
            changes+=(--change "ENV $variable=/etc/ssl/certs/ca-certificates.crt")
        done
    fi
    docker import "${changes[@]}" "$tarball" debian:$suite-slim >>"$log" 2>&1
    rm -f "$tarball"
}

build_dockerfile() {
    local name=$1 log=$2 options=() pair first=${tags[$1]%% *}
    for pair in ${arguments[$name]}; do options+=(--build-arg "$pair"); done
    # Engines without the buildx client plug-in have the classic builder only.
    local kit=0
    if docker buildx version >/dev/null 2>&1; then
        kit=1
        options+=(--progress plain)
    fi
    DOCKER_BUILDKIT=$kit docker build "${options[@]}" --force-rm --network host \
        --label "standin.name=$name" --label "standin.hash=${wanted[$name]}" \
        -t "$first" "$here/${folder[$name]}" 2>&1 | follow "$log"
}

build_one() {
    local name=$1 log=$scratch/$1.log first tag start=$SECONDS
    first=${tags[$name]%% *}
    say "building $name ($first${tags[$name]#"$first"})"
    : >"$log"
    local done=1
    if [ "${folder[$name]}" = . ]; then build_debian "$log" || done=0; else build_dockerfile "$name" "$log" || done=0; fi
    if [ $done = 0 ] || ! docker image inspect "$first" >/dev/null 2>&1; then
        tail -n 40 "$log" >&2
        fail "$name could not be built; the last lines of its log are above." \
            "Packages come from the Debian mirror and the Python package index: check that both can be reached from containers."
    fi
    for tag in ${tags[$name]}; do
        [ "$tag" = "$first" ] || docker tag "$first" "$tag"
        present[$tag]=${wanted[$name]}
    done
    say "built $name in $((SECONDS - start)) s"
}

ensure() {
    local name=$1
    [ -z "${parent[$name]}" ] || ensure "${parent[$name]}"
    is_current "$name" || build_one "$name"
}

# ---------------------------------------------------------------- the run

main() {
    local force=0 ask=0 chosen=() word name
    for word in "$@"; do
        case $word in
            -h | --help) usage; exit 0 ;;
            --list) list; exit 0 ;;
            --force) force=1 ;;
            --needed) ask=1 ;;
            -*) fail "unknown option $word." "See: $0 --help" ;;
            *) chosen+=("$word") ;;
        esac
    done
    # shellcheck disable=SC2206  # the groups are words
    [ ${#chosen[@]} -gt 0 ] || chosen=($default_groups)

    local todo=()
    for word in "${chosen[@]}"; do
        local found=0
        for name in "${names[@]}"; do
            if [ "$word" = all ] || [ "$word" = "$name" ] || [ "$word" = "${group[$name]}" ]; then
                found=1
                todo+=("$name")
            fi
        done
        [ $found = 1 ] || fail "there is no stand-in named $word." "See: $0 --list"
    done

    docker version >/dev/null 2>&1 ||
        fail "no Docker engine answers." "Start one: ./install.sh --docker-only"
    compute_hashes
    read_present
    local missing=0
    for name in "${todo[@]}"; do is_current "$name" || missing=$((missing + 1)); done
    if [ $ask = 1 ]; then
        if [ $missing = 0 ] || registry_answers; then exit 1; else exit 0; fi
    fi
    if [ $missing = 0 ]; then
        say "all ${#todo[@]} are up to date"
        return
    fi
    if [ $force = 0 ] && registry_answers; then
        say "a container registry answers; Docker pulls the official images, nothing is built"
        return
    fi
    say "no container registry can be reached: building $missing of ${#todo[@]} from Debian packages"

    local lock=/tmp
    [ ! -w /run/lock ] || lock=/run/lock
    exec 9>"$lock/wharf-standin-images"
    if command -v flock >/dev/null && ! flock -n 9; then
        say "waiting for another run of this script"
        flock 9
        read_present
    fi
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/standin-images.XXXXXX")
    for name in "${todo[@]}"; do ensure "$name"; done
    say "ready"
}

main "$@"
