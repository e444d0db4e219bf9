"""What people see: the list of products, and a form that orders one."""

import html
import json
import os
import signal
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CATALOG = "http://catalog:8001"
ORDERS = "http://orders.internal:8002"


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as answer:
        return json.load(answer)


known = (0.0, [])


def products():
    """The products, at most a second old: the front page is asked far more often than they change."""
    global known
    if time.monotonic() - known[0] > 1:
        known = (time.monotonic(), call(CATALOG + "/products"))
    return known[1]


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text, kind="text/html; charset=utf-8"):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, "ok")
        if self.path != "/":
            return self.answer(404, "not found")
        rows = "".join(f"<li>{html.escape(p['name'])}: {p['price']} €</li>" for p in products())
        version = html.escape(os.environ["VERSION"])
        self.answer(200, f"<!doctype html><title>Microshop</title><h1>Microshop {version}</h1><ul>{rows}</ul>")

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        form = urllib.parse.parse_qs(self.rfile.read(length).decode())
        if self.path != "/order":
            return self.answer(404, "not found")
        order = call(ORDERS + "/api/orders", {"product": form.get("product", ["?"])[0]})
        self.answer(202, json.dumps(order), "application/json")

    def log_message(self, *_):
        pass


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer.request_queue_size = 256
server = ThreadingHTTPServer(("0.0.0.0", 8000), Front)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
