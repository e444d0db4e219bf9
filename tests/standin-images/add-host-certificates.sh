#!/bin/sh
# add-host-certificates.sh ROOT BUNDLE [MARK]: called by mmdebstrap while it makes a Debian.
# Certificates of the host's BUNDLE which Debian does not ship go into ROOT as local ones, the
# Debian way, so that they survive `update-ca-certificates`. Touches MARK when there were any.
set -eu
root=$1 bundle=$2 mark=${3:-}
[ -s "$bundle" ] || exit 0
shipped=$root/etc/ssl/certs/ca-certificates.crt
target=$root/usr/local/share/ca-certificates
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk -v dir="$work" '
    /^-----BEGIN CERTIFICATE-----/ { body = ""; inside = 1 }
    inside { body = body $0 "\n" }
    /^-----END CERTIFICATE-----/ {
        inside = 0
        file = sprintf("%s/host-%04d.crt", dir, ++count)
        printf "%s", body > file; close(file)
    }' "$bundle"

# A certificate is known when two lines of its body stand in the shipped bundle: the third
# holds the serial number and the issuer, the eighth a part of the key or the names.
mkdir -p "$target"
found=0
for file in "$work"/*.crt; do
    [ -e "$file" ] || continue
    if ! grep -qxF -- "$(sed -n 3p "$file")" "$shipped" || ! grep -qxF -- "$(sed -n 8p "$file")" "$shipped"; then
        cp -- "$file" "$target/"
        found=1
    fi
done
[ $found = 1 ] || exit 0
[ -z "$mark" ] || : >"$mark"
chroot "$root" update-ca-certificates
