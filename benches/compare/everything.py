"""All contenders, which of them can run here, and what they are."""

import platform

from contenders import BareProxy, Haproxy, Nginx
from gate import Sensgate
from others import Caddy, Envoy, Traefik
from processes import first_line

GATE, OTHER_LANE = "sensgate", "sensgate-pingora"


def contenders(gate, bare):
    """In the order of the tables: the two an admin would choose, what the gate is built on, the gate, the others."""
    return [
        Nginx(),
        Haproxy(),
        BareProxy(bare),
        Sensgate(gate),
        Sensgate(gate, OTHER_LANE, "pingora"),
        Envoy(),
        Traefik(),
        Caddy(),
    ]


def runnable(bench, wanted):
    """({name: contender}, {name: why not})"""
    able, unable = {}, {}
    for contender in wanted:
        reason = contender.why_not()
        if reason is None and isinstance(contender, Sensgate) and contender.forwarder:
            reason = contender.why_no_forwarder(bench)
        if reason:
            unable[contender.name] = reason
        else:
            able[contender.name] = contender
    return able, unable


def machine(cores):
    model = "?"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{model}, {len(cores)} {'core' if len(cores) == 1 else 'cores'}, Linux {platform.release()}"


def versions(able):
    """Of the contenders, each program once, and of what measures."""
    found = [contender.version() for contender in able.values()]
    found.append(" ".join(first_line("wrk", "-v").split()[:2]))
    found.append(first_line("h2load", "--version"))
    found.append(first_line("valgrind", "--version"))
    return "; ".join(dict.fromkeys(found))
