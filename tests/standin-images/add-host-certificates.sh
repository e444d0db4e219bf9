#!/bin/sh
# add-host-certificates.sh ROOT DIR: called by mmdebstrap while it makes the Debian stand-in.
# DIR holds the certificates the host trusts, one a file; those which Debian does not ship go
# into ROOT as local certificates. Leaves DIR/extra behind when there were any.
set -eu
root=$1 dir=$2
shipped=$root/etc/ssl/certs/ca-certificates.crt
target=$root/usr/local/share/ca-certificates
mkdir -p "$target"

# A certificate is known when the first long line of its body stands in the shipped bundle:
# line 3 holds the serial number and the issuer, which no two certificates share.
for file in "$dir"/*.crt; do
    [ -e "$file" ] || continue
    if ! grep -qxF -- "$(sed -n 3p "$file")" "$shipped" || ! grep -qxF -- "$(sed -n 8p "$file")" "$shipped"; then
        cp -- "$file" "$target/"
        : >"$dir/extra"
    fi
done
[ ! -e "$dir/extra" ] || chroot "$root" update-ca-certificates
