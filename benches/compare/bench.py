"""The place of a run: its folder, cores, certificate and upstream, and how a contender is started in it."""

import itertools
import re
import subprocess
import time
from pathlib import Path

import workload
from connections import BadAnswer, Connections, wait_until_it_answers
from processes import Failed, Process, free_port, program
from setup import Setup

HERE = Path(__file__).resolve().parent


def switched(text, switches):
    """Lines that begin with `#name# ` are in force where switches[name], and gone elsewhere."""
    lines = []
    for line in text.splitlines(keepends=True):
        marked = re.match(r"( *)#(\w+)# ", line)
        if not marked:
            lines.append(line)
        elif switches[marked[2]]:
            lines.append(marked[1] + line[marked.end() :])
    return "".join(lines)


def render(template, path, switches=None, /, **values):
    """A file of config/ with its switches set and `@name@` filled in."""
    text = switched((HERE / "config" / template).read_text(), switches or {})
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    if left := re.search(r"@\w+@", text):
        raise ValueError(f"{template}: nothing is known for {left[0]}")
    Path(path).write_text(text)


class Running:
    """A contender that answers."""

    def __init__(self, contender, setup, process, port, log):
        self.contender, self.setup, self.process, self.port, self.log = contender, setup, process, port, log
        self.pid, self.ready_ms = process.pid, 0.0

    def fields(self, with_token=True):
        return workload.fields(self.contender.key_field, with_token, self.setup.consumers)

    def log_in(self):
        """The gate learns the token from the answer to a login; for the others it is one request more."""
        request = workload.request(self.fields(with_token=False), "POST", workload.LOGIN_PATH, workload.LOGIN)
        with Connections(self.port, request, 1, self.setup.tls) as connections:
            connections.exchange()

    def log_lines(self):
        if not self.log:
            return None
        count = 0
        with open(self.log, "rb") as file:
            while part := file.read(1 << 20):
                count += part.count(b"\n")
        return count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()


class Bench:
    def __init__(self, folder, cores):
        self.folder, self.cores = Path(folder), cores
        self.folder.chmod(0o755)
        self.numbers = itertools.count(1)
        self.upstream_port = None
        self.tables = {}
        self.certificate = self.folder / "certificate.pem"
        self.private_key = self.folder / "private-key.pem"

    def cores_of(self, workers):
        """(cores of the proxy, cores of load and upstream), as taskset writes them. Where there are too few, they
        share.
        """
        proxy = self.cores[:workers]
        load = self.cores[workers:] or (self.cores[1:] if workers == 1 else self.cores) or self.cores
        return ",".join(map(str, proxy)), ",".join(map(str, load))

    def make_certificate(self):
        """P-256, as most certificates are today."""
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ]
        command += ["-subj", "/CN=gate.example", "-addext", "subjectAltName=DNS:gate.example,IP:127.0.0.1"]
        command += ["-keyout", self.private_key, "-out", self.certificate]
        subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=30)
        self.private_key.chmod(0o600)
        # HAProxy reads both from one file.
        both = self.folder / "certificate-and-key.pem"
        both.touch(mode=0o600)
        both.write_bytes(self.certificate.read_bytes() + self.private_key.read_bytes())

    def new_folder(self, name):
        folder = self.folder / f"{next(self.numbers):04}-{name}"
        folder.mkdir()
        return folder

    def table(self, name, count, line):
        """A file with a line for each of `count` consumers, made once. `line(key, consumer)`."""
        if (name, count) not in self.tables:
            path = self.folder / f"{name}-{count}"
            lines = (line(workload.key(number), f"consumer-{number}") for number in range(count))
            path.write_text("".join(lines))
            self.tables[name, count] = path
        return self.tables[name, count]

    def start_upstream(self):
        folder = self.new_folder("upstream")
        self.upstream_port = free_port()
        render(
            "upstream.conf",
            folder / "conf",
            folder=folder,
            port=self.upstream_port,
            token=workload.TOKEN,
            body=workload.ANSWER,
        )
        _, load_cores = self.cores_of(1)
        process = Process([program("nginx"), "-p", folder, "-c", folder / "conf"], folder, load_cores)
        wait_until_it_answers(process, self.upstream_port, workload.request([]), 10)
        return process

    def start(self, contender, setup=Setup(), prefix=(), seconds=20, core=None):
        """Starts a contender afresh. `prefix` is put before its command: it is then one process without a master."""
        folder, port = self.new_folder(contender.name), free_port()
        command, options = contender.prepare(self, folder, port, setup, alone=bool(prefix))
        cores = self.cores_of(setup.workers)[0] if core is None else core
        began = time.monotonic()
        process = Process([*prefix, *command], folder, cores, options.get("stop", 15), options.get("env"))
        running = Running(contender, setup, process, port, options.get("log"))
        wait_until_it_answers(process, port, workload.request(running.fields(with_token=False)), seconds, setup.tls)
        running.ready_ms = 1000 * (time.monotonic() - began)
        if "sessions" in setup.features:
            try:
                running.log_in()
            except (OSError, BadAnswer) as error:
                process.stop()
                raise Failed(f"{contender.name} refuses a login: {error}") from error
        return running
