"""The products."""

from common import serve

PRODUCTS = [{"name": "Anchor", "price": 40}, {"name": "Compass", "price": 25}, {"name": "Rope", "price": 9}]


def handle(_method, path, _body):
    if path == "/health":
        return 200, "ok"
    return (200, PRODUCTS) if path == "/products" else (404, "not found")


serve(8001, handle)
