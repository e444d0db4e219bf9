#!/usr/bin/env python3
"""CPU time per request of the ingress beside nginx and HAProxy, interleaved in one run.

    compare.py [--wharf PATH] [--nginx PATH] [--haproxy PATH] [--rounds 3] [--seconds 3] [--only h1_1k,tls_1k]

Needs wrk and openssl, and nginx (also the upstream). Each proxy has one worker on the last CPU; load generator and
upstream have the first. CPU time of the proxy (/proc/PID/task/*/schedstat) per request is what counts: it repeats
within some 10 % on a busy machine, while requests per second do not. The ingress runs with access log, counters,
request ids, tracing headers and limits on; the others without a log.
"""
import argparse, json, os, pathlib, re, shutil, signal, statistics, subprocess, tempfile, time, urllib.request

HOST = "app.example.test"
FIRST, LAST = "0", str(os.cpu_count() - 1)
SCENARIOS = {  # name -> (scheme, path, connections, further arguments of wrk)
    "h1_1k": ("http", "/1k", 64, []),
    "h1_1m": ("http", "/1m", 16, []),
    "h1_close": ("http", "/1k", 32, ["-H", "Connection: close"]),
    "post_16k": ("http", "/post", 64, ["-s", "post.lua"]),
    "tls_1k": ("https", "/1k", 64, []),
    "tls_close": ("https", "/1k", 16, ["-H", "Connection: close"]),
}


def start(cpu, command, **options):
    return subprocess.Popen(["taskset", "-c", cpu, *map(str, command)], stdin=subprocess.DEVNULL, start_new_session=True, **options)


def family(pid):
    pids = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            pids += family(int(child))
    return pids


