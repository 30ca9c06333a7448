#!/usr/bin/env python3
"""Slow and idle connections at the gate, by slowhttptest. Run it by `make slow`; method and caveats:
docs/performance.md.

Each case starts a gate afresh, asks it quietly for a while, then lets slowhttptest open 2,000 connections: heads that
never end (-H), bodies that drip (-B), answers of 4 MiB that are read by the byte (-X). One legitimate caller goes on
asking, on a kept connection and on new ones. First with the caps for one address out of the way, so that deadlines
alone must hold; then with the defaults and the legitimate caller on another loopback address. At last 10,000 idle
connections.

Only Python's standard library is used. Programs are ended by their own process id, and nothing listens off loopback.
"""

import argparse
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches/compare"))

import workload  # noqa: E402
from connections import BadAnswer, idle_kib, read_answer, wait_until_it_answers  # noqa: E402
from gate import consumer  # noqa: E402
from processes import Process, free_port, program, resident_kib  # noqa: E402
from setup import Setup  # noqa: E402

HERE = Path(__file__).resolve().parent
CONNECTIONS = 2000
EXPORT = 4 << 20
KEY = workload.key(1)
HEAD = f"GET /v1/articles HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\n\r\n".encode()

# slowhttptest has no option for a field of one's own; the values of Accept and of Cookie take one along.
POST_WITH_KEY = ["-m", f"application/json\r\napi_key: {KEY}"]
GET_WITH_KEY = ["-j", f"a=b\r\napi_key: {KEY}"]

CASES = {
    "heads (-H)": ["-H", "-i", "3", "-x", "8", "-t", "GET"],
    "bodies (-B)": ["-B", "-i", "3", "-x", "8", "-s", "8192", "-t", "POST", *POST_WITH_KEY],
    "readers (-X)": ["-X", "-w", "512", "-y", "1024", "-n", "3", "-z", "32", "-k", "1", *GET_WITH_KEY],
}


