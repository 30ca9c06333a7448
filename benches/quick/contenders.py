"""The programs that are compared: their configuration, how they start and how they end."""

import hashlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import measure

HERE = Path(__file__).resolve().parent
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"

# True once the gate knows `[session] mode`, `[state] directory` and a consumer's `rate_limit`.
WITH_SESSIONS = True

CONSUMERS = 1000
TOKEN = "9f8e7d6c5b4a39281706"
UPSTREAM_KEY = "bench-upstream-key"
BODY = '{"rows":[' + ",".join(f'{{"id":{n},"code":"ART{n:05}","label":"Article {n:05}"}}' for n in range(3))
BODY += '],"page":"' + "x" * (197 - len(BODY) - len('],"page":""}')) + '"}'


def key(number):
    """A key as long as a real one. It opens nothing but this benchmark."""
    return f"sgk_k1_{number:050}"


def request(method="GET", path="/v1/articles", body=""):
    """The bytes of one request of the consumer in the middle of the table."""
    head = [f"{method} {path} HTTP/1.1", "Host: gate.example"]
    head += [f"{name}: {value}" for name, value in FIELDS]
    if body:
        head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


FIELDS = [("api_key", key(CONSUMERS // 2)), ("access_token", TOKEN), ("Accept", "application/json")]


def program(name):
    """Where a program is; as an ordinary user on Debian, nginx and haproxy are not in the path."""
    return shutil.which(name, path=PATH)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def render(template, target, **values):
    text = (HERE / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    Path(target).write_text(text)


class Running:
    """One started program in a folder of its own. Ended by its own process id."""

    def __init__(self, command, folder, core, port, stop=signal.SIGTERM, log=None, prefix=()):
        self.port, self.stop_signal, self.log = port, stop, log
        pinned = ["taskset", "-c", str(core), *prefix, *map(str, command)]
        with open(folder / "stdout", "wb") as out, open(folder / "stderr", "wb") as err:
            self.process = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder)
        self.folder, self.pid = folder, self.process.pid

    def wait_until_it_answers(self, seconds):
        deadline = time.monotonic() + seconds
        while True:
            try:
                with measure.Connections(self.port, request(), 1) as connections:
                    connections.exchange()
                return self
            except (OSError, measure.BadAnswer) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    last = (self.folder / "stderr").read_text(errors="replace")[-2000:]
                    self.stop()
                    raise SystemExit(f"{self.folder.name} does not answer: {error}\n{last}") from error
                time.sleep(0.02)

    def stop(self):
        """Ends the program and waits for it; what is left of its tree after ten seconds is killed."""
        tree = measure.tree(self.pid)
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                for pid in tree:
                    os.kill(pid, signal.SIGKILL)
                self.process.wait(10)

    def log_lines(self):
        return measure.count_lines(self.log) if self.log else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Bench:
    """Where everything is, and how each program is started."""

    NAMES = ["nginx", "haproxy", "pingora-proxy", "sensgate"]

    def __init__(self, folder, gate, bare, proxy_core, load_core):
        self.folder, self.gate, self.bare = Path(folder), gate, bare
        self.proxy_core, self.load_core = proxy_core, load_core
        self.numbers = itertools.count(1)
        keys = [(key(n), f"consumer-{n}") for n in range(CONSUMERS)]
        (self.folder / "keys.nginx").write_text("".join(f'"{k}" "{name}";\n' for k, name in keys))
        (self.folder / "keys.haproxy").write_text("".join(f"{k} {name}\n" for k, name in keys))
        self.consumers = "".join(self.consumer(k, name) for k, name in keys)

    @staticmethod
    def consumer(key, name):
        sha256 = hashlib.sha256(key.encode()).hexdigest()
        limit = 'rate_limit = "1000000/s, burst 1000"\n' if WITH_SESSIONS else ""
        return (
            f'\n[[consumer]]\nname = "{name}"\n{limit}allow = ["GET /v1/*", "POST /v1/devis*"]\ndeny = ["* /v1/secret*"]\n'
            f'allow_from = ["127.0.0.0/8"]\nkeys = [{{ id = "k1", sha256 = "{sha256}", expires = 2099-12-31 }}]\n'
        )

    def start_upstream(self):
        folder = self.new_folder("upstream")
        self.upstream_port = free_port()
        render("upstream.conf", folder / "conf", folder=folder, port=self.upstream_port, token=TOKEN, body=BODY)
        command = [program("nginx"), "-p", folder, "-c", folder / "conf"]
        return Running(command, folder, self.load_core, self.upstream_port).wait_until_it_answers(10)

    def start(self, name, prefix=(), seconds=15, core=None):
        """Starts one of NAMES afresh. `prefix` is put before its command: it is then one process without a master."""
        folder, port = self.new_folder(name), free_port()
        values = dict(folder=folder, port=port, upstream=self.upstream_port, upstream_key=UPSTREAM_KEY)
        make = {"nginx": self.nginx, "haproxy": self.haproxy, "pingora-proxy": self.pingora, "sensgate": self.sensgate}
        command, options = make[name](folder, values, bool(prefix))
        core = self.proxy_core if core is None else core
        running = Running(command, folder, core, port, prefix=prefix, **options).wait_until_it_answers(seconds)
        if WITH_SESSIONS:
            # The gate learns the token from the login answer.
            login = request("POST", "/v1/login/user", "login=CLIENTREST&password=bench")
            with measure.Connections(port, login, 1) as connections:
                connections.exchange()
        return running

    def new_folder(self, name):
        folder = self.folder / f"{next(self.numbers):03}-{name}"
        folder.mkdir()
        return folder

    def nginx(self, folder, values, alone):
        shutil.copy(self.folder / "keys.nginx", folder)
        log = folder / "access.log"
        render("nginx.conf", folder / "conf", log=log, master="off" if alone else "on", **values)
        return [program("nginx"), "-p", folder, "-c", folder / "conf"], dict(log=log)

    def haproxy(self, folder, values, _alone):
        shutil.copy(self.folder / "keys.haproxy", folder)
        render("haproxy.cfg", folder / "conf", **values)
        return [program("haproxy"), "-db", "-f", folder / "conf"], dict(log=folder / "stdout")

    def pingora(self, _folder, values, _alone):
        command = [self.bare, f"127.0.0.1:{values['port']}", f"127.0.0.1:{values['upstream']}"]
        return command, dict(stop=signal.SIGINT)

    def sensgate(self, folder, values, _alone):
        config = folder / "sensgate.toml"
        render("sensgate.toml", config, admin=free_port(), **values)
        text = config.read_text()
        marked = "#sessions# "
        if WITH_SESSIONS:
            text = text.replace(marked, "")
        else:
            text = "".join(line for line in text.splitlines(True) if not line.startswith(marked))
        config.write_text(text + self.consumers)
        config.chmod(0o600)
        secret = folder / "8sens-api-key"
        secret.touch(mode=0o600)
        secret.write_text(UPSTREAM_KEY + "\n")
        return [self.gate, "run", "--config", config], dict(log=folder / "access.log")
