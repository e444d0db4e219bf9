"""Tells what a container looks like from inside."""

import http.server
import json
import os
import resource
import socket
import sys


def read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError as error:
        return type(error).__name__


def write(path):
    try:
        with open(path, "w") as file:
            file.write("x")
        return "written"
    except OSError as error:
        return os.strerror(error.errno)


def size(path):
    seen = os.statvfs(path)
    return seen.f_blocks * seen.f_frsize


def status(field):
    return next(l.split()[1] for l in read("/proc/self/status").splitlines() if l.startswith(field + ":"))


def addresses(name):
    try:
        return sorted(socket.gethostbyname_ex(name)[2])
    except OSError as error:
        return str(error)


def connects(name, port):
    with socket.create_connection((name, port), 5):
        return True


def seen():
    return {
        "argv": sys.orig_argv,
        "environment": dict(os.environ),
        "greeting": read("/srv/greeting"),
        "other_stage": os.path.exists("/never"),
        "page": [read("/srv/page.txt"), oct(os.stat("/srv/page.txt").st_mode & 0o777)],
        "token": [read("/run/secrets/token"), oct(os.stat("/run/secrets/token").st_mode & 0o777)],
        "user": [os.getuid(), os.getgid()],
        "groups": os.getgroups(),
        "folder": os.getcwd(),
        "host": [socket.gethostname(), socket.getfqdn()],
        "first_process": read("/proc/1/comm"),
        "terminal": os.isatty(1),
        "root": write("/etc/x"),
        "scratch": [write("/scratch/x"), size("/scratch")],
        "asked": os.path.exists("/scratch/asked"),
        "data": write("/data/x"),
        "logs": write("/logs/x"),
        "shm": size("/dev/shm"),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "capabilities": int(status("CapBnd"), 16),
        "new_privileges": status("NoNewPrivs"),
        "printer": addresses("printer"),
        "resolver": read("/etc/resolv.conf"),
        "backlog": read("/proc/sys/net/core/somaxconn"),
        "killed_first": read("/proc/self/oom_score_adj"),
        "shop": addresses("shop"),
        "front_door": addresses("front-door"),
        "back": addresses("back"),
        "back_internal": addresses("back.internal"),
        "store": addresses("store"),
        "reaches_back": connects("back", 9000),
        "debug": addresses("debug"),
    }


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(seen()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Answer).serve_forever()
