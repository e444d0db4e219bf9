#!/bin/sh
# Options and configuration files are meant for redis-server, which runs as its own user.
set -e
case ${1:-} in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
    # In a container of its own, other containers are the clients.
    set -- "$@" --protected-mode no
    if [ "$(id -u)" = 0 ]; then
        chown -R redis:redis .
        exec setpriv --reuid redis --regid redis --init-groups "$@"
    fi
fi
exec "$@"
