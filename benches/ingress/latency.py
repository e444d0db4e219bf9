#!/usr/bin/env python3
"""Latency at equal load, interleaved: each proxy gets the same requests per second from the same 50 connections.

    latency.py [--wharf PATH] [--proxies nginx,haproxy] [--rate 4000] [--rounds 5] [--seconds 4] [--tls]

Needs h2load. Figures are medians over the rounds, in microseconds, as the load generator saw them.
"""
import argparse, shutil, statistics
from proxies import Bench, FIRST, WHARF, output_of

CONNECTIONS = 50


def round_of(run, url, rate, seconds):
    log = run / "latency.tsv"
    output_of(FIRST, ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", "--rps", rate // CONNECTIONS, "-D", seconds, "--log-file", log, url])
    answers = [line.split("\t") for line in log.read_text().splitlines()]
    log.unlink()
    times = sorted(int(micros) for _, status, micros in answers if status == "200")
    return times, len(answers) - len(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wharf", default=WHARF)
    parser.add_argument("--proxies", default="nginx,haproxy")
    parser.add_argument("--rate", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    with Bench() as bench:
        programs = {"wharf": options.wharf} | {name: shutil.which(name) for name in options.proxies.split(",") if name}
        ports = {kind: bench.add(kind, program)[1] for kind, program in programs.items()}
        results, bad = {kind: [] for kind in ports}, dict.fromkeys(ports, 0)
        for _ in range(options.rounds):
            for kind, port in ports.items():
                url = f"http{'s' * options.tls}://127.0.0.1:{port + options.tls}/1k"
                times, failed = round_of(bench.run, url, options.rate, options.seconds)
                results[kind].append(times)
                bad[kind] += failed
        print(f"At {options.rate} requests/s:\n\n| proxy | p50 µs | p99 µs | p99.9 µs | bad |\n|---|---|---|---|---|")
        for kind, rounds in results.items():
            middle = [statistics.median(times[int(len(times) * share)] for times in rounds) for share in (0.5, 0.99, 0.999)]
            print(f"| {kind} | " + " | ".join(f"{value:.0f}" for value in middle) + f" | {bad[kind]} |")


if __name__ == "__main__":
    main()
