"""Takes orders in and puts them into the queue; says what became of them."""

import json
import threading
import uuid

import common

local = threading.local()


def rows(query, **values):
    for attempt in (1, 2):
        try:
            if not hasattr(local, "connection"):
                local.connection = common.database()
            return local.connection.run(query, **values)
        except Exception:
            # The database may have been replaced: one try with a fresh connection.
            del local.connection
            if attempt == 2:
                raise


def handle(method, path, body):
    if path == "/health":
        return 200, "ok"
    if path == "/api/orders" and method == "POST":
        order = {"id": uuid.uuid4().hex, "product": body["product"]}
        common.cache().lpush(common.QUEUE, json.dumps(order))
        return 202, order
    if path.startswith("/api/orders/"):
        rows(common.TABLE)
        found = rows("SELECT product, shipped_by FROM orders WHERE id = :id", id=path.rsplit("/", 1)[1])
        return (200, {"product": found[0][0], "shipped_by": found[0][1]}) if found else (404, "not shipped yet")
    return 404, "not found"


common.serve(8002, handle)
