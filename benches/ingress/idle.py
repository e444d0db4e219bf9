#!/usr/bin/env python3
"""Memory of idle keep-alive connections: each has made one request and then waits.

    idle.py [--wharf PATH] [--proxies nginx,haproxy] [--connections 10000] [--tls]

Memory is the proportional set size of the proxy's processes, before and two seconds after; what the kernel keeps for the
sockets is not in it. At the end every connection makes one more request, so a connection that was dropped shows.
"""
import argparse, resource, shutil, socket, ssl, time
from proxies import Bench, HOST, WHARF, memory_mb

REQUEST = f"GET /1k HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def ask(connection):
    try:
        connection.sendall(REQUEST)
        received = b""
        while b"\r\n\r\n" not in received or len(received) < received.index(b"\r\n\r\n") + 4 + 1024:
            part = connection.recv(8192)
            if not part:
                return False
            received += part
        return received.startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wharf", default=WHARF)
    parser.add_argument("--proxies", default="nginx")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    print("| proxy | after start, MB | with idle connections, MB | bytes for each | still answered |\n|---|---|---|---|---|")
    with Bench() as bench:
        programs = {"wharf": options.wharf} | {name: shutil.which(name) for name in options.proxies.split(",") if name}
        for kind, program in programs.items():
            process, port = bench.add(kind, program)
            time.sleep(1)
            before, connections = memory_mb(process.pid), []
            for _ in range(options.connections):
                connection = socket.create_connection(("127.0.0.1", port + options.tls))
                connections.append(context.wrap_socket(connection, server_hostname=HOST) if options.tls else connection)
                ask(connections[-1])
            time.sleep(2)
            after = memory_mb(process.pid)
            answered = sum(map(ask, connections))
            each = (after - before) * (1 << 20) / options.connections
            print(f"| {kind} | {before:.1f} | {after:.1f} | {each:.0f} | {answered} of {options.connections} |")
            for connection in connections:
                connection.close()


if __name__ == "__main__":
    main()
