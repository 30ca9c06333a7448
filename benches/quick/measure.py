"""What is measured, and how: the process tree, load by wrk, idle connections, instructions by callgrind."""

import os
import re
import socket
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

TICK = os.sysconf("SC_CLK_TCK")


class BadAnswer(Exception):
    """Something else than a whole 200 answer."""


def fields_of(pid):
    """/proc/PID/stat after the command's name, which may hold blanks. None when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def tree(pid):
    """The process and all its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := fields_of(entry)):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pid, ended_children=False):
    """User and system time of the tree, all threads."""
    user = system = 0
    for member in tree(pid):
        if fields := fields_of(member):
            user, system = user + int(fields[11]), system + int(fields[12])
            if ended_children:
                user, system = user + int(fields[13]), system + int(fields[14])
    return user / TICK, system / TICK


def resident_kib(pid):
    total = 0
    for member in tree(pid):
        try:
            with open(f"/proc/{member}/status") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
        except OSError:
            pass
    return total


class Machine:
    """Time of the cores in use since it was made: stolen, and taken by programs that are not ours."""

    def __init__(self, cores):
        self.names = {f"cpu{core}" for core in cores}
        self.at_start = self.now()

    def now(self):
        total = stolen = busy = 0
        with open("/proc/stat") as file:
            for line in file:
                name, *ticks = line.split()
                if name in self.names:
                    user, nice, system, idle, iowait, irq, softirq, steal = map(int, ticks[:8])
                    busy += user + nice + system + irq + softirq
                    stolen += steal
                    total += user + nice + system + idle + iowait + irq + softirq + steal
        return total, stolen, busy, round(sum(cpu_seconds(os.getpid(), ended_children=True)) * TICK)

    def shares(self):
        """(stolen, others) in percent of the time of these cores."""
        total, stolen, busy, ours = (after - before for before, after in zip(self.at_start, self.now()))
        return 100 * stolen / max(total, 1), 100 * max(busy - ours, 0) / max(total, 1)


@dataclass
class Load:
    """One round of load."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    user_us: float
    resident_mib: float
    stolen: float
    others: float
    log_lines: int | None = None


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]


def load(running, fields, seconds, proxy_core, load_core):
    """50 connections for some seconds, and what the proxy's tree spent meanwhile."""
    headers = [part for name, value in fields for part in ("-H", f"{name}: {value}")]
    url = f"http://127.0.0.1:{running.port}/v1/articles"
    command = ["taskset", "-c", str(load_core), "wrk", "-t1", "-c50", f"-d{seconds}s", "--latency", *headers, url]
    machine = Machine({proxy_core, load_core})
    user, system = cpu_seconds(running.pid)
    out = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 15, check=True).stdout
    resident = resident_kib(running.pid)
    user_after, system_after = cpu_seconds(running.pid)
    stolen, others = machine.shares()
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"{running.folder.name} answered wrongly under load:\n{out}")
    requests = int(re.search(r"(\d+) requests in", out)[1])
    quantile = {name: milliseconds(value) for name, value in re.findall(r"^\s+(50|99)%\s+(\S+)$", out, re.M)}
    return Load(
        requests=requests,
        per_second=float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
        p50_ms=quantile["50"],
        p99_ms=quantile["99"],
        cpu_us=(user_after + system_after - user - system) / requests * 1e6,
        user_us=(user_after - user) / requests * 1e6,
        resident_mib=resident / 1024,
        stolen=stolen,
        others=others,
    )


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


class Connections:
    """Keep-alive connections on which the same request is sent again and again."""

    def __init__(self, port, request, count):
        self.request, self.sockets = request, []
        self.add(port, count)

    def add(self, port, count):
        added = []
        for _ in range(count):
            added.append(socket.create_connection(("127.0.0.1", port), timeout=30))
            added[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets += added
        return added

    def exchange(self, sockets=None):
        """One request on each connection, all sent before the first answer is read."""
        sockets = sockets or self.sockets
        for connection in sockets:
            connection.sendall(self.request)
        for connection in sockets:
            read_answer(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.sockets:
            connection.close()


def read_answer(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        received += more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise BadAnswer(head.split(b"\r\n")[0].decode(errors="replace"))
    length = int(re.search(rb"\r\ncontent-length:\s*(\d+)", head, re.I)[1])
    while len(body) < length:
        body += more(connection)


def more(connection):
    part = connection.recv(65536)
    if not part:
        raise BadAnswer("connection closed")
    return part


def idle_kib(running, request, count):
    """KiB that one idle connection costs, after one request on it."""
    with Connections(running.port, request, 50) as warm:
        for _ in range(40):
            warm.exchange()
    before = resident_kib(running.pid)
    with Connections(running.port, request, 0) as idle:
        while len(idle.sockets) < count:
            idle.exchange(idle.add(running.port, min(50, count - len(idle.sockets))))
        return (resident_kib(running.pid) - before) / count


CALLGRIND = ["valgrind", "--tool=callgrind", "--quiet"]


@dataclass
class Instructions:
    """User instructions per request. How many of them are SHA-256, for which valgrind's processor has no instructions; and how many
    are spent in the gate's decisions, log and metrics, SHA-256 included."""

    all: float
    sha256: float
    decisions: float


def instructions(bench, names, request, few, many):
    """Runs each program under callgrind twice, with `few` and with `many` requests: the difference is without its start."""
    jobs = [(name, count) for count in (few, many) for name in names]
    cores = sorted({bench.proxy_core, bench.load_core})

    def one(name, count, core):
        out = bench.folder / f"callgrind-{name}-{count}"
        prefix = [*CALLGRIND, f"--callgrind-out-file={out}"]
        with bench.start(name, prefix=prefix, seconds=60, core=core) as running:
            with Connections(running.port, request, 50) as connections:
                for _ in range(count // 50):
                    connections.exchange()
        return counted(out)

    def lane(core):
        # The longest first; a list gives each entry to one thread only.
        while jobs:
            name, count = jobs.pop()
            totals[name, count] = one(name, count, core)

    totals = {}
    with ThreadPoolExecutor(len(cores)) as pool:
        list(pool.map(lane, cores))
    return {name: difference(totals[name, few], totals[name, many], many - few) for name in names}


def difference(few, many, requests):
    if not few or not many:
        return None
    return Instructions(*((after - before) / requests for before, after in zip(few, many)))


# Where the gate decides, and where it ends a request: log line and metrics. Everything else is carrying HTTP.
DECISIONS = ("sensgate::exchange::Exchange::", "sensgate::proxy::ticket::Ticket::")


def counted(path):
    """(all instructions, those within SHA-256's own functions, those within calls of DECISIONS) of a callgrind file."""
    if not path.exists():
        return None
    total, sha, decisions = None, 0, 0
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
                    sha += cost
                if is_call and callee.startswith(DECISIONS) and not caller.startswith(DECISIONS):
                    decisions += cost
                is_call = False
            elif line.startswith("fn="):
                caller = named(line[3:])
            elif line.startswith(("cfn=", "cfni=")):
                callee = named(line.partition("=")[2])
            elif line.startswith("calls="):
                is_call = True
            elif line.startswith(("totals:", "summary:")):
                total = int(line.split()[1])
    return (total, sha, decisions) if total else None


def count_lines(path):
    count = 0
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            count += part.count(b"\n")
    return count
