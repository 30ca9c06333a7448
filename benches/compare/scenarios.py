"""What is measured: each scenario by its name, what it costs in time, and how it runs. Results are plain data, as
they go to the JSON file.
"""

from dataclasses import asdict, dataclass, replace

import callgrind
import rounds
import workload
from connections import BadAnswer, idle_kib
from everything import GATE, OTHER_LANE
from load import Ask
from processes import Failed
from rounds import Runner, say
from sessions import SessionStates
from setup import FEATURES, Setup

# What each round costs beside its load: start, warm-up and end.
AROUND = 0.9
PAIRED = ("nginx", "haproxy", GATE)
# Of the scenarios that vary the gate alone.
CURVE_ROUNDS, CURVE_REQUESTS = 5, 2000


@dataclass
class Context:
    """What a scenario needs of the run. `rounds` are those of the paired contenders; each third one asks the others
    too.
    """

    bench: object
    contenders: dict
    clock: rounds.Clock
    rounds: int
    seconds: int
    idle: int
    requests: int

    @property
    def every(self):
        return 3 if self.rounds > 3 else 1

    @property
    def curve_rounds(self):
        return min(self.rounds, CURVE_ROUNDS)

    def gate(self):
        return self.contenders[GATE]


def measured(context, runners, count):
    loads, failed = rounds.measure(context.bench, runners, count, context.seconds, context.clock)
    plain = {label: [asdict(load) if load else None for load in of_one] for label, of_one in loads.items()}
    return {"seconds": context.seconds, "loads": plain, "failed": failed}


