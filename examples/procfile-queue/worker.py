"""The worker process: asks the web process for a job, does it, brings the result.

It listens on no port. While the web process cannot be reached it says so and tries again.
"""

import json
import signal
import threading
import urllib.error
import urllib.request

import settings

IDLE_SECONDS, LONGEST_PAUSE = 1.0, 15.0
stopping = threading.Event()


def call(path, payload=None):
    """POSTs to the web process. Returns the decoded answer, or None for an empty one."""
    request = urllib.request.Request(
        settings.URL.rstrip("/") + path,
        data=json.dumps(payload or {}).encode(),
        headers={"Authorization": f"Bearer {settings.TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        body = answer.read()
        return json.loads(body) if body else None


def work(text):
    words = text.split()
    longest = max(words, key=len, default="")
    return f"{len(words)} words, the longest is {longest!r}"


def run():
    pause = IDLE_SECONDS
    while not stopping.is_set():
        try:
            job = call("/take")
            if job:
                print(f"job {job['id']}: started")
                call(f"/jobs/{job['id']}/done", {"result": work(job["text"])})
                print(f"job {job['id']}: done")
            pause = IDLE_SECONDS if not job else 0
        except (OSError, ValueError) as error:
            pause = min(max(pause, IDLE_SECONDS) * 2, LONGEST_PAUSE)
            print(f"cannot work with {settings.URL} ({error}), trying again in {pause:.0f} s")
        stopping.wait(pause)


if __name__ == "__main__":
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopping.set())
    print(f"worker started, jobs come from {settings.URL}")
    run()
    print("worker stopped")
