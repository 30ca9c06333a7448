"""Interleaved rounds: each asks every runner once, in an order that rotates, each started afresh and warmed."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import workload
from connections import BadAnswer, Connections
from load import Ask, BadLoad, load
from processes import Failed

# A round that lost this much of its time to other machines, in percent, says little.
STOLEN = 4

# So often one round of one runner is repeated; the run as a whole has a bound besides.
MOST_REPEATS = 2

# A runner that failed so often in a scenario is not asked again.
MOST_FAILURES = 3

WARM_CONNECTIONS, WARM_ROUNDS = 50, 20


@dataclass
class Runner:
    """What is measured under one label. `start()` gives something that runs; `every`: only each so many rounds."""

    start: Callable
    ask: Ask
    every: int = 1


class Clock:
    """When no further round begins, and how many rounds may still be repeated."""

    def __init__(self, budget, repeats):
        self.began, self.budget, self.repeats = time.monotonic(), budget, repeats

    def spent(self):
        return time.monotonic() - self.began

    def leaves(self, seconds):
        return self.spent() + seconds <= self.budget


def say(text):
    print(f"  … {text}", file=sys.stderr, flush=True)


def measure(bench, runners, rounds, seconds, clock):
    """{label: [a round's figures or None, for each round]} and {label: why rounds are missing}. Stops early when the
    time is used up.
    """
    loads = {label: [] for label in runners}
    failures = {label: [] for label in runners}
    labels = list(runners)
    for number in range(rounds):
        for position in range(len(labels)):
            label = labels[(number + position) % len(labels)]
            runner = runners[label]
            if len(failures[label]) == MOST_FAILURES or number % runner.every:
                continue
            if number > 0 and not clock.leaves(seconds + 2):
                say("time is used up")
                return loads, told(failures)
            say(f"round {number + 1} of {rounds}: {label}")
            try:
                figures = without_theft(bench, runner, seconds, clock, label)
            except (Failed, BadLoad, BadAnswer, OSError) as error:
                failures[label].append(str(error))
                say(f"{label} FAILED: {error}")
                continue
            pad(loads[label], number)
            loads[label].append(figures)
    for label in labels:
        pad(loads[label], rounds)
    return loads, told(failures)


def told(failures):
    return {label: f"{len(reasons)} times: {reasons[-1]}" for label, reasons in failures.items() if reasons}


def pad(values, length):
    """Rounds in which a runner took no part."""
    values += [None] * (length - len(values))


def without_theft(bench, runner, seconds, clock, label):
    figures = one(bench, runner, seconds)
    for _ in range(MOST_REPEATS):
        if figures.stolen < STOLEN or clock.repeats == 0 or not clock.leaves(seconds + 2):
            break
        say(f"{figures.stolen:.1f} % stolen, once more: {label}")
        clock.repeats -= 1
        figures = one(bench, runner, seconds)
    return figures


def one(bench, runner, seconds):
    with runner.start() as running:
        proxy_cores, load_cores = bench.cores_of(running.setup.workers)
        cores = {int(core) for core in f"{proxy_cores},{load_cores}".split(",")}
        lines_before = warm(running, runner.ask)
        figures = load(running, runner.ask, seconds, load_cores, cores)
    lines = running.log_lines()
    if lines is not None:
        figures.log_lines = max(0, min(lines - lines_before, figures.requests))
        running.log.unlink()
    return figures


def warm(running, ask):
    """Some requests of the kind to come; returns how many lines they make in the access log."""
    method, path, body = ("POST", workload.WRITE_PATH, workload.ORDER) if ask.post else ("GET", workload.READ_PATH, "")
    request = workload.request(running.fields(ask.with_token), method, path, body)
    with Connections(running.port, request, WARM_CONNECTIONS, running.setup.tls) as connections:
        for _ in range(WARM_ROUNDS):
            connections.exchange()
    return WARM_CONNECTIONS * WARM_ROUNDS
