"""Takes orders out of the queue and writes them into the database."""

import json
import os
import pathlib
import signal
import sys

import redis

import common

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
database = common.database()
database.run(common.TABLE)
queue = common.cache()
pathlib.Path("/tmp/ready").touch()
while True:
    try:
        taken = queue.brpop(common.QUEUE, timeout=5)
    except redis.exceptions.RedisError as error:
        print("the queue does not answer:", error)
        continue
    if taken:
        order = json.loads(taken[1])
        by = os.environ["WHARF_INSTANCE"]
        database.run(
            "INSERT INTO orders VALUES (:id, :product, :by) ON CONFLICT DO NOTHING",
            id=order["id"], product=order["product"], by=by,
        )
        print("shipped", order["id"])
