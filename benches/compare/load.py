"""Load by wrk and h2load for some seconds, and what the proxy's tree spent meanwhile."""

import re
import subprocess
from dataclasses import dataclass

import workload
from processes import Machine, cpu_seconds, program, resident_kib

URL = "{scheme}://127.0.0.1:{port}{path}"


@dataclass(frozen=True)
class Ask:
    """What is asked, and over how many connections."""

    connections: int = 50
    post: bool = False
    # Streams at once on each connection; 0 is HTTP/1.1.
    streams: int = 0
    with_token: bool = True


@dataclass
class Load:
    """One round of load at one program."""

    requests: int
    wrong: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    user_us: float
    resident_mib: float
    stolen: float
    others: float
    ready_ms: float
    log_lines: int | None = None


class BadLoad(Exception):
    """The generator failed, or nearly nothing was answered well: figures would mean nothing."""


def load(running, ask, seconds, load_cores, all_cores):
    """One round. `running` says its port, its pid, whether it speaks TLS and the caller's fields."""
    generator = h2load if ask.streams else wrk
    machine = Machine(all_cores)
    user, system = cpu_seconds(running.pid)
    requests, wrong, per_second, p50, p99 = generator(running, ask, seconds, load_cores)
    resident = resident_kib(running.pid)
    user_after, system_after = cpu_seconds(running.pid)
    stolen, others = machine.shares()
    if requests == 0 or wrong > requests // 100:
        raise BadLoad(f"{wrong} of {requests} requests were answered wrongly")
    return Load(
        requests=requests,
        wrong=wrong,
        per_second=per_second,
        p50_ms=p50,
        p99_ms=p99,
        cpu_us=(user_after + system_after - user - system) / requests * 1e6,
        user_us=(user_after - user) / requests * 1e6,
        resident_mib=resident / 1024,
        stolen=stolen,
        others=others,
        ready_ms=running.ready_ms,
    )


def url(running, path):
    return URL.format(scheme="https" if running.setup.tls else "http", port=running.port, path=path)


def headers(running, ask):
    return [part for name, value in running.fields(ask.with_token) for part in ("-H", f"{name}: {value}")]


def run(command, load_cores, seconds):
    pinned = ["taskset", "-c", load_cores, *map(str, command)]
    try:
        done = subprocess.run(pinned, capture_output=True, text=True, timeout=seconds + 30, check=False)
    except subprocess.TimeoutExpired as error:
        raise BadLoad(f"{command[0]} did not end") from error
    if done.returncode:
        raise BadLoad(f"{command[0]}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def wrk(running, ask, seconds, load_cores):
    """(requests, answers that are wrong or missing, requests/s, p50 ms, p99 ms)"""
    command = [
        "wrk",
        "-t1",
        f"-c{ask.connections}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "--latency",
        *headers(running, ask),
    ]
    path = workload.READ_PATH
    if ask.post:
        script = running.process.folder / "post.lua"
        script.write_text(
            f'wrk.method = "POST"\nwrk.body = "{workload.ORDER}"\n'
            'wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"\n'
        )
        command += ["-s", script]
        path = workload.WRITE_PATH
    out = run([*command, url(running, path)], load_cores, seconds)
    wrong = sum(int(found) for found in re.findall(r"Non-2xx or 3xx responses: (\d+)", out))
    for counts in re.findall(r"Socket errors: (.*)", out):
        wrong += sum(map(int, re.findall(r"\d+", counts)))
    quantile = {name: milliseconds(value) for name, value in re.findall(r"^\s+(50|99)%\s+(\S+)$", out, re.M)}
    requests = int(re.search(r"(\d+) requests in", out)[1])
    return requests, wrong, float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), quantile["50"], quantile["99"]


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]


def h2load(running, ask, seconds, load_cores):
    """The same over HTTP/2. It logs each answer, which is where the quantiles come from."""
    log = running.process.folder / "h2load.log"
    log.unlink(missing_ok=True)
    command = ["h2load", "-t1", f"-c{ask.connections}", f"-m{ask.streams}", f"-D{seconds}", f"--log-file={log}"]
    out = run([*command, *headers(running, ask), url(running, workload.READ_PATH)], load_cores, seconds)
    if "Application protocol: h2" not in out:
        raise BadLoad("HTTP/2 was not agreed on")
    good = int(re.search(r"status codes: (\d+) 2xx", out)[1])
    others = sum(map(int, re.search(r"2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out).groups()))
    failed, errored, timed_out = map(int, re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", out).groups())
    times = sorted(int(line.split()[2]) / 1000 for line in log.read_text().splitlines())
    log.unlink()
    if not times:
        raise BadLoad("nothing was answered")
    # Streams under way when the time is over are no failures of the server.
    wrong = others + timed_out + max(0, max(failed, errored) - ask.connections * ask.streams)
    per_second = float(re.search(r"finished in [^,]+, ([\d.]+) req/s", out)[1])
    return good + others, wrong, per_second, times[len(times) // 2], times[len(times) * 99 // 100]


def missing():
    return [name for name in ("wrk", "h2load") if not program(name)]
