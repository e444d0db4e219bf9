#!/usr/bin/env python3
"""CPU time per request of the ingress beside nginx, HAProxy and Caddy, interleaved in one run.

    compare.py [--wharf PATH] [--proxies nginx,haproxy] [--rounds 5] [--seconds 2] [--only h1_1k,tls_1k]

`--wharf` may be given several times as NAME=PATH: builds are then compared with each other too. Proxies: nginx,
nginx_log (with an access log, as Debian sets it up), haproxy, caddy.

Needs wrk, h2load and openssl, and nginx (also the upstream). Each proxy has one worker on the last CPU; load generator
and upstream have the first. CPU time of the proxy (/proc/PID/task/*/schedstat) per request is what counts: it repeats
within some 10 % on a busy machine, while requests per second do not. Ratios are medians over the rounds, each taken
within its round. How the proxies are set up stands in proxies.py.
"""
import argparse, re, shutil, statistics, subprocess
from proxies import Bench, FIRST, HOST, WHARF, cpu_seconds, memory_mb, output_of, start

# name -> (tool, scheme, path, further arguments)
SCENARIOS = {
    "h1_1k": ("wrk", "http", "/1k", ["-c64"]),
    "h1_browser": ("wrk", "http", "/1k", ["-c64", *(word for header in (
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.5", "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark", "Sec-Fetch-Dest: document",
        "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: same-origin", "Referer: http://app.example.test/a/page?with=query") for word in ("-H", header))]),
    "h1_1m": ("wrk", "http", "/1m", ["-c16"]),
    "h1_close": ("wrk", "http", "/1k", ["-c32", "-H", "Connection: close"]),
    "post_16k": ("wrk", "http", "/post", ["-c64", "-s", "post.lua"]),
    "tls_1k": ("wrk", "https", "/1k", ["-c64"]),
    "tls_1m": ("wrk", "https", "/1m", ["-c16"]),
    "h2_1k": ("h2load", "https", "/1k", ["-c16", "-m16"]),
    # A new TLS 1.3 connection for each request: with a full handshake, and with the session of an earlier one.
    "tls_full": ("s_time", "https", "/1k", ["-new"]),
    "tls_resumed": ("s_time", "https", "/1k", ["-reuse"]),
}
CLIENTS = 4  # of openssl s_time, which has one connection each


def load(run, tool, url, more, seconds):
    """Runs the load; returns (requests, bad answers, what went wrong)."""
    if tool == "wrk":
        text = output_of(FIRST, ["wrk", "-t1", f"-d{seconds}s", "-H", f"Host: {HOST}", *more, url], cwd=run)
        bad, errors = re.search(r"Non-2xx or 3xx responses: (\d+)", text), re.search(r"Socket errors: (.*)", text)
        return int(re.search(r"(\d+) requests in", text).group(1)), int(bad.group(1)) if bad else 0, errors.group(1) if errors else ""
    if tool == "h2load":
        text = output_of(FIRST, ["h2load", "-t1", "-D", seconds, "-H", f":authority: {HOST}", *more, url])
        if "Application protocol: h2" not in text:
            return 0, 0, "no HTTP/2"
        done, good = re.search(r"(\d+) succeeded", text), re.search(r"(\d+) 2xx", text)
        return int(done.group(1)), int(done.group(1)) - int(good.group(1)), ""
    authority, path = re.match(r"https://([^/]+)(/.*)", url).groups()
    command = ["openssl", "s_time", "-connect", authority, "-www", path, "-time", seconds, "-tls1_3", *more]
    clients = [start(FIRST, command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(CLIENTS)]
    counts = [re.search(r"(\d+) connections in \d+ real seconds", client.communicate()[0]) for client in clients]
    return sum(int(count.group(1)) for count in counts if count), 0, "" if all(counts) else "a client failed"


def measure(run, scenario, process, port, seconds):
    tool, scheme, path, more = SCENARIOS[scenario]
    before = cpu_seconds(process.pid)
    requests, bad, errors = load(run, tool, f"{scheme}://127.0.0.1:{port + (scheme == 'https')}{path}", more, seconds)
    used = cpu_seconds(process.pid) - before
    return {"cpu_us": 1e6 * used / requests if requests else None, "rps": requests / seconds, "bad": bad, "errors": errors}


def table(results, scenarios, targets, ours):
    peers = [name for name in targets if name not in ours]
    print("| case | proxy | CPU µs/request | " + " | ".join(f"{peer}'s CPU / its CPU" for peer in peers) + " | req/s | bad | errors |")
    print("|---" * (6 + len(peers)) + "|")
    for scenario in scenarios:
        for name in targets:
            rounds = results[scenario, name]
            if any(r["cpu_us"] is None for r in rounds):
                print(f"| {scenario} | {name} | – | {rounds[0]['errors']} |")
                continue
            ratios = []
            for peer in peers:
                pairs = [(p["cpu_us"], r["cpu_us"]) for p, r in zip(results[scenario, peer], rounds)]
                ratios.append(f"{statistics.median(p / r for p, r in pairs):.2f}" if all(p for p, _ in pairs) else "–")
            cpu, rate = (statistics.median(r[key] for r in rounds) for key in ("cpu_us", "rps"))
            errors = "; ".join(filter(None, (r["errors"] for r in rounds)))
            print(f"| {scenario} | {name} | {cpu:.1f} | {' | '.join(ratios)} | {rate:.0f} | {sum(r['bad'] for r in rounds)} | {errors} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wharf", action="append", help="PATH or NAME=PATH")
    parser.add_argument("--proxies", default="nginx,haproxy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default=",".join(SCENARIOS))
    options = parser.parse_args()
    scenarios = options.only.split(",")
    builds = dict(text.rpartition("=")[::2] for text in options.wharf or [WHARF])
    with Bench() as bench:
        targets = {name or "wharf": bench.add("wharf", path) for name, path in builds.items()}
        ours = list(targets)
        for kind in filter(None, options.proxies.split(",")):
            program = shutil.which(kind.removesuffix("_log"))
            if not program:
                print(f"{kind} is not installed, so it is left out")
                continue
            targets[kind] = bench.add(kind, program)
        for process, port in targets.values():  # fills pools and caches
            measure(bench.run, "h1_1k", process, port, 1)
        results = {}
        names = list(targets)
        for turn in range(options.rounds):
            for scenario in scenarios:
                # Who comes first finds the machine a little calmer: everybody does in turn.
                for name in names[turn % len(names):] + names[:turn % len(names)]:
                    process, port = targets[name]
                    result = measure(bench.run, scenario, process, port, options.seconds)
                    results.setdefault((scenario, name), []).append(result)
        table(results, scenarios, targets, ours)
        print("\nMemory (PSS, MB):", ", ".join(f"{name} {memory_mb(process.pid):.1f}" for name, (process, _) in targets.items()))


if __name__ == "__main__":
    main()
