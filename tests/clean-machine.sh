#!/usr/bin/env bash
# Proves install.sh on a clean machine, without a second machine: a fresh Debian in a folder,
# entered with mount, process, network, host name and control group namespaces of its own.
# Nothing of this machine's Docker is seen in there; the network is NAT to the outside.
#
#   tests/clean-machine.sh --binary FILE   install with --demo, see the examples answer,
#                                          install again, uninstall, see that nothing is left
#   tests/clean-machine.sh --build         the same, the installer building the binary itself with
#                                          this machine's Rust toolchain, which is lent to it
#   tests/clean-machine.sh --docker-only   only the part up to "Docker builds and runs images"
#   Options: --tests     run `make test` twice: where nothing is yet, and after the demo (wants
#                        --build; an hour and 15 GiB)
#            --systemd   with systemd as the machine's first process
#            --keep      leave the folder for a look
#            --folder D  where to make it (default: /var/tmp); not on tmpfs or an overlay
#
# Run as root; needs mmdebstrap, iproute2, iptables. Takes about two minutes.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(dirname "$here")
readonly here repository
readonly suite=bookworm name=wharf-clean-$$ link=wc$$
readonly subnet=10.198.$(($$ % 250)).0/30 outside=10.198.$(($$ % 250)).1 inside=10.198.$(($$ % 250)).2

say() { printf 'clean machine: %s\n' "$*"; }
fail() { printf 'clean machine: error: %s\n' "$@" >&2; exit 1; }

binary="" build=0 tests=0 systemd=0 docker_only=0 keep=0 folder=/var/tmp
while [ $# -gt 0 ]; do
    case $1 in
        --binary) [ $# -gt 1 ] || fail "--binary wants a file."; binary=$(realpath -- "$2"); shift 2 ;;
        --build) build=1; shift ;;
        --tests) tests=1; shift ;;
        --systemd) systemd=1; shift ;;
        --folder) [ $# -gt 1 ] || fail "--folder wants a folder."; folder=$(realpath -- "$2"); shift 2 ;;
        --docker-only) docker_only=1; shift ;;
        --keep) keep=1; shift ;;
        -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
        *) fail "unknown option $1." "See: $0 --help" ;;
    esac
done
[ "$(id -u)" = 0 ] || fail "this must be run as root."
[ $docker_only = 1 ] || [ $build = 1 ] || [ -f "$binary" ] ||
    fail "name a built binary with --binary FILE (see: make release), or say --build."
[ $tests = 0 ] || [ $build = 1 ] || fail "--tests wants --build."
toolchain=""
if [ $build = 1 ]; then
    toolchain=$(rustc --print sysroot) || fail "--build lends this machine's Rust toolchain, and there is none."
fi
readonly toolchain
for tool in mmdebstrap ip iptables unshare nsenter pivot_root; do
    command -v $tool >/dev/null || fail "$tool is not installed." "Run: apt-get install -y mmdebstrap iproute2 iptables util-linux"
done
readonly root=$folder/$name

# ---------------------------------------------------------------- making and removing

cgroup_folders() { find /sys/fs/cgroup -maxdepth 2 -type d -name "$name" 2>/dev/null; }

remove() {
    local status=$? path rule
    trap - EXIT
    # The first process of the namespace ends with the script that made it; the rest with it.
    [ -z "${machine:-}" ] || { kill -KILL "$machine" 2>/dev/null; wait "$machine" 2>/dev/null; } || true
    ip netns del "$name" 2>/dev/null || true
    ip link del "$link" 2>/dev/null || true
    for rule in "FORWARD -i $link -j ACCEPT" "FORWARD -o $link -j ACCEPT" "-t nat POSTROUTING -s $subnet -j MASQUERADE"; do
        # shellcheck disable=SC2086  # the rule is words
        case $rule in
            -t*) iptables -w -t nat -D ${rule#-t nat } 2>/dev/null || true ;;
            *) iptables -w -D $rule 2>/dev/null || true ;;
        esac
    done
    for path in $(cgroup_folders); do
        find "$path" -depth -type d -exec rmdir '{}' + 2>/dev/null || true
    done
    if [ $keep = 1 ]; then
        say "left in $root"
    elif [ -d "$root" ]; then
        rm -rf --one-file-system -- "$root" || say "could not remove all of $root"
    fi
    exit $status
}
trap remove EXIT
trap 'exit 130' INT TERM

