"""How a program is set up for a scenario: the same for all of them, as far as each can."""

from dataclasses import dataclass
from pathlib import Path

import workload

# What the gate can do beside looking up a key, in the order in which it is switched on.
FEATURES = ("sessions", "limits", "log", "metrics")


@dataclass(frozen=True)
class Setup:
    workers: int = 1
    # A TLS listener; HTTP/2 is offered beside HTTP/1.1.
    tls: bool = False
    # Connections to the upstream that are kept.
    pool: int = 128
    # A connection of its own for each request towards the upstream, as the gate does it for writes.
    fresh_upstream: bool = False
    consumers: int = workload.CONSUMERS
    # Of the gate alone, as is all that follows.
    features: tuple = FEATURES
    # Routes that the calling consumer may use; the one that is asked for is the last.
    rules: int = 2
    # A directory of sessions to begin with.
    state: Path | None = None
