"""Says hello, and which container said it. Nothing but Python's own library."""

import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STARTED = time.monotonic()
GREETING = os.environ.get("GREETING", "Hello from a Dockerfile")


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        answer = {
            "greeting": GREETING,
            "instance": os.uname().nodename,
            "path": self.path,
            "for": self.headers.get("X-Forwarded-For"),
            "up_seconds": round(time.monotonic() - STARTED, 1),
        }
        body = (json.dumps(answer, indent=2) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Hello)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("listening on port", server.server_port)
server.serve_forever()
print("stopped")
