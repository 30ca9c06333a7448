"""The gate as a contender: every feature can be switched off, which no other one needs."""

import hashlib
import shutil
import subprocess
import urllib.request
from pathlib import Path

import workload
from bench import render
from contenders import Contender
from processes import first_line, free_port
from setup import Setup

# More consumers than these do not go into one file of 4 MiB; then they come from a folder, this many in each file.
ONE_FILE = 10_000
QUOTA = 'rate_limit = "1000000/s, burst 1000"\n'


class Sensgate(Contender):
    """`forwarder` names the lane by which it forwards; None is the one that it takes by itself."""

    def __init__(self, path, name="sensgate", forwarder=None):
        self.path, self.name, self.forwarder = Path(path).resolve(), name, forwarder

    def why_not(self):
        return None if self.path.exists() else f"{self.path} is not built"

    def version(self):
        return first_line(self.path, "version")

    def prepare(self, bench, folder, port, setup, alone):
        config = self.configure(bench, folder, port, setup)
        return [self.path, "run", "--config", config], {
            "log": folder / "access.log" if "log" in setup.features else None
        }

    def configure(self, bench, folder, port, setup):
        config, features = folder / "sensgate.toml", setup.features
        admin = f"127.0.0.1:{free_port()}" if "metrics" in features else "off"
        (folder / "admin").write_text(admin)
        render(
            "sensgate.toml",
            config,
            {"tls": setup.tls, "forwarder": self.forwarder, "folder": setup.consumers > ONE_FILE},
            port=port,
            upstream=bench.upstream_port,
            pool=setup.pool,
            threads=setup.workers,
            forwarder=self.forwarder,
            certificate=bench.certificate,
            private_key=bench.private_key,
            enforce="on" if "limits" in features else "off",
            access="access.log" if "log" in features else "off",
            admin=admin,
        )
        with open(config, "a") as file:
            file.writelines(consumers(bench, folder, setup))
        config.chmod(0o600)
        secret = folder / "8sens-api-key"
        secret.touch(mode=0o600)
        secret.write_text(workload.UPSTREAM_KEY + "\n")
        if setup.state:
            shutil.copytree(setup.state, folder / "state")
        return config

    def why_no_forwarder(self, bench):
        """None where the gate has this lane; else what it says about the setting."""
        config = self.configure(bench, bench.new_folder("check"), free_port(), Setup(consumers=1))
        command = list(map(str, [self.path, "check", "--config", config]))
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode == 0:
            return None
        said = next(
            (line for line in (done.stdout + done.stderr).splitlines() if "forwarder" in line), "it says nothing"
        )
        return f'this build has no `forwarder = "{self.forwarder}"`: {said.strip()}'


def consumers(bench, folder, setup):
    """The consumers that stand in the configuration itself; where there are too many, the rest goes into a folder
    beside it.
    """
    caller = setup.consumers // 2
    yield consumer(workload.key(caller), f"consumer-{caller}", setup)
    if setup.consumers <= ONE_FILE:
        yield from others_than(caller, 0, setup.consumers, setup)
        return
    shared = bench.folder / f"consumers-{setup.consumers}"
    if not shared.exists():
        shared.mkdir()
        for start in range(0, setup.consumers, ONE_FILE):
            part = shared / f"{start:06}.toml"
            part.write_text("".join(others_than(caller, start, min(start + ONE_FILE, setup.consumers), setup)))
            part.chmod(0o600)
    (folder / "consumers.d").symlink_to(shared)


def others_than(caller, start, end, setup):
    return (
        consumer(workload.key(number), f"consumer-{number}", setup, caller=False)
        for number in range(start, end)
        if number != caller
    )


def consumer(key, name, setup, caller=True):
    """As in a shop's file; without limits in the set-up, name and keys alone."""
    sha256 = hashlib.sha256(key.encode()).hexdigest()
    text = f'\n[[consumer]]\nname = "{name}"\nkeys = [{{ id = "k1", sha256 = "{sha256}", expires = 2099-12-31 }}]\n'
    if "limits" not in setup.features:
        return text
    rules = setup.rules if caller else 2
    routes = [f'"GET /v1/never{number}/*"' for number in range(rules - 2)] + ['"POST /v1/devis*"', '"GET /v1/*"']
    return text + f'{QUOTA}allow = [{", ".join(routes)}]\ndeny = ["* /v1/secret*"]\nallow_from = ["127.0.0.0/8"]\n'


def scraped(running, name):
    """The value of a metric without labels; None where the gate shows none."""
    address = (running.process.folder / "admin").read_text()
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)
