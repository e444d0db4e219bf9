"""The release command: runs once before a new version takes traffic; if it fails, the old
version stays. Here it proves that the new code can take, do and finish a job."""

import sys

import settings
from queue_store import Jobs
from worker import work

if not settings.TOKEN:
    print("note: QUEUE_TOKEN is not set, anybody who reaches the web process can take jobs")

jobs = Jobs()
number = jobs.add("three small words")
job = jobs.take()
if not jobs.finish(job["id"], work(job["text"])) or jobs.newest()[0]["state"] != "done":
    sys.exit(f"job {number} went through the queue and was not done: {jobs.newest()[0]}")
print("release check passed:", jobs.newest()[0]["result"])
