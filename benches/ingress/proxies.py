"""The proxies of the ingress benches: how each is configured and started, and what it has used so far.

All get one worker and the same two upstreams; they set the forwarding headers, keep connections to the upstreams open,
and speak TLS 1.2 and 1.3 with the same P-256 certificate and session tickets. The ingress runs with access log, counters, request ids,
trace headers and limits on, the others without a log; `nginx_log` is nginx with the access log that Debian's package
turns on.
"""
import json, os, pathlib, re, shutil, signal, subprocess, tempfile, time, urllib.request

HOST = "app.example.test"
FIRST, LAST = "0", str(os.cpu_count() - 1)
UPSTREAMS = (19001, 19002)
WHARF = "target/x86_64-unknown-linux-gnu/release/wharf"


def start(cpu, command, **options):
    """Starts a program on one CPU, in a scheduling group of its own with a high priority where that is allowed, so that
    whatever else the machine does disturbs less, and all programs of a bench equally."""
    process = subprocess.Popen(["taskset", "-c", cpu, *map(str, command)], stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        os.setpriority(os.PRIO_PROCESS, process.pid, -10)
        pathlib.Path(f"/proc/{process.pid}/autogroup").write_text("-10")
    except OSError:
        pass
    return process


def output_of(cpu, command, **options):
    """What a program prints; run like `start`."""
    return start(cpu, command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options).communicate()[0]


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


def nginx_config(run, name, http):
    temp = "".join(f"{kind}_temp_path {run}/{name}-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = f"""user root; worker_processes 1; daemon off; pid {run}/{name}.pid; error_log {run}/{name}.err crit; worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{ keepalive_requests 100000000; tcp_nodelay on; client_max_body_size 0; client_body_buffer_size 128k; {temp}
{http} }}"""
    (run / f"{name}.conf").write_text(text)
    return run / f"{name}.conf"


def upstream(run, program):
    listen = "".join(f"listen 127.0.0.1:{port};" for port in UPSTREAMS)
    config = nginx_config(run, "upstream", f"""access_log off; sendfile on; server {{ {listen}
location = /1k {{ return 200 "{'x' * 1024}"; }} location = /1m {{ root {run}; }} location / {{ return 200 "ok"; }} }}""")
    return start(FIRST, [program, "-c", config])


def nginx(run, program, port, name="nginx", log="access_log off;"):
    servers = "".join(f"server 127.0.0.1:{port};" for port in UPSTREAMS)
    config = nginx_config(run, name, f"""{log} upstream app {{ {servers} keepalive 256; keepalive_requests 100000000; }}
ssl_certificate {run}/cert.pem; ssl_certificate_key {run}/key.pem; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:10m;
server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{port + 1} ssl http2; http2_max_concurrent_streams 250;
location / {{ proxy_pass http://app; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme; proxy_max_temp_file_size 0;
proxy_buffer_size 16k; proxy_buffers 16 64k; proxy_busy_buffers_size 256k; }} }}""")
    return start(LAST, [program, "-c", config])


def nginx_log(run, program, port):
    return nginx(run, program, port, "nginx_log", f"access_log {run}/nginx-access.log;")


def haproxy(run, program, port):
    servers = "\n".join(f"  server s{port} 127.0.0.1:{port} pool-max-conn 512" for port in UPSTREAMS)
    (run / "haproxy.cfg").write_text(f"""global
  nbthread 1
  maxconn 6000
  ssl-default-bind-options ssl-min-ver TLSv1.2
  tune.bufsize 32768
  tune.h2.max-concurrent-streams 250
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  option forwardfor
  option splice-auto
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{port + 1} ssl crt {run}/both.pem alpn h2,http/1.1
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
  default_backend b
backend b
  balance roundrobin
{servers}
""")
    return start(LAST, [program, "-q", "-f", run / "haproxy.cfg"])


def caddy(run, program, port):
    servers = " ".join(f"127.0.0.1:{port}" for port in UPSTREAMS)
    proxy = f"""bind 127.0.0.1
  reverse_proxy {servers} {{
    lb_policy round_robin
    transport http {{
      keepalive_idle_conns_per_host 256
      keepalive_idle_conns 1024
    }}
  }}"""
    (run / "Caddyfile").write_text(f"""{{
  admin off
  auto_https off
  default_sni {HOST}
}}
http://:{port} {{
  {proxy}
}}
https://:{port + 1} {{
  tls {run}/cert.pem {run}/key.pem
  {proxy}
}}
""")
    environment = os.environ | {"GOMAXPROCS": "1", "HOME": str(run), "XDG_DATA_HOME": str(run), "XDG_CONFIG_HOME": str(run)}
    return start(LAST, [program, "run", "--adapter", "caddyfile", "--config", run / "Caddyfile"], env=environment,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def snapshot(run, generation=1, more_routes=()):
    upstreams = [{"id": str(port), "address": {"tcp": f"127.0.0.1:{port}"}} for port in UPSTREAMS]
    return {"boot": "bench", "generation": generation,
            "routes": [{"id": "app", "hosts": [HOST, "*"], "upstreams": upstreams, "owner": {"tenant": "bench", "service": "web"}}, *more_routes],
            "certificates": [{"names": ["*"], "chain_pem": (run / "cert.pem").read_text(), "key_pem": (run / "key.pem").read_text()}]}


def wharf(run, program, port, workers=1, cpu=LAST):
    home = run / f"wharf-{port}"
    home.mkdir(exist_ok=True)
    (home / "snapshot.json").write_text(json.dumps(snapshot(run)))
    return start(cpu, [program, "ingress", "--run", home / "run", "--data", home / "data", "--http", f"127.0.0.1:{port}",
                       "--https", f"127.0.0.1:{port + 1}", "--workers", str(workers), "--config", home / "snapshot.json"],
                 stderr=subprocess.DEVNULL)


KINDS = {"wharf": wharf, "nginx": nginx, "nginx_log": nginx_log, "haproxy": haproxy, "caddy": caddy}


class Bench:
    """A directory with certificates and bodies, the upstream, and whatever proxies are asked for; gone on exit."""

    def __init__(self, nginx_program="nginx"):
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="ingress-bench-"))
        self.running, self.next_port, self.nginx = [], 19100, nginx_program

    def __enter__(self):
        run = self.run
        run.chmod(0o755)
        (run / "1m").write_bytes(os.urandom(1 << 20))
        (run / "post.lua").write_text('wrk.method = "POST"\nwrk.body = string.rep("x", 16384)\n')
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", run / "key.pem", "-out", run / "cert.pem"],
                       check=True, capture_output=True)
        (run / "both.pem").write_text((run / "cert.pem").read_text() + (run / "key.pem").read_text())
        self.running.append(upstream(run, self.nginx))
        return self

    def add(self, kind, program, **options):
        """Starts a proxy; returns (process, port of HTTP); HTTPS is the next port."""
        port, self.next_port = self.next_port, self.next_port + 10
        process = KINDS[kind](self.run, program, port, **options)
        self.running.append(process)
        wait_for(port)
        return process, port

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.run, ignore_errors=True)
