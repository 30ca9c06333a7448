#!/usr/bin/env python3
"""Measures sensgate against nginx, HAProxy and a bare pingora-proxy in under 3 minutes. Run it by `make bench-quick`;
method and caveats: docs/performance.md.

Every proxy has one worker, pinned to the first core. wrk (one thread, 50 connections) and an nginx as upstream share
the second. Plain HTTP/1.1 with keep-alive on loopback, an answer of 197 bytes. nginx, HAProxy and sensgate know 1,000
keys, count each caller's rate and write a JSON access log to a file. The bare pingora-proxy does none of it.

Only Python's standard library is used. Programs are ended by their own process id, and nothing listens off loopback.
full.py measures more.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

import callgrind
import everything
import rounds
import workload
from bench import Bench
from connections import idle_kib
from intervals import middle
from load import Ask
from processes import program, raise_open_files
from rounds import STOLEN, Clock, Runner, say

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ["nginx", "haproxy", "wrk", "valgrind", "taskset", "openssl"]
NAMES = ["nginx", "haproxy", "pingora-proxy", "sensgate"]

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
    clock = Clock(options.budget, options.repeats)
    # Told to end, the script ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    missing = [name for name in NEEDED if not program(name)]
    missing += [str(path) for path in (options.gate, options.bare) if not path.exists()]
    if missing:
        print(f"missing: {' '.join(missing)}; make bench-quick installs and builds what is needed", file=sys.stderr)
        return 69
    cores = sorted(os.sched_getaffinity(0))
    # A proxy holds the caller's connection and may hold one to the upstream.
    idle_count = min(options.idle, (raise_open_files() - 500) // 2)
    # This script shares the core of the load.
    os.sched_setaffinity(0, {cores[-1]})
    contenders = {c.name: c for c in everything.contenders(options.gate, options.bare) if c.name in NAMES}
    print(f"Machine: {everything.machine(cores)}\nVersions: {everything.versions(contenders)}")
    if len(cores) < 2:
        print("One core only: load and proxy share it, and latencies mean little.")
    print(flush=True)
    with tempfile.TemporaryDirectory(prefix="sensgate-bench-") as folder:
        bench = Bench(folder, cores)
        bench.make_certificate()
        with bench.start_upstream():
            counts = count(bench, contenders, options.requests, cores[:2]) if options.requests else {}
            idle = {}
            for contender in contenders.values():
                say(f"{idle_count} idle connections: {contender.name}")
                with bench.start(contender) as running:
                    idle[contender.name] = idle_kib(
                        running.port, running.pid, workload.request(running.fields()), idle_count
                    )
            runners = {
                name: Runner(lambda c=contender: bench.start(c), Ask()) for name, contender in contenders.items()
            }
            loads, failed = rounds.measure(bench, runners, options.rounds, options.seconds, clock)
    if failed:
        raise SystemExit("\n".join(f"{name}: {reason}" for name, reason in failed.items()))
    loads = {name: [load for load in of_one if load] for name, of_one in loads.items()}
    print_table(loads, idle, counts)
    print_quality(loads, clock.spent())
    print_goals(counts, idle)
    return 0


def count(bench, contenders, requests, cores):
    say("instructions by callgrind")

    def job(contender):
        return lambda prefix, core: bench.start(contender, prefix=prefix, seconds=60, core=core), Ask(), requests

    counts, failed = callgrind.instructions({name: job(contender) for name, contender in contenders.items()}, cores)
    for name, reason in failed.items():
        say(f"{name} FAILED: {reason}")
    return counts


def print_table(loads, idle, counts):
    def of(name, what):
        return middle(getattr(load, what) for load in loads[name])

    base = "nginx"
    print(
        "| proxy | CPU µs/request | × nginx | user µs | requests/s | × nginx | p50 ms | p99 ms "
        "| MiB resident | KiB per idle connection "
        "| instructions/request | × nginx |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in loads:
        spread = [load.cpu_us for load in loads[name]]
        count = counts.get(name)
        base_count = counts.get(base)
        cells = [
            name,
            f"{of(name, 'cpu_us'):.1f} ({min(spread):.1f}–{max(spread):.1f})",
            f"{of(name, 'cpu_us') / of(base, 'cpu_us'):.2f}",
            f"{of(name, 'user_us'):.1f}",
            f"{of(name, 'per_second'):,.0f}",
            f"{of(name, 'per_second') / of(base, 'per_second'):.2f}",
            f"{of(name, 'p50_ms'):.2f}",
            f"{of(name, 'p99_ms'):.2f}",
            f"{of(name, 'resident_mib'):.1f}",
            f"{idle[name]:.1f}",
            f"{count.all:,.0f}" if count else "–",
            f"{count.all / base_count.all:.2f}" if count and base_count else "–",
        ]
        print(f"| {' | '.join(cells)} |")
    print()


def print_quality(loads, seconds):
    every = [load for of_one in loads.values() for load in of_one]
    bad = sum(load.stolen >= STOLEN for load in every)
    print(f"{len(every)} rounds in all, medians; the whole run took {seconds:.0f} s.")
    print(
        f"Stolen CPU: {max(load.stolen for load in every):.1f} % at most; rounds kept with {STOLEN} % or more: {bad}."
    )
    print(
        f"Other programs on the two cores: {middle(load.others for load in every):.1f} % of their time, "
        f"{max(load.others for load in every):.1f} % at most."
    )
    if wrong := sum(load.wrong for load in every):
        print(f"WRONG OR MISSING ANSWERS: {wrong}.")
    for name, of_one in loads.items():
        written = [(load.log_lines, load.requests) for load in of_one if load.log_lines is not None]
        if written:
            share = 100 * sum(lines for lines, _ in written) / sum(requests for _, requests in written)
            print(f"Access log of {name}: {share:.1f} % of the requests have a line.")
    print()


def print_goals(counts, idle):
    ours, bare = counts.get("sensgate"), counts.get("pingora-proxy")
    if ours and bare:
        print(f"All of sensgate adds {100 * (ours.all / bare.all - 1):.1f} % instructions to a bare pingora-proxy.")
        print(
            f"  {ours.sha256:,.0f} of them a request are SHA-256 in software, because valgrind offers no SHA "
            "instructions; "
            f"without them {100 * (ours.without_sha256 / bare.all - 1):.1f} %."
        )
        print(f"Policies, log and metrics: {decided(ours, bare)}")
    else:
        print("Instructions were not counted.")
    print(
        f"An idle connection takes {idle['sensgate']:.1f} KiB (must be at most {IDLE_KIB} KiB): "
        f"{verdict(idle['sensgate'] <= IDLE_KIB)}."
    )


def decided(ours, bare):
    if ours.decisions is None:
        return "NOT COUNTED: a name in callgrind.DECISIONS is nowhere in this binary."
    own = ours.decisions - ours.sha256
    added = 100 * own / bare.all
    return (
        f"{own:,.0f} a request beside SHA-256, {added:.1f} % of a bare pingora-proxy "
        f"(must be at most {ADDED_INSTRUCTIONS} %): "
        f"{verdict(added <= ADDED_INSTRUCTIONS)}."
    )


def verdict(good):
    return "reached" if good else "NOT REACHED"


if __name__ == "__main__":
    sys.exit(main())
