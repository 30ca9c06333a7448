#!/usr/bin/env python3
"""Measures sensgate against nginx, HAProxy and a bare pingora-proxy. Run it by `make bench-quick`; method and caveats: docs/performance.md.

Every proxy has one worker, pinned to the first core. wrk (one thread, 50 connections) and an nginx as upstream share the second. Plain
HTTP/1.1 with keep-alive on loopback, an answer of 197 bytes. nginx, HAProxy and sensgate know 1,000 keys, count each caller's rate
and write a JSON access log to a file. The bare pingora-proxy does none of it.

Rounds of load are interleaved: each round asks every proxy once, in an order that rotates, each started afresh. A round in which the
machine lost time to its neighbours is repeated, up to a bound.

Files: contenders.py starts the programs, measure.py measures, *.conf, *.cfg and *.toml are the configurations. Only Python's standard
library is used. Programs are ended by their own process id, and nothing listens off loopback.
"""

import argparse
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import contenders
import measure

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ["nginx", "haproxy", "wrk", "valgrind", "taskset"]

# A round that lost this much of its time, in percent, says little.
STOLEN = 4

# What the gate must reach.
ADDED_INSTRUCTIONS = 15
IDLE_KIB = 30


def arguments():
    parser = argparse.ArgumentParser(description="Measure sensgate against nginx, HAProxy and a bare pingora-proxy.")
    parser.add_argument("--gate", type=Path, default=ROOT / "target/release/sensgate")
    parser.add_argument("--bare", type=Path, default=ROOT / "target/release/examples/bare_proxy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="length of a round for one proxy")
    parser.add_argument("--repeats", type=int, default=4, help="most rounds that are repeated because of stolen time")
    parser.add_argument("--idle", type=int, default=4000, help="idle connections")
    parser.add_argument("--requests", type=int, default=4000, help="requests that callgrind counts; 0 leaves it out")
    parser.add_argument("--budget", type=int, default=165, help="seconds after which no further round begins")
    return parser.parse_args()


def main():
    options = arguments()
    began = time.monotonic()
    # Told to end, the script ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    missing = [name for name in NEEDED if not contenders.program(name)]
    missing += [str(path) for path in (options.gate, options.bare) if not path.exists()]
    if missing:
        print(f"missing: {' '.join(missing)}; make bench-quick installs and builds what is needed", file=sys.stderr)
        return 69
    cores = sorted(os.sched_getaffinity(0))
    proxy_core, load_core = cores[0], cores[min(1, len(cores) - 1)]
    idle_count = raise_open_files(options.idle)
    # This script shares the core of the load.
    os.sched_setaffinity(0, {load_core})
    print_machine(options, cores)
    with tempfile.TemporaryDirectory(prefix="sensgate-bench-") as folder:
        bench = contenders.Bench(folder, options.gate.resolve(), options.bare.resolve(), proxy_core, load_core)
        with bench.start_upstream():
            counts = {}
            if options.requests:
                say("instructions by callgrind")
                few = max(50, options.requests // 4)
                counts = measure.instructions(bench, bench.NAMES, contenders.request(), few, few + options.requests)
            idle = {}
            for name in bench.NAMES:
                say(f"{idle_count} idle connections: {name}")
                with bench.start(name) as running:
                    idle[name] = measure.idle_kib(running, contenders.request(), idle_count)
            loads = load_rounds(bench, options, began + options.budget)
    print_table(loads, idle, counts)
    print_quality(loads, time.monotonic() - began)
    print_goals(counts, idle)
    return 0


def say(text):
    print(f"  … {text}", file=sys.stderr, flush=True)


def raise_open_files(wanted):
    """Raises the limit for this script and all it starts; returns how many idle connections fit into it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 16_384
    limit = enough if hard == resource.RLIM_INFINITY else min(hard, max(enough, hard if hard < 65_536 else 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    # A proxy holds the caller's connection and may hold one to the upstream.
    return min(wanted, (limit - 500) // 2)


def load_rounds(bench, options, deadline):
    """Rounds of load for every proxy, each round in another order. Stops early when the time is used up."""
    loads = {name: [] for name in bench.NAMES}
    repeats = options.repeats
    for number in range(options.rounds):
        turn = number % len(bench.NAMES)
        for name in bench.NAMES[turn:] + bench.NAMES[:turn]:
            if number > 0 and time.monotonic() + options.seconds + 2 > deadline:
                say("time is used up")
                return loads
            say(f"round {number + 1} of {options.rounds}: {name}")
            load = one_load(bench, name, options.seconds)
            while load.stolen >= STOLEN and repeats > 0 and time.monotonic() + options.seconds + 2 < deadline:
                say(f"{load.stolen:.1f} % stolen, once more: {name}")
                repeats -= 1
                load = one_load(bench, name, options.seconds)
            loads[name].append(load)
    return loads


def one_load(bench, name, seconds):
    with bench.start(name) as running:
        with measure.Connections(running.port, contenders.request(), 50) as warm:
            for _ in range(20):
                warm.exchange()
        before = 20 * 50
        load = measure.load(running, contenders.FIELDS, seconds, bench.proxy_core, bench.load_core)
    lines = running.log_lines()
    if lines is not None:
        load.log_lines = min(lines - before, load.requests) if lines > before else 0
        running.log.unlink()
    return load


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "?"


def print_machine(options, cores):
    model = "?"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    versions = [
        first_line(contenders.program("nginx"), "-v").replace("nginx version: ", ""),
        " ".join(first_line(contenders.program("haproxy"), "-v").split()[:3]),
        " ".join(first_line("wrk", "-v").split()[:2]),
        first_line("valgrind", "--version"),
        first_line(str(options.gate), "version"),
        f"pingora-proxy {locked('pingora-proxy')}",
    ]
    print(f"Machine: {model}, {len(cores)} cores, Linux {platform.release()}")
    print(f"Versions: {'; '.join(versions)}")
    if len(cores) < 2:
        print("One core only: load and proxy share it, and latencies mean little.")
    print(flush=True)


def locked(package):
    lines = (ROOT / "Cargo.lock").read_text().splitlines()
    at = lines.index(f'name = "{package}"')
    return lines[at + 1].partition('"')[2].rstrip('"')


def print_table(loads, idle, counts):
    def middle(name, what):
        return measure.median(getattr(load, what) for load in loads[name])

    base = "nginx"
    print("| proxy | CPU µs/request | × nginx | user µs | requests/s | × nginx | p50 ms | p99 ms | MiB resident | KiB per idle connection "
          "| instructions/request | × nginx |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in loads:
        spread = [load.cpu_us for load in loads[name]]
        cpu = f"{middle(name, 'cpu_us'):.1f} ({min(spread):.1f}–{max(spread):.1f})"
        count = counts.get(name)
        base_count = counts.get(base)
        cells = [
            name,
            cpu,
            f"{middle(name, 'cpu_us') / middle(base, 'cpu_us'):.2f}",
            f"{middle(name, 'user_us'):.1f}",
            f"{middle(name, 'per_second'):,.0f}",
            f"{middle(name, 'per_second') / middle(base, 'per_second'):.2f}",
            f"{middle(name, 'p50_ms'):.2f}",
            f"{middle(name, 'p99_ms'):.2f}",
            f"{middle(name, 'resident_mib'):.1f}",
            f"{idle[name]:.1f}",
            f"{count.all:,.0f}" if count else "–",
            f"{count.all / base_count.all:.2f}" if count and base_count else "–",
        ]
        print(f"| {' | '.join(cells)} |")
    print()


def print_quality(loads, seconds):
    every = [load for rounds in loads.values() for load in rounds]
    bad = sum(load.stolen >= STOLEN for load in every)
    print(f"{len(every)} rounds in all, medians; the whole run took {seconds:.0f} s.")
    print(f"Stolen CPU: {max(load.stolen for load in every):.1f} % at most; rounds kept with {STOLEN} % or more: {bad}.")
    print(f"Other programs on the two cores: {measure.median(load.others for load in every):.1f} % of their time, "
          f"{max(load.others for load in every):.1f} % at most.")
    for name, rounds in loads.items():
        written = [(load.log_lines, load.requests) for load in rounds if load.log_lines is not None]
        if written:
            share = 100 * sum(lines for lines, _ in written) / sum(requests for _, requests in written)
            print(f"Access log of {name}: {share:.1f} % of the requests have a line.")
    print()


def print_goals(counts, idle):
    ours, bare = counts.get("sensgate"), counts.get("pingora-proxy")
    if ours and bare:
        print(f"All of sensgate adds {100 * (ours.all / bare.all - 1):.1f} % instructions to a bare pingora-proxy.")
        print(f"  {ours.sha256:,.0f} of them a request are SHA-256 in software, because valgrind offers no SHA instructions; "
              f"without them {100 * ((ours.all - ours.sha256) / bare.all - 1):.1f} %.")
        added = 100 * (ours.decisions - ours.sha256) / bare.all
        print(f"Policies, log and metrics take {ours.decisions - ours.sha256:,.0f} a request beside SHA-256, {added:.1f} % of a bare "
              f"pingora-proxy (must be at most {ADDED_INSTRUCTIONS} %): {verdict(added <= ADDED_INSTRUCTIONS)}.")
    else:
        print("Instructions were not counted.")
    print(f"An idle connection takes {idle['sensgate']:.1f} KiB (must be at most {IDLE_KIB} KiB): {verdict(idle['sensgate'] <= IDLE_KIB)}.")


def verdict(good):
    return "reached" if good else "NOT REACHED"


if __name__ == "__main__":
    sys.exit(main())
