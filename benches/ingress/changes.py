#!/usr/bin/env python3
"""Changes under load: table swaps with 5,000 routes, and upgrades of the process one after the other.

    changes.py [--wharf PATH] [--swaps 50] [--upgrades 50]

Requests go over 16 keep-alive connections at a steady rate, from before the first change until after the last; a connection
is opened anew only after the proxy has said that it closes it. Everything but a whole 200 counts as failed.
"""
import argparse, http.client, json, signal, socket, threading, time
from proxies import Bench, HOST, WHARF, snapshot, wharf

CONNECTIONS = 16


class Load:
    def __init__(self, port, rate):
        self.port, self.pause, self.stop = port, CONNECTIONS / rate, threading.Event()
        self.times, self.failed, self.lock = [], [], threading.Lock()
        self.threads = [threading.Thread(target=self.client, args=(n,)) for n in range(CONNECTIONS)]

    def client(self, number):
        connection, due = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10), time.monotonic() + self.pause * number / CONNECTIONS
        while not self.stop.is_set():
            time.sleep(max(0, due - time.monotonic()))
            due += self.pause
            begun = time.monotonic()
            try:
                connection.request("GET", "/1k", headers={"Host": HOST})
                answer = connection.getresponse()
                body = answer.read()
                with self.lock:
                    if answer.status == 200 and len(body) == 1024:
                        self.times.append((begun, time.monotonic() - begun))
                    else:
                        self.failed.append(f"status {answer.status}")
            except OSError as error:
                connection.close()
                with self.lock:
                    self.failed.append(repr(error))
            except http.client.HTTPException as error:
                connection.close()
                with self.lock:
                    self.failed.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def p99(times, since, until):
    window = sorted(took for begun, took in times if since <= begun < until)
    return 1000 * window[int(len(window) * 0.99)] if window else 0


class Control(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def control(path, method, target, body=None):
    connection = Control(path)
    connection.request(method, target, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{method} {target}: {answer.status} {text[:300]}")
    return json.loads(text)


def swaps(bench, program, count):
    process, port = bench.add("wharf", program)
    path = bench.run / f"wharf-{port}" / "run" / "ingress.sock"
    more = [{"id": f"r{n}", "hosts": [f"r{n}.example.test"], "upstreams": [{"id": f"u{n}", "address": {"tcp": "127.0.0.1:19001"}}]} for n in range(5000)]
    tables = [json.dumps(snapshot(bench.run, generation, more)) for generation in range(2, count + 3)]
    control(path, "PUT", "/v1/snapshot", tables[0])
    with Load(port, 2000) as load:
        start = time.monotonic()
        time.sleep(5)
        quiet_end = time.monotonic()
        for table in tables[1:]:
            control(path, "PUT", "/v1/snapshot", table)
            time.sleep(0.1)
        end = time.monotonic()
    rate = len(load.times) / (end - start)
    print(f"{count} table swaps, 5,000 routes, {rate:.0f} requests/s: {len(load.failed)} of {len(load.times) + len(load.failed)} failed; "
          f"p99 {p99(load.times, start, quiet_end):.1f} ms before, {p99(load.times, quiet_end, end):.1f} ms during {set(load.failed) or ''}")
    process.send_signal(signal.SIGTERM)


def upgrades(bench, program, count):
    process, port = bench.add("wharf", program)
    path = bench.run / f"wharf-{port}" / "run" / "ingress.sock"
    old = []
    with Load(port, 500) as load:
        start = time.monotonic()
        time.sleep(3)
        quiet_end = time.monotonic()
        for _ in range(count):
            old.append(process)
            process = wharf(bench.run, program, port)
            bench.running.append(process)
            while True:
                try:
                    if control(path, "GET", "/v1/status")["pid"] == process.pid:
                        break
                except OSError:
                    pass
                if process.poll() is not None:
                    raise SystemExit(f"successor number {len(old)} ended with status {process.returncode}")
                time.sleep(0.02)
        end = time.monotonic()
        time.sleep(1)
    print(f"{count} upgrades in a row, {len(load.times) / (end - start):.0f} requests/s: {len(load.failed)} of {len(load.times) + len(load.failed)} failed; "
          f"p99 {p99(load.times, start, quiet_end):.1f} ms before, {p99(load.times, quiet_end, end):.1f} ms during {set(load.failed) or ''}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wharf", default=WHARF)
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--upgrades", type=int, default=50)
    options = parser.parse_args()
    with Bench() as bench:
        if options.swaps:
            swaps(bench, options.wharf, options.swaps)
        if options.upgrades:
            upgrades(bench, options.wharf, options.upgrades)


if __name__ == "__main__":
    main()
