#!/bin/sh
# Options, and words that are no command, are meant for composer.
set -e
case ${1:-} in
    -*) set -- composer "$@" ;;
    *) command -v -- "${1:-composer}" >/dev/null 2>&1 || set -- composer "$@" ;;
esac
exec "$@"
