#!/usr/bin/env python3
"""Measures what Wharf promises, on a real Docker, with the real program.

Usage: benches/promises.py PATH/TO/wharf [--deploys 20] [--rollbacks 5] [--rate 200]

It starts a Wharf of its own on free ports in a temporary directory, pushes examples, and prints a Markdown table:
push to live (warm), memory when idle, requests lost under load in deploys, rollbacks, kill -9 of the control plane and
of the ingress. Everything it made is removed at the end. Needs root, git, and Docker with the base images.
"""
import argparse, http.client, json, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*argv, cwd=None, env=None, check=True, stdin=None):
    done = subprocess.run(argv, cwd=cwd, env=env, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode:
        sys.exit(f"{' '.join(argv)} failed:\n{done.stdout}")
    return done


class Wharf:
    def __init__(self, binary):
        self.binary, self.dir = os.path.abspath(binary), tempfile.mkdtemp(prefix="wharf-bench-")
        self.http, self.ssh = free_port(), free_port()
        self.env = dict(os.environ, XDG_CONFIG_HOME=f"{self.dir}/config", NO_COLOR="1")
        self.start()
        out = run(self.binary, "setup", "--run", f"{self.dir}/run", "--email", "bench@example.com", "--org", "bench",
                  "--password-stdin", "--json", stdin="a bench needs a password\n", env=self.env).stdout
        self.token = json.loads(out)["token"]
        run(self.binary, "login", "--url", f"http://wharf.localhost:{self.http}", "--token", self.token, env=self.env)

    def start(self):
        ready = f"{self.dir}/run/ready.json"
        if os.path.exists(ready):
            os.remove(ready)
        log = open(f"{self.dir}/serve.log", "a")
        self.serve = subprocess.Popen([self.binary, "serve", "--data", f"{self.dir}/data", "--run", f"{self.dir}/run",
                                       "--http-port", str(self.http), "--ssh-port", str(self.ssh)], stdout=log, stderr=log)
        begin = time.monotonic()
        while not os.path.exists(ready):
            if time.monotonic() - begin > 60 or self.serve.poll() is not None:
                sys.exit(open(f"{self.dir}/serve.log").read())
            time.sleep(0.01)
        self.installation = json.load(open(ready))["installation"]

    def cli(self, *args, check=True):
        return run(self.binary, *args, env=self.env, check=check)

    def push(self, name, change):
        source = f"{self.dir}/src/{name}"
        if not os.path.exists(source):
            shutil.copytree(f"{ROOT}/examples/{name}", source, ignore=shutil.ignore_patterns("node_modules"))
            run("git", "init", "-q", "-b", "main", cwd=source)
            self.cli("apps", "create", name, "--no-remote")
        with open(f"{source}/bench.txt", "w") as f:
            f.write(change)
        run("git", "add", "-A", cwd=source)
        run("git", "-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "-qm", change, cwd=source)
        begin = time.monotonic()
        run("git", "push", f"http://git:{self.token}@127.0.0.1:{self.http}/git/bench/{name}.git".replace("127.0.0.1", "wharf.localhost"),
            "main", cwd=source)
        return time.monotonic() - begin

    def ingress_pid(self):
        found = run("pgrep", "-f", f"ingress --run {self.dir}/run", check=False).stdout.split()
        return int(found[0]) if found else 0

    def pss_kib(self):
        total = 0
        for pid in (self.serve.pid, self.ingress_pid()):
            for line in open(f"/proc/{pid}/smaps_rollup"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total

    def end(self):
        self.serve.terminate()
        self.serve.wait(30)
        if self.ingress_pid():
            os.kill(self.ingress_pid(), signal.SIGTERM)
        label = f"label=wharf.installation={self.installation}"
        for what, remove in ((["ps", "-aq"], ["rm", "-f"]), (["network", "ls", "-q"], ["network", "rm"]), (["images", "-q"], ["rmi", "-f"])):
            ids = run("docker", *what, "--filter", label, check=False).stdout.split()
            if ids:
                run("docker", *remove, *sorted(set(ids)), check=False)
        shutil.rmtree(self.dir)


class Load:
    """Requests at a steady rate over several keep-alive connections; every answer but 200 counts as failed."""

    def __init__(self, port, host, rate, threads=8):
        self.port, self.host, self.gap, self.stop = port, host, threads / rate, threading.Event()
        self.done, self.failed, self.slowest, self.lock = 0, [], 0.0, threading.Lock()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def work(self):
        connection, next_at = None, time.monotonic()
        while not self.stop.is_set():
            next_at += self.gap
            time.sleep(max(0, next_at - time.monotonic()))
            begin = time.monotonic()
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("GET", "/", headers={"Host": self.host})
                answer = connection.getresponse()
                answer.read()
                problem = None if answer.status == 200 else f"status {answer.status}"
            except (OSError, http.client.HTTPException) as error:
                problem, connection = repr(error), None
            with self.lock:
                self.done += 1
                self.slowest = max(self.slowest, time.monotonic() - begin)
                if problem:
                    self.failed.append(problem)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(35)
        return f"{len(self.failed)} of {self.done} failed, slowest {self.slowest * 1000:.0f} ms" + (f" ({self.failed[:3]})" if self.failed else "")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("binary")
    args.add_argument("--deploys", type=int, default=20)
    args.add_argument("--rollbacks", type=int, default=5)
    args.add_argument("--rate", type=int, default=200)
    args = args.parse_args()
    wharf = Wharf(args.binary)
    rows = []
    try:
        wharf.push("static-site", "first")
        time.sleep(5)
        rows.append(("memory of all Wharf processes, idle, one app (sum of PSS)", "≤ 49 MB", f"{wharf.pss_kib() / 1024:.1f} MiB"))
        for name, promise in (("static-site", "≤ 3 s"), ("flask-guestbook", "≤ 10 s"), ("express-chat", "≤ 10 s")):
            wharf.push(name, "warm up")
            times = [wharf.push(name, f"change {i}") for i in range(3)]
            rows.append((f"push to live, warm, {name} (median of 3)", promise, f"{statistics.median(times):.2f} s"))
        host = "static-site.localhost"
        load = Load(wharf.http, host, args.rate)
        for i in range(args.deploys):
            wharf.push("static-site", f"deploy {i}")
        rows.append((f"{args.deploys} deploys under {args.rate} requests/s", "0 failed", load.end()))
        load = Load(wharf.http, host, args.rate)
        for _ in range(args.rollbacks):
            wharf.cli("rollback", "--app", "static-site")
        rows.append((f"{args.rollbacks} rollbacks under {args.rate} requests/s", "0 failed", load.end()))
        load = Load(wharf.http, host, args.rate)
        wharf.serve.kill()
        wharf.serve.wait()
        time.sleep(1)
        begin = time.monotonic()
        wharf.start()
        back = time.monotonic() - begin
        time.sleep(2)
        rows.append(("kill -9 of the control plane and restart, under load", "0 failed", f"{load.end()}; ready again in {back:.2f} s"))
        os.kill(wharf.ingress_pid(), signal.SIGKILL)
        begin = time.monotonic()
        while True:
            try:
                probe = http.client.HTTPConnection("127.0.0.1", wharf.http, timeout=1)
                probe.request("GET", "/", headers={"Host": host})
                if probe.getresponse().status == 200:
                    break
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.01)
        rows.append(("kill -9 of the ingress: right answers again after", "≤ 1 s", f"{time.monotonic() - begin:.2f} s"))
    finally:
        wharf.end()
    print("| what | promise | measured |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
