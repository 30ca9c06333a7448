"""What an admin would put in the gate's place, and what the gate could be: how each is configured and what it lacks.
More: others.py.
"""

import signal
from pathlib import Path

import workload
from bench import HERE, render
from processes import first_line, program


class Contender:
    """A program to compare. What it does of the gate's work stands in docs/performance.md."""

    name = ""
    key_field = "api_key"
    # Whether it refuses a key that is not in its table.
    knows_keys = True

    def why_not(self):
        """Why it cannot run here; None when it can."""
        return None

    def lacks(self, _setup):
        """What `setup` asks for and this program has not; None when it has everything."""
        return None

    def version(self):
        return "?"

    def prepare(self, bench, folder, port, setup, alone):
        """(command, options) after its configuration was written. Options: `log`, the access log; `stop`, the signal
        that ends it; `env`.
        """
        raise NotImplementedError


class Nginx(Contender):
    name = "nginx"

    def why_not(self):
        return None if program("nginx") else "nginx is not installed"

    def version(self):
        return first_line(program("nginx"), "-v").replace("nginx version: ", "")

    def prepare(self, bench, folder, port, setup, alone):
        keys = bench.table("keys.nginx", setup.consumers, lambda key, name: f'"{key}" "{name}";\n')
        log = folder / "access.log"
        render(
            "nginx.conf",
            folder / "conf",
            {"tls": setup.tls},
            folder=folder,
            port=port,
            upstream=bench.upstream_port,
            keys=keys,
            log=log,
            upstream_key=workload.UPSTREAM_KEY,
            master="off" if alone else "on",
            workers=setup.workers,
            pool=setup.pool,
            tls="ssl http2" if setup.tls else "",
            certificate=bench.certificate,
            private_key=bench.private_key,
            target=f"127.0.0.1:{bench.upstream_port}" if setup.fresh_upstream else "eightsens",
            connection="close" if setup.fresh_upstream else "",
        )
        return [program("nginx"), "-p", folder, "-c", folder / "conf"], {"log": log}


class Haproxy(Contender):
    name = "haproxy"

    def why_not(self):
        return None if program("haproxy") else "HAProxy is not installed"

    def version(self):
        return " ".join(first_line(program("haproxy"), "-v").split()[:3])

    def prepare(self, bench, folder, port, setup, alone):
        keys = bench.table("keys.haproxy", setup.consumers, lambda key, name: f"{key} {name}\n")
        certificate = bench.folder / "certificate-and-key.pem"
        render(
            "haproxy.cfg",
            folder / "conf",
            {"fresh": setup.fresh_upstream},
            port=port,
            upstream=bench.upstream_port,
            keys=keys,
            pool=setup.pool,
            upstream_key=workload.UPSTREAM_KEY,
            workers=setup.workers,
            reuse="never" if setup.fresh_upstream else "always",
            tls=f"ssl crt {certificate} alpn h2,http/1.1" if setup.tls else "",
        )
        return [program("haproxy"), "-db", "-f", folder / "conf"], {"log": folder / "stdout"}


class BareProxy(Contender):
    """benches/bare_proxy.rs: the smallest program that forwards with pingora-proxy."""

    name = "pingora-proxy"
    knows_keys = False

    def __init__(self, path):
        self.path = Path(path).resolve()

    def why_not(self):
        return None if self.path.exists() else f"{self.path.name} is not built"

    def lacks(self, setup):
        return (
            "the bare proxy has neither TLS nor workers"
            if setup.tls or setup.workers > 1 or setup.fresh_upstream
            else None
        )

    def version(self):
        lines = (HERE.parents[1] / "Cargo.lock").read_text().splitlines()
        at = lines.index('name = "pingora-proxy"')
        return "pingora-proxy " + lines[at + 1].partition('"')[2].rstrip('"')

    def prepare(self, bench, folder, port, setup, alone):
        return [self.path, f"127.0.0.1:{port}", f"127.0.0.1:{bench.upstream_port}"], {"stop": signal.SIGINT}