def arguments():
    parser = argparse.ArgumentParser(description="Slow and idle connections at the gate.")
    parser.add_argument("--gate", type=Path, default=ROOT / "target/release/sensgate")
    parser.add_argument("--seconds", type=int, default=45, help="length of an attack; 0 leaves the attacks out")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections")
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    missing = [name for name in ("nginx", "slowhttptest", "taskset") if not program(name)]
    missing += [str(options.gate)] * (not options.gate.exists())
    if missing:
        print(f"missing: {' '.join(missing)}; make slow installs and builds what is needed", file=sys.stderr)
        return 69
    raise_open_files(65_536)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    print("| case | cap for one address | legitimate requests | without an answer | p50 ms quiet | under attack "
          "| p99 ms quiet | under attack "
          "| hostile connections at most | KiB for each | left after the attack | how they ended |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="sensgate-slow-") as folder:
        bench = Bench(Path(folder), options.gate.resolve(), cores)
        with bench.start_upstream():
            for capped in (False, True) if options.seconds else ():
                for name, attack in CASES.items():
                    print_row(name, capped, attacked(bench, attack, capped, options.seconds))
            kib, count = idle(bench, options.idle)
    print(f"\n{count:,} idle connections: {kib:.1f} KiB each.")
    return 0


def raise_open_files(wanted):
    """Raises the limit for this script and all it starts as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Bench:
    """Where everything is, and how the upstream and a gate are started."""

    def __init__(self, folder, gate, cores):
        self.folder, self.gate, self.cores, self.number = folder, gate, cores, 0

    def new_folder(self, name):
        self.number += 1
        folder = self.folder / f"{self.number:02}-{name}"
        folder.mkdir()
        return folder

    def start_upstream(self):
        folder = self.new_folder("upstream")
        folder.chmod(0o755)
        self.folder.chmod(0o755)
        self.upstream_port = free_port()
        (folder / "export").write_bytes(b"x" * EXPORT)
        text = (HERE / "upstream.conf").read_text()
        for name, value in dict(folder=folder, port=self.upstream_port, body=workload.ANSWER).items():
            text = text.replace(f"@{name}@", str(value))
        (folder / "conf").write_text(text)
        command = [program("nginx"), "-p", folder, "-c", folder / "conf"]
        process = Process(command, folder, self.cores[-1])
        wait_until_it_answers(process, self.upstream_port, workload.request([]), 10)
        return process

    def start(self, limits):
        """A gate with the defaults but for `limits`, lines of TOML."""
        folder, port, self.admin = self.new_folder("gate"), free_port(), free_port()
        boutique = consumer(KEY, "boutique", Setup()).replace('"POST /v1/devis*", "GET /v1/*"', '"* /v1/*"')
        text = (f'[upstream]\naddress = "127.0.0.1:{self.upstream_port}"\napi_key = {{ file = "8sens-api-key" }}\n'
                f'[session]\nmode = "observe"\n[state]\ndirectory = "state"\n'
                f'[[listener]]\naddress = "127.0.0.1:{port}"\n'
                f'[limits]\n{limits}\n[log]\naccess = "access.log"\n[admin]\naddress = "127.0.0.1:{self.admin}"\n'
                f'[server]\nthreads = 1\ndrain_timeout = "1s"\n{boutique}')
        config, secret = folder / "sensgate.toml", folder / "8sens-api-key"
        config.write_text(text)
        secret.touch(mode=0o600)
        secret.write_text(workload.UPSTREAM_KEY + "\n")
        command = [self.gate, "run", "--config", config]
        running = Process(command, folder, self.cores[0])
        running.port = port
        deadline = time.monotonic() + 15
        while not self.scrape():
            if time.monotonic() > deadline:
                raise SystemExit((folder / "stderr").read_text())
            time.sleep(0.05)
        return running

    def scrape(self):
        """The gate's metrics, by series."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


class Caller(threading.Thread):
    """Asks every 20 ms: four times on a kept connection, then once on a new one."""

    def __init__(self, port, source):
        super().__init__(daemon=True)
        self.port, self.source, self.times, self.failed, self.done = port, source, [], 0, threading.Event()

    def run(self):
        kept, number = None, 0
        while not self.done.wait(0.02):
            number += 1
            began = time.monotonic()
            try:
                if kept is None or number % 5 == 0:
                    gate = ("127.0.0.1", self.port)
                    kept = socket.create_connection(gate, timeout=5, source_address=(self.source, 0))
                kept.sendall(HEAD)
                read_answer(kept)
                self.times.append(time.monotonic() - began)
            except (OSError, BadAnswer):
                self.failed += 1
                kept = None

    def stop(self):
        self.done.set()
        self.join()
        return self


def percentile(times, share):
    return 1000 * sorted(times)[min(len(times) - 1, int(len(times) * share))]


def attacked(bench, attack, capped, seconds):
    # Where attackers and caller share an address, so would they what refusals of it may use.
    limits = "" if capped else 'connections = 4096\nconnections_per_address = 4096\naddress_budget = "100000/s"'
    source = "127.0.0.2" if capped else "127.0.0.1"
    with bench.start(limits) as gate:
        quiet = Caller(gate.port, source)
        quiet.start()
        time.sleep(5)
        quiet.stop()
        before = resident_kib(gate.pid)
        caller = Caller(gate.port, source)
        caller.start()
        target = "/v1/export" if "-X" in attack else "/v1/devis"
        command = [program("slowhttptest"), *attack, "-c", str(CONNECTIONS), "-r", "500", "-l", str(seconds), "-p", "5",
                   "-v", "0", "-u", f"http://127.0.0.1:{gate.port}{target}"]
        most, resident = 0, before
        with open(os.devnull, "wb") as nowhere:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=nowhere, stderr=nowhere)
        deadline = time.monotonic() + seconds + 30
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.25)
            open_now = bench.scrape().get("sensgate_connections_open", 0) - 1
            if open_now > most:
                most = open_now
            resident = max(resident, resident_kib(gate.pid))
        if process.poll() is None:
            process.kill()
        process.wait()
        caller.stop()
        after = bench.scrape()
    ends = {}
    for series, count in after.items():
        if found := re.fullmatch(r'sensgate_connections_total\{outcome="(\w+)"\}', series):
            ends[found[1]] = int(count)
    left = after.get("sensgate_connections_open", 0)
    return quiet, caller, most, (resident - before) / max(most, 1), left, ends


def print_row(name, capped, row):
    quiet, caller, most, kib, left, ends = row
    ended = ", ".join(f"{outcome} {count:,}" for outcome, count in ends.items() if count)
    asked = len(caller.times) + caller.failed
    cells = [name, "on, caller elsewhere" if capped else "raised", f"{asked:,}", f"{caller.failed:,}",
             f"{percentile(quiet.times, 0.5):.2f}", f"{percentile(caller.times, 0.5):.2f}",
             f"{percentile(quiet.times, 0.99):.2f}", f"{percentile(caller.times, 0.99):.2f}",
             f"{most:,.0f}", f"{kib:.0f}", f"{left:,.0f}", ended]
    print(f"| {' | '.join(cells)} |", flush=True)


def idle(bench, wanted):
    limits = 'connections = 16384\nconnections_per_address = 16384\nkeepalive_timeout = "10m"'
    with bench.start(limits) as gate:
        # The gate keeps 64 descriptors back and counts two for each caller; the caller that makes the connections has
        # one of them.
        room = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 80) // 2
        count = min(wanted, room)
        return idle_kib(gate.port, gate.pid, HEAD, count), count


if __name__ == "__main__":
    sys.exit(main())
