"""What all three processes read from the environment."""

import os

GREETING = os.environ.get("QUEUE_GREETING", "Word count while you wait")
TOKEN = os.environ.get("QUEUE_TOKEN", "")
PORT = os.environ.get("PORT", "8000")
URL = os.environ.get("QUEUE_URL") or f"http://web:{PORT}"
