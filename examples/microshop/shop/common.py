"""What the services of the shop share: a small HTTP server, and how to reach the data."""

import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pg8000.native
import redis

QUEUE = "orders"
TABLE = "CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY, product text NOT NULL, shipped_by text NOT NULL)"


def cache():
    return redis.Redis(host=os.environ["REDIS_HOST"], socket_timeout=10)


def database():
    """A connection, as soon as the database takes one."""
    while True:
        try:
            return pg8000.native.Connection(
                "shop", host=os.environ["DB_HOST"], password=os.environ["DB_PASSWORD"], database="shop", timeout=5
            )
        except (OSError, pg8000.exceptions.Error) as error:
            print("the database is not there yet:", error)
            time.sleep(0.5)


def serve(port, handle):
    """Answers JSON: `handle(method, path, body)` gives a status and a value."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self):
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            status, value = handle(self.command, self.path, body)
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do

        def log_message(self, *_):
            pass

    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer.request_queue_size = 256
    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
