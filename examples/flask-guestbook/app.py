"""A guestbook: one page, one form, one SQLite file.

The file lives in the container and goes with it; point DATABASE at a volume to keep it.
"""

import os
import sqlite3
from datetime import datetime, timezone

from flask import Flask, g, redirect, render_template, request, url_for

DATABASE = os.environ.get("DATABASE", "/tmp/guestbook.db")
TITLE = os.environ.get("GUESTBOOK_TITLE", "Guestbook")
NAME_LIMIT, TEXT_LIMIT, SHOWN = 40, 280, 50

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 16 * 1024


def database():
    """The connection of this request; the table is made on first use."""
    if "database" not in g:
        g.database = sqlite3.connect(DATABASE, timeout=5)
        g.database.row_factory = sqlite3.Row
        g.database.execute(
            "CREATE TABLE IF NOT EXISTS entries ("
            "id INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT NOT NULL, written TEXT NOT NULL)"
        )
    return g.database


@app.teardown_appcontext
def close(_error):
    connection = g.pop("database", None)
    if connection is not None:
        connection.close()


def page(problem=None, status=200, **typed):
    entries = database().execute(
        "SELECT name, text, written FROM entries ORDER BY id DESC LIMIT ?", (SHOWN,)
    ).fetchall()
    return render_template("index.html", title=TITLE, entries=entries, problem=problem,
                           name_limit=NAME_LIMIT, text_limit=TEXT_LIMIT, **typed), status


@app.get("/")
def index():
    return page()


@app.post("/")
def sign():
    name = request.form.get("name", "").strip()
    text = request.form.get("text", "").strip()
    if not name or not text:
        return page("Please write a name and a few words.", 422, name=name, text=text)
    if len(name) > NAME_LIMIT or len(text) > TEXT_LIMIT:
        return page(f"At most {NAME_LIMIT} letters for the name and {TEXT_LIMIT} for the entry.",
                    422, name=name, text=text)
    written = datetime.now(timezone.utc).strftime("%d %b %Y, %H:%M UTC")
    with database() as connection:
        connection.execute("INSERT INTO entries (name, text, written) VALUES (?, ?, ?)",
                           (name, text, written))
    return redirect(url_for("index"), 303)


@app.get("/health")
def health():
    database().execute("SELECT 1")
    return {"status": "ok"}


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "8000")))
