"""User instructions of a request, by callgrind: exact where times are not."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import workload
from connections import BadAnswer, Connections
from http2 import Http2Connections
from processes import Failed

# Where the gate decides, and where it ends a request: log line and metrics. Everything else is carrying HTTP. The
# beginnings of the paths of functions, as callgrind writes them.
DECISIONS = ("sensgate::domain::exchange::", "sensgate::proxy::ticket::")
IN_FLIGHT = 50
WARM_ROUNDS = 10


class CallgrindFailed(Exception):
    """It could not be steered, or left no count."""


@dataclass
class Instructions:
    """User instructions per request. How many of them are SHA-256, for which valgrind's processor has no
    instructions; and how many are spent in the gate's decisions, log and metrics, SHA-256 included: None where no
    function has such a name.
    """

    all: float
    sha256: float
    decisions: float | None

    @property
    def without_sha256(self):
        return self.all - self.sha256


def instructions(jobs, cores):
    """({label: Instructions}, {label: why there are none}) of `jobs`, {label: (start, ask, requests)}. `start(prefix,
    core)` starts a program as one process.

    Counting begins once the program is warm: neither its start nor its first requests are in it.
    """
    todo = list(jobs)
    counts, failed = {}, {}

    def lane(core):
        # A list gives each entry to one thread only.
        while todo:
            label = todo.pop(0)
            try:
                counts[label] = one(*jobs[label], core)
            except (Failed, BadAnswer, CallgrindFailed, OSError) as error:
                failed[label] = f"callgrind: {error}"

    with ThreadPoolExecutor(len(cores)) as pool:
        list(pool.map(lane, cores))
    return {label: counts[label] for label in jobs if label in counts}, failed


def one(start, ask, requests, core):
    with start(
        ("valgrind", "--tool=callgrind", "--quiet", "--instr-atstart=no", "--callgrind-out-file=callgrind.out"), core
    ) as running:
        out = running.process.folder / "callgrind.out"
        with connected(running, ask) as connections:
            rounds = max(1, requests // len(connections.sockets))
            for _ in range(WARM_ROUNDS):
                connections.exchange()
            count(running.pid, "on")
            for _ in range(rounds):
                connections.exchange()
            count(running.pid, "off")
    return parsed(out, rounds * len(connections.sockets))


def connected(running, ask):
    fields, number = running.fields(ask.with_token), min(IN_FLIGHT, ask.connections)
    if ask.streams:
        return Http2Connections(running.port, fields, workload.READ_PATH, number)
    path, method, body = (workload.WRITE_PATH, "POST", workload.ORDER) if ask.post else (workload.READ_PATH, "GET", "")
    return Connections(running.port, workload.request(fields, method, path, body), number, running.setup.tls)


def count(pid, switch):
    command = ["callgrind_control", "-i", switch, str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode or "OK" not in done.stdout:
        raise CallgrindFailed(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def parsed(path, requests):
    total, sha256, decisions = read(path)
    return Instructions(total / requests, sha256 / requests, None if decisions is None else decisions / requests)


def read(path):
    """(all instructions, those within SHA-256's own functions, those within calls of DECISIONS) of a callgrind file.
    The last is None where a function's path begins with none of them.
    """
    total, sha256, decisions, found, is_gate = None, 0, 0, set(), False
    names, caller, callee, is_call = {}, "", "", False

    def named(reference):
        number, _, name = reference.strip().partition(" ")
        if name:
            names[number] = name
        return names.get(number, "")

    with open(path, errors="replace") as file:
        for line in file:
            if line[0] in "+-*0123456789":
                # Cost lines are `position count`; the one after `calls=` is the callee's, with all that it calls.
                cost = int(line.split()[1])
                if not is_call and ("sha2" in caller or "sha256" in caller.lower()):
                    sha256 += cost
                if is_call and decides(callee) and not decides(caller):
                    decisions += cost
                is_call = False
            elif line.startswith("fn="):
                caller = named(line[3:])
                is_gate = is_gate or "sensgate::" in caller
                found.update(start for start in DECISIONS if begins(caller, start))
            elif line.startswith(("cfn=", "cfni=")):
                callee = named(line.partition("=")[2])
            elif line.startswith("calls="):
                is_call = True
            elif line.startswith("totals:"):
                total = int(line.split()[1])
    if not total:
        raise CallgrindFailed(f"{path} has no total")
    if is_gate and len(found) < len(DECISIONS):
        warn_of(set(DECISIONS) - found)
    return total, sha256, decisions if len(found) == len(DECISIONS) else None


def begins(function, start):
    """Methods are written `path::Type::method`, those of a trait `<path::Type as Trait>::method`."""
    return function.startswith((start, f"<{start}"))


def decides(function):
    return any(begins(function, start) for start in DECISIONS)


def warn_of(absent):
    """A module that moved makes its share vanish, and a share that vanished looks like a success."""
    print(
        f"\nWARNING: callgrind saw no function of {', '.join(sorted(absent))}.\n"
        "Its module has moved, or all of it is inlined: what decisions take is NOT COUNTED. "
        "Put DECISIONS right in callgrind.py.\n",
        file=sys.stderr,
        flush=True,
    )