make_debian() {
    local options=() line
    while IFS= read -r line; do options+=(--aptopt="$line"); done < <(apt-config dump |
        grep -E '^Acquire::(Check-Valid-Until|Check-Date|Retries|https?)(::[A-Za-z-]+)* "[^"]+";' || true)
    mkdir -p "$root"
    local packages=ca-certificates
    [ $systemd = 0 ] || packages+=,systemd-sysv,dbus
    mmdebstrap --variant=minbase --include="$packages" "${options[@]}" \
        --customize-hook="'$here/standin-images/add-host-certificates.sh' \"\$1\" /etc/ssl/certs/ca-certificates.crt" \
        "$suite" "$root" ${WHARF_DEBIAN_MIRROR:+"$WHARF_DEBIAN_MIRROR"} >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        fail "mmdebstrap could not make a Debian; its last lines are above."
    }
    rm -f "$root.log"
    # A local stub resolver is not there in another network namespace.
    local resolver=/etc/resolv.conf
    ! grep -q '^nameserver 127\.' /etc/resolv.conf || resolver=/run/systemd/resolve/resolv.conf
    cp -- "$resolver" "$root/etc/resolv.conf"
    printf 'clean\n' >"$root/etc/hostname"
    printf '127.0.0.1 localhost clean\n::1 localhost\n' >"$root/etc/hosts"
}

copy_in() {
    mkdir -p "$root/root/wharf"
    git -C "$repository" archive HEAD | tar -x -C "$root/root/wharf"
    [ -z "$(git -C "$repository" status --porcelain)" ] || say "note: what is not committed is not in the copy"
    [ -z "$binary" ] || install -m 0755 "$binary" "$root/root/wharf-binary"
    if [ -n "$toolchain" ]; then
        mkdir "$root/opt/rust"
        for program in "$toolchain"/bin/*; do
            ln -s "/opt/rust/bin/${program##*/}" "$root/usr/local/bin/"
        done
    fi
}

make_network() {
    ip netns add "$name"
    ip link add "$link" type veth peer name eth0 netns "$name"
    ip addr add "$outside/30" dev "$link"
    ip link set "$link" up
    ip -n "$name" link set lo up
    ip -n "$name" addr add "$inside/30" dev eth0
    ip -n "$name" link set eth0 up
    ip -n "$name" route add default via "$outside"
    echo 1 >/proc/sys/net/ipv4/ip_forward
    iptables -w -I FORWARD -i "$link" -j ACCEPT
    iptables -w -I FORWARD -o "$link" -j ACCEPT
    iptables -w -t nat -I POSTROUTING -s "$subnet" -j MASQUERADE
}