@dataclass
class LoadScenario:
    """All contenders under one kind of load."""

    name: str
    title: str
    setup: Setup = Setup()
    ask: Ask = Ask()
    # Whether Envoy, Traefik, Caddy and the bare proxy take part, or only nginx, HAProxy and the gate.
    others: bool = True

    def cost(self, context):
        runs = sum(-(-context.rounds // self.every(context, name)) for name in self.able(context))
        return runs * (context.seconds + AROUND)

    def able(self, context):
        return [
            name
            for name, contender in context.contenders.items()
            if (self.others or name in (*PAIRED, OTHER_LANE)) and not contender.lacks(self.setup)
        ]

    @staticmethod
    def every(context, name):
        return 1 if name in PAIRED else context.every

    def run(self, context):
        def start(name):
            return lambda: context.bench.start(context.contenders[name], self.setup)

        runners = {name: Runner(start(name), self.ask, self.every(context, name)) for name in self.able(context)}
        return {"kind": "load", "title": self.title, **measured(context, runners, context.rounds)}


@dataclass
class Instructions:
    """User instructions of each contender that can run as one process."""

    name: str = "instructions"
    title: str = "instructions of a request, by callgrind"
    contenders = ("nginx", "haproxy", "pingora-proxy", GATE, OTHER_LANE)

    def cost(self, context):
        return 8 * len(self.contenders)

    def run(self, context):
        jobs = {}
        for name in self.contenders:
            if name in context.contenders:
                jobs[name] = (callgrind_start(context, name, Setup()), Ask(), context.requests)
        return {"kind": "instructions", "title": self.title, "failed": {}, **counted(context, jobs)}


def counted(context, jobs):
    say("instructions by callgrind")
    counts, failed = callgrind.instructions(jobs, context.bench.cores[:2])
    return {"counts": {label: asdict(count) for label, count in counts.items()}, "uncounted": failed}


def callgrind_start(context, name, setup):
    # 100,000 consumers are read and 10⁶ sessions restored at the speed of a processor that is simulated.
    return lambda prefix, core: context.bench.start(
        context.contenders[name], setup, prefix=prefix, seconds=180, core=core
    )


@dataclass
class Idle:
    name: str
    title: str
    tls: bool = False

    def cost(self, context):
        return len(context.contenders) * (5 if self.tls else 3)

    def run(self, context):
        count = context.idle // 2 if self.tls else context.idle
        kib, failed = {}, {}
        setup = Setup(tls=self.tls)
        for name, contender in context.contenders.items():
            if contender.lacks(setup):
                continue
            say(f"{count} idle connections: {name}")
            try:
                with context.bench.start(contender, setup) as running:
                    kib[name] = idle_kib(running.port, running.pid, workload.request(running.fields()), count, self.tls)
            except (Failed, BadAnswer, OSError) as error:
                failed[name] = str(error)
        return {"kind": "idle", "title": self.title, "connections": count, "kib": kib, "failed": failed}


@dataclass
class StartUp:
    """From the start of the process to its first good answer, asked for every millisecond."""

    name: str = "startup"
    title: str = "from start to the first answer"

    def cost(self, context):
        return len(context.contenders) * context.rounds * 0.5

    def run(self, context):
        times, failed = {name: [] for name in context.contenders}, {}
        for number in range(context.rounds):
            say(f"start-up {number + 1} of {context.rounds}")
            for name, contender in context.contenders.items():
                try:
                    with context.bench.start(contender, Setup()) as running:
                        times[name].append(running.ready_ms)
                except Failed as error:
                    failed[name] = str(error)
        return {"kind": "startup", "title": self.title, "ms": times, "failed": failed}


@dataclass
class Features:
    """The gate, one feature after the other switched on."""

    name: str = "features"
    title: str = "the gate, feature by feature"

    def steps(self):
        return {
            ("keys" if not count else f"+ {FEATURES[count - 1]}"): FEATURES[:count]
            for count in range(len(FEATURES) + 1)
        }

    def cost(self, context):
        return len(FEATURES) * context.curve_rounds * (context.seconds + AROUND) + 40

    def run(self, context):
        gate, runners, jobs = context.gate(), {}, {}
        for label, features in self.steps().items():
            setup, ask = Setup(features=features), Ask(with_token="sessions" in features)
            runners[label] = Runner(lambda setup=setup: context.bench.start(gate, setup), ask)
            jobs[label] = (callgrind_start(context, GATE, setup), ask, min(context.requests, CURVE_REQUESTS))
        result = measured(context, runners, context.curve_rounds)
        return {"kind": "features", "title": self.title, **result, **counted(context, jobs)}


@dataclass
class Curve:
    """The gate while one thing grows. Each level is a contender in interleaved rounds."""

    name: str
    title: str
    axis: str
    levels: tuple

    def cost(self, context):
        return len(self.levels) * (context.curve_rounds * (context.seconds + AROUND + 0.5) + 12) + (
            100 if self.axis == "sessions" else 0
        )

    def setups(self, context, failed):
        """The set-up of each level that can be reached; why not goes into `failed`."""
        if self.axis == "sessions":
            states = SessionStates(context.bench, context.gate())
            return {
                level: Setup(state=state) for level, state in states.up_to(self.levels, context.clock, failed).items()
            }
        return {level: replace(Setup(), **{self.axis: level}) for level in self.levels}

    def run(self, context):
        unreachable = {}
        gate, setups = context.gate(), self.setups(context, unreachable)
        runners = {}
        for level, setup in setups.items():
            runners[str(level)] = Runner(lambda setup=setup: context.bench.start(gate, setup), Ask())
        result = measured(context, runners, context.curve_rounds)
        result["failed"] |= {str(level): reason for level, reason in unreachable.items()}
        jobs = {}
        for level, setup in setups.items():
            if str(level) not in result["failed"]:
                jobs[str(level)] = (callgrind_start(context, GATE, setup), Ask(), min(context.requests, CURVE_REQUESTS))
        return {
            "kind": "curve",
            "title": self.title,
            "axis": self.axis,
            "levels": list(self.levels),
            **result,
            **counted(context, jobs),
        }


# In the order in which they are measured when time is short.
SCENARIOS = [
    LoadScenario("http1-50", "HTTP/1.1, 50 connections"),
    LoadScenario("http1-1", "HTTP/1.1, 1 connection", ask=Ask(connections=1), others=False),
    LoadScenario("workers-2", "2 workers, HTTP/1.1, 50 connections", Setup(workers=2), others=False),
    LoadScenario("tls", "TLS, HTTP/1.1, 50 connections", Setup(tls=True)),
    LoadScenario(
        "http2", "HTTP/2 over TLS, 10 connections of 5 streams", Setup(tls=True), Ask(connections=10, streams=5)
    ),
    LoadScenario(
        "post",
        "POST of 1 KiB, a connection upstream for each",
        Setup(fresh_upstream=True),
        Ask(post=True),
        others=False,
    ),
    LoadScenario("http1-1000", "HTTP/1.1, 1,000 connections", Setup(pool=1024), Ask(connections=1000)),
    Instructions(),
    Idle("idle", "KiB of an idle connection"),
    Idle("idle-tls", "KiB of an idle TLS connection", tls=True),
    StartUp(),
    Features(),
    Curve("consumers", "CPU while consumers grow", "consumers", (10, 1000, 10_000, 100_000)),
    Curve("sessions", "CPU while sessions grow", "sessions", (1000, 10_000, 100_000, 1_000_000)),
    Curve("rules", "CPU while the rules of the caller grow", "rules", (2, 20, 200, 2000)),
]
