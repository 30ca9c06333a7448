#!/usr/bin/env python3
"""Holds the gate's instructions for a request against the figures in benches/instructions.toml. Run it by `make
instructions`.

Counted by callgrind, so no clock and no neighbour has a say in it. What SHA-256 takes is left out: valgrind's
processor has no instructions for it. The figures are of one compiler and one kind of processor (libc chooses its
routines by the processor): a move of both is a reason to store them anew, `make instructions UPDATE=1`.
"""

import argparse
import os
import sys
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path

import callgrind
from bench import Bench
from gate import Sensgate
from load import Ask
from processes import program, raise_open_files
from setup import Setup

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "benches/instructions.toml"
TOLERANCE = 3
NEEDED = ["nginx", "valgrind", "callgrind_control", "taskset", "openssl"]

# Few consumers: what the gate does for each of them once a second would count, and with it how long the count takes.
# That nothing grows with them is for `make bench` to say.
FEW = Setup(consumers=10)

CASES = {
    "get": (FEW, Ask()),
    "post": (FEW, Ask(post=True)),
    "tls": (replace(FEW, tls=True), Ask()),
    "http2": (replace(FEW, tls=True), Ask(streams=1)),
    "keys_only": (replace(FEW, features=()), Ask(with_token=False)),
}

WHEN_MORE = "Find out why; or store the new figure, with its reason in the commit: make instructions UPDATE=1"
WHEN_FEWER = "Store it, so that it is held: make instructions UPDATE=1"

HEAD = """\
# User instructions of a request at the gate, without SHA-256: `make instructions` holds a build against them, within
# 3 %. Written by `make instructions UPDATE=1`.
"""


def main():
    parser = argparse.ArgumentParser(description="Count the gate's instructions for a request.")
    parser.add_argument("--gate", type=Path, default=ROOT / "target/release/sensgate")
    parser.add_argument("--update", action="store_true", help="store what was counted")
    parser.add_argument("--requests", type=int, default=3000)
    options = parser.parse_args()
    missing = [name for name in NEEDED if not program(name)] + [str(options.gate)] * (not options.gate.exists())
    if missing:
        print(f"missing: {' '.join(missing)}; make instructions installs and builds what is needed", file=sys.stderr)
        return 69
    counts, failed = count(options.gate, options.requests)
    for name, reason in failed.items():
        print(f"{name}: {reason}", file=sys.stderr)
    counted = {name: round(count.without_sha256) for name, count in counts.items()}
    if failed:
        return 1
    if options.update:
        STORED.write_text(HEAD + "".join(f"{name} = {figure}\n" for name, figure in counted.items()))
        print(STORED.read_text(), end="")
        return 0
    return compared(counted, tomllib.loads(STORED.read_text()))


def count(gate, requests):
    raise_open_files()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="sensgate-instructions-") as folder:
        bench = Bench(folder, cores)
        bench.make_certificate()
        contender = Sensgate(gate)

        def job(setup, ask):
            return (
                lambda prefix, core: bench.start(contender, setup, prefix=prefix, seconds=120, core=core),
                ask,
                requests,
            )

        with bench.start_upstream():
            return callgrind.instructions({name: job(*case) for name, case in CASES.items()}, cores[:2])


def compared(counted, stored):
    """Prints each figure beside the stored one; 1 when one has moved, or is not stored."""
    moved, unknown = [], []
    print(f"{'':<12}{'counted':>10}{'stored':>10}")
    for name, figure in counted.items():
        before = stored.get(name)
        if before is None:
            unknown.append(name)
            print(f"{name:<12}{figure:>10,}{'–':>10}")
            continue
        change = 100 * (figure / before - 1)
        print(f"{name:<12}{figure:>10,}{before:>10,}{change:>+8.1f} %")
        if abs(change) > TOLERANCE:
            moved.append((name, change))
    for name, change in moved:
        word, advice = ("more", WHEN_MORE) if change > 0 else ("fewer", WHEN_FEWER)
        print(f"{name} takes {abs(change):.1f} % {word} instructions than stored. {advice}", file=sys.stderr)
    if unknown:
        print(f"No figure is stored for {', '.join(unknown)}: `make instructions UPDATE=1`", file=sys.stderr)
    return 1 if moved or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
