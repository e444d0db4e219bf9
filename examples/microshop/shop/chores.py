"""What the shop does by the clock: `chores.py count`, `chores.py export`, `chores.py check`, `chores.py tell`."""

import csv
import os
import pathlib
import sys

import common


def folder():
    return pathlib.Path(os.environ["WHARF_ARTIFACTS"])


def count():
    database = common.database()
    database.run(common.TABLE)
    print("orders shipped so far:", database.run("SELECT count(*) FROM orders")[0][0])


def export():
    """The orders of each worker in a file of its own, for the steps that follow."""
    database = common.database()
    database.run(common.TABLE)
    rows = database.run("SELECT id, product, shipped_by FROM orders ORDER BY id")
    with (folder() / "orders.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    print(len(rows), "orders exported")


def check():
    product = os.environ["WHARF_ITEM"]
    with (folder() / "orders.csv").open(newline="") as file:
        found = sum(1 for row in csv.reader(file) if row[1] == product)
    print(product, "was ordered", found, "times")


def tell():
    print("the report of", os.environ["DAY"], "is ready:", (folder() / "orders.csv").stat().st_size, "bytes")


{"count": count, "export": export, "check": check, "tell": tell}[sys.argv[1]]()
