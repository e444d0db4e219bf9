"""The web process: takes jobs from people, hands them to workers, shows results.

    GET  /              the page            POST /jobs          a new job (form field "text")
    POST /take          for workers         POST /jobs/ID/done  for workers
    GET  /jobs          what the page shows, as JSON
"""

import hmac
import html
import json
from urllib.parse import parse_qs

import settings
from queue_store import Jobs

LARGEST_BODY = 64 * 1024
jobs = Jobs()

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --accent: light-dark(#15803d, #86efac); }}
body {{ font: 1.05rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 0 auto; padding: 2rem 1.2rem; }}
textarea {{ width: 100%; font: inherit; padding: .6rem; box-sizing: border-box; }}
button {{ font: inherit; padding: .4rem 1rem; margin-top: .5rem; }}
li {{ border-bottom: 1px solid var(--line); padding: .5rem 0; overflow-wrap: anywhere; }}
.done {{ color: var(--accent); }}
</style></head><body>
<h1>{title}</h1>
<form method="post" action="/jobs"><label for="text">A text to count</label>
<textarea id="text" name="text" rows="3" required></textarea><button>Put it in the queue</button></form>
<p id="worker">{worker}</p><ol id="jobs" reversed>{rows}</ol>
<script>
setInterval(async () => {{
  const answer = await fetch('/').catch(() => null);
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
  for (const id of ['worker', 'jobs']) document.getElementById(id).replaceWith(fresh.getElementById(id));
}}, 2000);
</script></body></html>"""


def page():
    rows = "".join(
        f'<li value="{job["id"]}">{html.escape(job["text"][:80])} <span class="{job["state"]}">'
        f'{html.escape(job["result"] or job["state"])}</span></li>'
        for job in jobs.newest()
    )
    seen = jobs.worker_seen()
    worker = "No worker has asked for work yet." if seen is None else f"A worker asked {seen:.0f} s ago."
    return PAGE.format(title=html.escape(settings.GREETING), worker=worker, rows=rows)


def from_worker(environ):
    shown = environ.get("HTTP_AUTHORIZATION", "")
    return hmac.compare_digest(shown.encode(), f"Bearer {settings.TOKEN}".encode()) or not settings.TOKEN


def route(environ, body):
    """(status, content type, body, more headers) for a request."""
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
    as_json = "application/json"
    if (method, path) == ("GET", "/"):
        return "200 OK", "text/html; charset=utf-8", page(), []
    if (method, path) == ("GET", "/health"):
        return "200 OK", as_json, '{"status": "ok"}', []
    if (method, path) == ("GET", "/jobs"):
        return "200 OK", as_json, json.dumps(jobs.newest()), []
    if (method, path) == ("POST", "/jobs"):
        text = parse_qs(body.decode("utf-8", "replace")).get("text", [""])[0].strip()
        if not text:
            return "422 Unprocessable Content", as_json, '{"error": "the field text is empty"}', []
        number = jobs.add(text)
        return "303 See Other", as_json, json.dumps({"id": number}), [("Location", "/")]
    if method == "POST" and (path == "/take" or path.startswith("/jobs/")):
        return for_worker(environ, path, body)
    return "404 Not Found", as_json, '{"error": "there is nothing at this address"}', []


def for_worker(environ, path, body):
    as_json = "application/json"
    if not from_worker(environ):
        return "401 Unauthorized", as_json, '{"error": "QUEUE_TOKEN does not match"}', []
    if path == "/take":
        job = jobs.take()
        return ("200 OK", as_json, json.dumps(job), []) if job else ("204 No Content", as_json, "", [])
    number = path.removeprefix("/jobs/").removesuffix("/done")
    try:
        known = jobs.finish(int(number), str(json.loads(body)["result"]))
    except (ValueError, KeyError, TypeError):
        return "400 Bad Request", as_json, '{"error": "expected {\\"result\\": ...}"}', []
    return ("200 OK" if known else "409 Conflict"), as_json, "{}", []


def app(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > LARGEST_BODY:
        start_response("413 Content Too Large", [("Content-Length", "0")])
        return [b""]
    status, kind, text, more = route(environ, environ["wsgi.input"].read(length))
    data = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(data))), *more])
    return [data]