# Runs in a subshell that becomes the machine: it joins control groups of its own, so that
# the namespace made right after starts at them.
join_cgroups() {
    local top file
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mkdir "/sys/fs/cgroup/$name"
        echo "$BASHPID" >"/sys/fs/cgroup/$name/cgroup.procs"
        return
    fi
    for top in /sys/fs/cgroup/*/; do
        [ -e "$top/cgroup.procs" ] || continue
        mkdir "$top$name"
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$top$file" ] || cat "$top$file" >"$top$name/$file"
        done
        echo "$BASHPID" >"$top$name/cgroup.procs"
    done
}

# The first process of the machine. It mounts what a kernel's boot would have mounted.
# shellcheck disable=SC2016  # the dollars are the machine's
readonly boot='
    set -eu
    mount --make-rprivate /
    mount --bind "$1" "$1"
    cd "$1"
    if [ -n "$3" ]; then mount --bind -o ro "$3" opt/rust; fi
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t tmpfs -o mode=755 tmpfs dev
    for entry in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
        IFS=: read -r node major minor <<EOT
$entry
EOT
        mknod -m 666 "dev/$node" c "$major" "$minor"
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    ln -s /proc/self/fd/0 dev/stdin
    ln -s /proc/self/fd/1 dev/stdout
    ln -s /proc/self/fd/2 dev/stderr
    mount -t tmpfs -o mode=1777 tmpfs dev/shm
    mount -t tmpfs -o mode=755 tmpfs run
    mkdir -p run/lock
    hostname clean
    mkdir -p .outside
    pivot_root . .outside
    cd /
    umount -l /.outside
    rmdir /.outside
    # Version 2 of the control groups lets no processes stay where groups are divided.
    if [ "$2" = 2 ]; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        mkdir /sys/fs/cgroup/init
        for pid in $(cat /sys/fs/cgroup/cgroup.procs); do echo "$pid" >/sys/fs/cgroup/init/cgroup.procs || true; done
        for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
            echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
        done
    fi
    : >/run/booted
    if [ "$4" = 1 ]; then
        # As a container it leaves the kernel'"'"'s settings, the clock and the consoles alone.
        exec env container=wharf-test /lib/systemd/systemd --system --log-target=journal
    fi
    while :; do sleep 3600 & wait $! || true; done
'

boot_machine() {
    local version=1
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || version=2
    (
        join_cgroups
        exec nsenter --net="/run/netns/$name" unshare --mount --uts --ipc --pid --cgroup --fork --kill-child=KILL \
            env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
            bash -c "$boot" boot "$root" $version "$toolchain" $systemd
    ) </dev/null &
    machine=$!
    local deadline=$((SECONDS + 20))
    until first=$(pgrep -P "$machine" 2>/dev/null) && [ -e "/proc/$first/root/run/booted" ]; do
        kill -0 "$machine" 2>/dev/null || fail "the machine did not come up; its message is above."
        [ $SECONDS -lt $deadline ] || fail "the machine did not come up within 20 s."
        sleep 0.1
    done
    [ $systemd = 0 ] || until in_machine systemctl is-system-running 2>/dev/null | grep -qE '^(running|degraded)$'; do
        [ $SECONDS -lt $((deadline + 40)) ] || fail "systemd did not come up within a minute."
        sleep 0.2
    done
}

# in_machine COMMAND...: with the environment of a fresh root shell, and this network's proxies.
in_machine() {
    local kept=() variable
    for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY WHARF_DEBIAN_MIRROR; do
        [ -z "${!variable:-}" ] || kept+=("$variable=${!variable}")
    done
    nsenter --target "$first" --mount --uts --ipc --net --pid --cgroup --root --wd \
        env -C /root -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        "${kept[@]}" "$@"
}

# ---------------------------------------------------------------- what must hold

# timed WHAT COMMAND...
timed() {
    local what=$1 start=$SECONDS
    shift
    "$@" || fail "$what did not work; its output is above."
    say "$what: $((SECONDS - start)) s"
}

check_docker() {
    local server driver
    server=$(in_machine docker version --format '{{.Server.Version}}')
    driver=$(in_machine docker info --format '{{.Driver}}')
    say "Docker $server with $driver answers inside, control groups version $(in_machine docker info --format '{{.CgroupVersion}}')"
    in_machine docker info --format '{{.LiveRestoreEnabled}}' | grep -qx true || fail "live-restore is off."
    timed "an image is made from files" in_machine bash -c '
        tar -c -C / --one-file-system --exclude="./var/lib/docker" --exclude="./root/*" --exclude="./tmp/*" . |
            docker import - clean-check:base >/dev/null'
    timed "an image is built on it, with the network" in_machine bash -c '
        mkdir -p /tmp/check && cd /tmp/check
        printf "FROM clean-check:base\nRUN apt-get update\nRUN echo built >/built\nCMD [\"cat\", \"/built\"]\n" >Dockerfile
        DOCKER_BUILDKIT=1 docker build -q -t clean-check:app . >/dev/null'
    [ "$(in_machine docker run --rm --memory 64m --pids-limit 50 clean-check:app)" = built ] ||
        fail "a container with limits did not run."
    say "a container with limits ran"
    # shellcheck disable=SC2016  # the dollar is Perl's
    in_machine docker run --name clean-check --memory 32m clean-check:app perl -e '$a = "x" x 200000000; sleep 5' || true
    in_machine docker inspect --format '{{.State.OOMKilled}}' clean-check | grep -qx true ||
        fail "a container that went over its memory limit is not reported as out of memory."
    in_machine docker rm clean-check >/dev/null
    say "a container over its memory limit is reported as such"
    in_machine docker rmi clean-check:app clean-check:base >/dev/null
}

check_nothing_left() {
    local left
    left=$(in_machine bash -c 'grep -lx wharf /proc/[0-9]*/comm 2>/dev/null || true; ls -d /var/lib/wharf /run/wharf /usr/local/bin/wharf /etc/wharf 2>/dev/null || true
        docker ps -aq --filter label=wharf.installation; docker volume ls -q --filter label=wharf.installation
        docker network ls -q --filter label=wharf.installation; docker images -q --filter label=wharf.installation')
    [ -z "$left" ] || fail "--uninstall --purge left behind:" "$left"
    say "--uninstall --purge left nothing behind"
}