def cpu_seconds(pid):
    tasks = (task for member in family(pid) for task in pathlib.Path(f"/proc/{member}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def memory_mb(pid):
    rollups = (pathlib.Path(f"/proc/{member}/smaps_rollup").read_text() for member in family(pid))
    return sum(int(re.search(r"Pss:\s+(\d+)", text).group(1)) for text in rollups) / 1024


def wait_for(port):
    end = time.time() + 20
    while time.time() < end:
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/1k", headers={"Host": HOST})
            return urllib.request.urlopen(request, timeout=1).status
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers on port {port}")


def prepare(run):
    (run / "1m").write_bytes(os.urandom(1 << 20))
    (run / "post.lua").write_text('wrk.method = "POST"\nwrk.body = string.rep("x", 16384)\n')
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", f"/CN={HOST}", "-keyout", run / "key.pem", "-out", run / "cert.pem"], check=True, capture_output=True)
    (run / "both.pem").write_text((run / "cert.pem").read_text() + (run / "key.pem").read_text())


def nginx_config(run, name, http):
    temp = "".join(f"{kind}_temp_path {run}/{name}-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = f"""user root; worker_processes 1; daemon off; pid {run}/{name}.pid; error_log {run}/{name}.err crit;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; tcp_nodelay on; client_max_body_size 0; client_body_buffer_size 128k; {temp}
{http} }}"""
    (run / f"{name}.conf").write_text(text)
    return run / f"{name}.conf"


def upstream(run, nginx):
    return nginx_config(run, "upstream", f"""sendfile on; server {{ listen 127.0.0.1:19001; listen 127.0.0.1:19002;
location = /1k {{ return 200 "{'x' * 1024}"; }} location = /1m {{ root {run}; }} location / {{ return 200 "ok"; }} }}""")


def start_nginx(run, program):
    config = nginx_config(run, "nginx", f"""upstream app {{ server 127.0.0.1:19001; server 127.0.0.1:19002; keepalive 256; keepalive_requests 100000000; }}
ssl_certificate {run}/cert.pem; ssl_certificate_key {run}/key.pem;
server {{ listen 127.0.0.1:19110; listen 127.0.0.1:19111 ssl; location / {{ proxy_pass http://app; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme; proxy_buffer_size 16k; proxy_buffers 16 64k; proxy_busy_buffers_size 256k; }} }}""")
    return start(LAST, [program, "-c", config])


def start_haproxy(run, program):
    (run / "haproxy.cfg").write_text(f"""global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  option forwardfor
  http-reuse always
frontend f
  bind 127.0.0.1:19120
  bind 127.0.0.1:19121 ssl crt {run}/both.pem
  default_backend b
backend b
  server a 127.0.0.1:19001
  server b 127.0.0.1:19002
""")
    return start(LAST, [program, "-q", "-f", run / "haproxy.cfg"])


def start_wharf(run, program):
    upstreams = [{"id": str(port), "address": {"tcp": f"127.0.0.1:{port}"}} for port in (19001, 19002)]
    snapshot = {"boot": "bench", "generation": 1,
                "routes": [{"id": "app", "hosts": [HOST], "upstreams": upstreams, "owner": {"tenant": "bench", "service": "web"}}],
                "certificates": [{"names": ["*"], "chain_pem": (run / "cert.pem").read_text(), "key_pem": (run / "key.pem").read_text()}]}
    (run / "snapshot.json").write_text(json.dumps(snapshot))
    return start(LAST, [program, "ingress", "--run", run / "run", "--data", run / "data", "--http", "127.0.0.1:19100",
                        "--https", "127.0.0.1:19101", "--workers", "1", "--config", run / "snapshot.json"], stderr=subprocess.DEVNULL)


def measure(run, scenario, process, port, seconds):
    scheme, path, connections, more = SCENARIOS[scenario]
    url = f"{scheme}://127.0.0.1:{port + (scheme == 'https')}{path}"
    before = cpu_seconds(process.pid)
    output = subprocess.run(["taskset", "-c", FIRST, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Host: {HOST}", *more, url],
                            cwd=run, capture_output=True, text=True).stdout
    used = cpu_seconds(process.pid) - before
    requests = int(re.search(r"(\d+) requests in", output).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    errors = re.search(r"Socket errors: (.*)", output)
    return {"cpu_us": 1e6 * used / max(1, requests), "rps": requests / seconds, "bad": int(bad.group(1)) if bad else 0,
            "errors": errors.group(1) if errors else ""}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wharf", default="target/x86_64-unknown-linux-gnu/release/wharf")
    parser.add_argument("--nginx", default=shutil.which("nginx"))
    parser.add_argument("--haproxy", default=shutil.which("haproxy"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", default=",".join(SCENARIOS))
    options = parser.parse_args()
    run = pathlib.Path(tempfile.mkdtemp(prefix="ingress-bench-"))
    prepare(run)
    running, targets = [], {}
    try:
        running.append(start(FIRST, [options.nginx, "-c", upstream(run, options.nginx)]))
        starters = {"wharf": (start_wharf, options.wharf, 19100), "nginx": (start_nginx, options.nginx, 19110)}
        if options.haproxy:
            starters["haproxy"] = (start_haproxy, options.haproxy, 19120)
        for name, (starter, program, port) in starters.items():
            targets[name] = (starter(run, program), port)
            running.append(targets[name][0])
        for _, port in targets.values():
            wait_for(port)
        results = {}
        for _ in range(options.rounds):
            for scenario in options.only.split(","):
                for name, (process, port) in targets.items():
                    result = measure(run, scenario, process, port, options.seconds)
                    results.setdefault((scenario, name), []).append(result)
        print("| case | proxy | CPU µs/request | nginx's CPU / its CPU | req/s | bad | socket errors |\n|---|---|---|---|---|---|---|")
        for scenario in options.only.split(","):
            middle = {name: statistics.median(r["cpu_us"] for r in results[scenario, name]) for name in targets}
            for name in targets:
                rounds = results[scenario, name]
                ratio = statistics.median(n["cpu_us"] / r["cpu_us"] for n, r in zip(results[scenario, "nginx"], rounds))
                rate = statistics.median(r["rps"] for r in rounds)
                errors = "; ".join(filter(None, (r["errors"] for r in rounds)))
                print(f"| {scenario} | {name} | {middle[name]:.1f} | {ratio:.2f} | {rate:.0f} | {sum(r['bad'] for r in rounds)} | {errors} |")
        print("\nMemory (PSS, MB):", ", ".join(f"{name} {memory_mb(process.pid):.1f}" for name, (process, _) in targets.items()))
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(run, ignore_errors=True)


if __name__ == "__main__":
    main()
