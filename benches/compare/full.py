#!/usr/bin/env python3
"""The gate against nginx, HAProxy, a bare pingora-proxy, Envoy, Traefik and Caddy, in many scenarios. Run it by `make
bench`; method and caveats: docs/performance.md. `--list` shows the scenarios and what each takes.

Results go to a JSON file after each scenario, so that a run that is stopped keeps what it has; `--write` makes the
report of it, in docs/performance.md, and the plots. Only Python's standard library is used. Programs are ended by
their own process id, nothing listens off loopback, and every load has an end.
"""

import argparse
import datetime
import hashlib
import json
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path

import everything
import plot
import report
import workload
from bench import Bench
from connections import BadAnswer, Connections
from everything import GATE
from processes import Failed, first_line, program, raise_open_files
from rounds import Clock, say
from scenarios import SCENARIOS, Context

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ["nginx", "haproxy", "wrk", "h2load", "valgrind", "callgrind_control", "taskset", "openssl"]


def names(text):
    return [name for name in text.split(",") if name]


def arguments():
    parser = argparse.ArgumentParser(description="Measure sensgate against what could stand in its place.")
    parser.add_argument("--gate", type=Path, default=ROOT / "target/release/sensgate")
    parser.add_argument("--bare", type=Path, default=ROOT / "target/release/examples/bare_proxy")
    parser.add_argument("--list", action="store_true", help="show the scenarios with their estimated time, and end")
    parser.add_argument("--only", type=names, help="scenarios, separated by commas")
    parser.add_argument("--contenders", type=names, help="contenders, separated by commas; the gate is always one")
    parser.add_argument(
        "--rounds", type=int, default=15, help="of nginx, HAProxy and the gate; each third round asks the others too"
    )
    parser.add_argument("--seconds", type=int, default=2, help="length of a round for one program")
    parser.add_argument("--repeats", type=int, default=40, help="most rounds that are repeated because of stolen time")
    parser.add_argument("--idle", type=int, default=4000, help="idle connections; half as many with TLS")
    parser.add_argument("--requests", type=int, default=4000, help="requests that callgrind counts")
    parser.add_argument("--budget", type=int, default=2400, help="seconds after which no further round begins")
    parser.add_argument("--out", type=Path, default=ROOT / "target/bench/result.json")
    parser.add_argument(
        "--keep", action="store_true", help="add to the results in OUT, of the same gate on the same machine"
    )
    parser.add_argument("--report", type=Path, metavar="JSON", help="measure nothing: report these results")
    parser.add_argument("--write", action="store_true", help="write the report into docs/, not only to the terminal")
    options = parser.parse_args()
    known = [scenario.name for scenario in SCENARIOS]
    if unknown := [name for name in options.only or [] if name not in known]:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(known)}")
    return options


