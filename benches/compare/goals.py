"""What the gate must reach, each with what a run says about it."""

from dataclasses import dataclass

from everything import GATE
from figures import Scenario


@dataclass
class Verdict:
    text: str
    measured: str
    # None where the run cannot tell.
    reached: bool | None
    remark: str = ""

    @property
    def word(self):
        if self.reached is None:
            return "not measured" + (f" {self.remark}" if self.remark else "")
        return ("reached" if self.reached else "**not reached**") + (f", {self.remark}" if self.remark else "")


def ratio(text, scenario, what, base, most):
    """The paired median of a figure of the gate, divided by that of `base`."""

    def judge(result):
        found = Scenario(result, scenario).ratio(GATE, base, what)
        full = f"{text} ≤ {most} × {base}"
        if found is None:
            return Verdict(full, "–", None)
        remark = "too few rounds for an interval" if found.low is None else ""
        if found.low is not None and found.low <= most < found.high:
            remark = "the interval reaches over the bound"
        return Verdict(full, str(found), found.median <= most, remark)

    return judge


def value(text, most, unit, find):
    def judge(result):
        found = find(result)
        if found is None:
            return Verdict(f"{text} ≤ {most:,} {unit}", "–", None)
        return Verdict(f"{text} ≤ {most:,} {unit}", f"{found:,.1f} {unit}", found <= most)

    return judge


def flat(text, scenario, most, find):
    """Over all levels of a curve: how far the furthest one is from the first, in percent."""

    def judge(result):
        curve = Scenario(result, scenario)
        found = {level: figure for level in curve.levels() if (figure := find(curve, level))}
        full = f"{text}: within {most} %"
        if len(found) < 2:
            return Verdict(full, "–", None)
        first, *rest = found.values()
        furthest = max((100 * (figure / first - 1) for figure in rest), key=abs)
        missing = [level for level in curve.levels() if level not in found]
        remark = f"at {', '.join(f'{int(level):,}' for level in missing)}" if missing else ""
        # What is missing may still break a bound that the rest keeps.
        reached = None if missing and abs(furthest) <= most else abs(furthest) <= most
        return Verdict(full, f"{furthest:+.1f} %", reached, remark)

    return judge


def counted(name):
    def find(result):
        count = Scenario(result, "instructions").count(name)
        return count and count["all"] - count["sha256"]

    return find


def idle(scenario):
    return lambda result: Scenario(result, scenario).plain("kib", GATE)


def cpu(curve, level):
    return curve.median(level, "cpu_us")


def instructions(curve, level):
    count = curve.count(level)
    return count and count["all"] - count["sha256"]


def at_level(scenario, level, what):
    return lambda result: Scenario(result, scenario).median(level, what)


GOALS = [
    ratio("CPU/request, 50 connections", "http1-50", "cpu_us", "nginx", 0.85),
    ratio("CPU/request, 50 connections", "http1-50", "cpu_us", "haproxy", 0.80),
    ratio("p99, 50 connections", "http1-50", "p99_ms", "nginx", 1.0),
    ratio("CPU/request, 1 connection", "http1-1", "cpu_us", "nginx", 0.95),
    ratio("CPU/request, 2 workers", "workers-2", "cpu_us", "nginx", 0.95),
    ratio("CPU/request, TLS", "tls", "cpu_us", "nginx", 1.1),
    ratio("CPU/request, HTTP/2", "http2", "cpu_us", "nginx", 1.1),
    ratio("CPU/request, POST", "post", "cpu_us", "nginx", 1.1),
    value("instructions of a request, without SHA-256 in software", 22_000, "", counted(GATE)),
    value("an idle connection", 2.5, "KiB", idle("idle")),
    value("an idle TLS connection", 12, "KiB", idle("idle-tls")),
    value("resident under load, 1,000 consumers", 20, "MiB", at_level("http1-50", GATE, "resident_mib")),
    value("ready, 1,000 consumers", 50, "ms", lambda result: Scenario(result, "startup").median_of("ms", GATE)),
    flat("instructions from 10 to 100,000 consumers", "consumers", 3, instructions),
    flat("CPU/request from 10 to 100,000 consumers", "consumers", 10, cpu),
    value("ready, 100,000 consumers", 1000, "ms", at_level("consumers", "100000", "ready_ms")),
    value("resident, 100,000 consumers", 150, "MiB", at_level("consumers", "100000", "resident_mib")),
    flat("instructions from 10³ to 10⁶ sessions", "sessions", 3, instructions),
    flat("CPU/request from 10³ to 10⁶ sessions", "sessions", 10, cpu),
]


def verdicts(result):
    return [goal(result) for goal in GOALS]
