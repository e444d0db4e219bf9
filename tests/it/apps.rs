//! Small apps that are pushed, as lists of files.

/// Files of an app: path and text.
pub(crate) type Files = Vec<(&'static str, String)>;

/// One page, served by Wharf's own file server.
pub(crate) fn page(text: &str) -> Files {
    vec![("index.html", format!("<!doctype html><title>t</title><p>{text}</p>\n"))]
}

/// A server in a container of its own making; it answers with `text` and the variables that begin with `SHOW_`.
pub(crate) fn server(text: &str) -> Files {
    program(&SERVER.replace("TEXT", text))
}

/// The same, listening on another address: a Python expression for host and port.
pub(crate) fn server_on(text: &str, address: &str) -> Files {
    let listens = r#"("0.0.0.0", int(os.environ["PORT"]))"#;
    program(&SERVER.replace("TEXT", text).replace(listens, address))
}

/// The same, which takes its time before it listens.
pub(crate) fn slow_server(text: &str, seconds: u32) -> Files {
    program(&format!("import time\ntime.sleep({seconds})\n{}", SERVER.replace("TEXT", text)))
}

/// Any program as the app.
pub(crate) fn program(source: &str) -> Files {
    vec![("Dockerfile", DOCKERFILE.to_owned()), ("main.py", source.to_owned())]
}

const DOCKERFILE: &str = r#"FROM python:3.13-slim
WORKDIR /app
COPY . .
CMD ["python", "-u", "main.py"]
"#;

const SERVER: &str = r#"import os, signal, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        shown = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("SHOW_")]
        body = ("\n".join(["TEXT", *shown]) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        print("served", self.path)

    def log_message(self, *_):
        pass


ThreadingHTTPServer.daemon_threads = True
server = ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Answer)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("TEXT is up")
server.serve_forever()
"#;