def main():
    options = arguments()
    if options.report:
        return show(json.loads(options.report.read_text()), options.write)
    # Told to end, the script ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    missing = [name for name in NEEDED if not program(name)] + [str(options.gate)] * (not options.gate.exists())
    if missing:
        print(f"missing: {' '.join(missing)}; make bench installs and builds what is needed", file=sys.stderr)
        return 69
    cores = sorted(os.sched_getaffinity(0))
    idle = min(options.idle, (raise_open_files() - 500) // 2)
    # This script shares the core of the load.
    os.sched_setaffinity(0, {cores[-1]})
    clock = Clock(options.budget, options.repeats)
    with tempfile.TemporaryDirectory(prefix="sensgate-bench-") as folder:
        bench = Bench(folder, cores)
        bench.make_certificate()
        with bench.start_upstream():
            able, unable = everything.runnable(bench, everything.contenders(options.gate, options.bare))
            if options.contenders:
                able = {name: contender for name, contender in able.items() if name in (*options.contenders, GATE)}
            context = Context(bench, able, clock, options.rounds, options.seconds, idle, options.requests)
            chosen = [scenario for scenario in SCENARIOS if not options.only or scenario.name in options.only]
            plan(context, chosen, unable)
            if options.list:
                return 0
            refuse_strangers(bench, able)
            result = blank(options, cores, able, unable)
            run(context, chosen, result, options.out)
    return show(result, options.write)


def plan(context, chosen, unable):
    for scenario in chosen:
        print(f"{scenario.name:<14}{scenario.cost(context):5.0f} s  {scenario.title}", file=sys.stderr)
    whole = sum(scenario.cost(context) for scenario in chosen)
    print(f"{'in all':<14}{whole:5.0f} s, budget {context.clock.budget} s", file=sys.stderr)
    for name, reason in unable.items():
        print(f"{name}: not run: {reason}", file=sys.stderr)
    sys.stderr.flush()


def refuse_strangers(bench, able):
    """A program that lets an unknown key through does not do what the table of contenders says, and its figures would
    be too good.
    """
    for contender in able.values():
        with bench.start(contender) as running:
            fields = [(contender.key_field, "sgk_k1_nobody")]
            try:
                with Connections(running.port, workload.request(fields), 1) as connections:
                    connections.exchange()
                admitted = True
            except BadAnswer as refusal:
                admitted = " 401" not in str(refusal) and " 403" not in str(refusal)
            if admitted == contender.knows_keys:
                word = "admitted" if admitted else "refused"
                raise SystemExit(f"{contender.name}: an unknown key is {word}, against what is told of it")


def blank(options, cores, able, unable):
    """A result without scenarios yet; with `--keep`, the one that is there."""
    digest = hashlib.sha256(options.gate.read_bytes()).hexdigest()[:12]
    commit = first_line("git", "-C", ROOT, "describe", "--always", "--dirty")
    result = {
        "command": "make bench" + (f" BENCH_FLAGS={shlex.quote(shlex.join(flags()))}" if flags() else ""),
        "date": datetime.date.today().isoformat(),
        "took": 0,
        "repeated": 0,
        "machine": everything.machine(cores),
        "versions": everything.versions(able),
        "gate": f"commit {commit}, {first_line(options.gate, 'version')}, SHA-256 {digest}…",
        "contenders": list(able),
        "not_run": unable,
        "scenarios": {},
    }
    if options.keep and options.out.exists():
        kept = json.loads(options.out.read_text())
        for what in ("gate", "machine"):
            if kept[what] != result[what]:
                raise SystemExit(f"--keep: {options.out} is of another {what}: {kept[what]}; this is {result[what]}")
        result.update({what: kept[what] for what in ("took", "repeated", "scenarios")})
        result["command"] = f"{kept['command']}, then {result['command']}"
    return result


def flags():
    """What was said on the command line, without what `make bench` says itself."""
    return [argument for argument in sys.argv[1:] if argument != "--write"]


def run(context, chosen, result, out):
    took, repeats, kept = result["took"], context.clock.repeats, result["repeated"]
    for scenario in SCENARIOS:
        if scenario not in chosen:
            if scenario.name not in result["scenarios"]:
                result["not_run"][scenario.name] = "not asked for"
            continue
        if not context.clock.leaves(min(30, scenario.cost(context))):
            result["not_run"][scenario.name] = "the time was used up"
            continue
        say(f"{scenario.name}: {scenario.title}, after {context.clock.spent():.0f} s")
        try:
            result["scenarios"][scenario.name] = scenario.run(context)
        except Failed as failure:
            result["not_run"][scenario.name] = str(failure)
            say(f"{scenario.name} FAILED: {failure}")
        result["took"] = took + context.clock.spent()
        result["repeated"] = kept + repeats - context.clock.repeats
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def show(result, write):
    plots = plot.plots(result)
    text = report.rendered(result, {name: words for name, (words, _) in plots.items()})
    print(text)
    if write:
        docs = ROOT / "docs"
        page = docs / "performance.md"
        page.write_text(report.put_into(page.read_text(), text))
        (docs / "performance.json").write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n")
        for name, (_, svg) in plots.items():
            (docs / report.IMAGES / name).write_text(svg)
    failed = [
        f"{label} in {name}"
        for name, data in result["scenarios"].items()
        for label in data.get("failed", {})
        if label == GATE or data["kind"] == "features"
    ]
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