# The table at the end of the installer's output names every example with its address.
check_examples() {
    local count=0 app url host port
    while read -r app url; do
        host=${url#http://}
        host=${host%%/*}
        port=80
        [ "${host#*:}" = "$host" ] || port=${host#*:}
        host=${host%:*}
        in_machine curl -sf --noproxy '*' -o /dev/null --resolve "$host:$port:127.0.0.1" "$url" </dev/null ||
            fail "$app does not answer at $url."
        count=$((count + 1))
    done < <(sed -n '/^The examples are live/,/^$/s/^  \([a-z-]*\) *\(http:[^ ]*\)$/\1 \2/p' "$1")
    [ $count -ge 5 ] || fail "only $count examples were deployed."
    say "all $count examples answer"
}

# systemd starts again what dies.
check_restarts() {
    local unit deadline
    for unit in wharf-ingress wharf; do
        in_machine systemctl kill --signal=KILL "$unit"
        deadline=$((SECONDS + 15))
        until in_machine systemctl is-active --quiet "$unit" && (check_examples "$1") >/dev/null 2>&1; do
            [ $SECONDS -lt $deadline ] || fail "$unit was killed, and the examples did not answer again within 15 s."
            sleep 0.2
        done
    done
    say "systemd starts wharf and wharf-ingress again after a kill"
}

install_demo() {
    local output=$1
    # --demo is real work: its output is shown as it comes, and read afterwards.
    local options=(--demo)
    [ -z "$binary" ] || options+=(--binary /root/wharf-binary)
    in_machine env -C /root/wharf ./install.sh "${options[@]}" 2>&1 | tee "$output"
}

make_test() {
    in_machine bash -c 'apt-get -q update && apt-get -q -y install --no-install-recommends make git' >/dev/null
    in_machine make -C /root/wharf test
}

# ---------------------------------------------------------------- the run

start=$SECONDS
say "making a fresh Debian $suite in $root"
make_debian
copy_in
make_network
boot_machine
say "it is up after $((SECONDS - start)) s"
if [ $docker_only = 1 ]; then
    timed "install.sh --docker-only on a bare Debian" in_machine /root/wharf/install.sh --docker-only
    check_docker
    timed "install.sh --docker-only again" in_machine /root/wharf/install.sh --docker-only
else
    output=$root/root/install.log
    [ $tests = 0 ] || timed "make test" make_test
    timed "install.sh --demo" install_demo "$output"
    check_examples "$output"
    [ $systemd = 0 ] || check_restarts "$output"
    timed "install.sh --demo again" install_demo "$output"
    check_examples "$output"
    [ $tests = 0 ] || timed "make test again" make_test
    timed "install.sh --uninstall --purge" in_machine /root/wharf/install.sh --uninstall --purge
    check_nothing_left
fi
say "everything held, $((SECONDS - start)) s in all"
