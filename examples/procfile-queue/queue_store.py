"""The jobs, in the memory of the one web process. A job a worker took and did not
finish in time goes back to the queue, so that a worker that died loses nothing."""

import itertools
import threading
import time
from collections import OrderedDict

LEASE_SECONDS = 30
KEPT_JOBS = 200


class Jobs:
    def __init__(self, now=time.monotonic):
        self._now = now
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._jobs = OrderedDict()
        self.last_worker = None

    def add(self, text):
        with self._lock:
            job = {"id": next(self._ids), "text": text, "state": "waiting", "result": None, "until": 0.0}
            self._jobs[job["id"]] = job
            while len(self._jobs) > KEPT_JOBS:
                self._jobs.popitem(last=False)
            return job["id"]

    def take(self):
        """The oldest job nobody works on, or None."""
        now = self._now()
        with self._lock:
            self.last_worker = now
            for job in self._jobs.values():
                if job["state"] == "waiting" or (job["state"] == "taken" and job["until"] < now):
                    job["state"], job["until"] = "taken", now + LEASE_SECONDS
                    return {"id": job["id"], "text": job["text"]}
        return None

    def finish(self, number, result):
        with self._lock:
            job = self._jobs.get(number)
            if job is None or job["state"] == "done":
                return False
            job["state"], job["result"] = "done", result
            return True

    def newest(self, most=20):
        with self._lock:
            return [dict(job) for job in reversed(self._jobs.values())][:most]

    def worker_seen(self):
        """Seconds since a worker last asked, or None."""
        return None if self.last_worker is None else self._now() - self.last_worker
