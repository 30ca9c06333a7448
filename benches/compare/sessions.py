"""States of the gate with many sessions, made by as many logins."""

import shutil
import time

import load
import workload
from gate import scraped
from load import BadLoad
from rounds import say
from setup import Setup

# Longest time for one level, and the logins a second that decide how long wrk runs at a time.
SECONDS, EXPECTED = 150, 15_000

# The consumers take turns. wrk sends nothing more once so many logins are answered; its own end is that of its time.
SCRIPT = """
local left, consumer = @count@, 0
local fields = { ["Content-Type"] = "application/x-www-form-urlencoded" }
request = function()
    consumer = (consumer + 1) % @consumers@
    fields["api_key"] = string.format("sgk_k1_%050d", consumer)
    return wrk.format("POST", "@path@?fill=1", fields, "@body@")
end
response = function()
    left = left - 1
    if left == 0 then wrk.thread:stop() end
end
"""


class SessionStates:
    """A state directory for each number of sessions, each grown from the one before."""

    def __init__(self, bench, gate):
        self.bench, self.gate = bench, gate

    def up_to(self, levels, clock, failed):
        """{level: directory}; levels that time or the gate do not allow go into `failed`."""
        states, last = {}, None
        for level in levels:
            if not clock.leaves(SECONDS):
                failed[level] = "the time was used up"
                continue
            try:
                last = self.grown(last, level)
                states[level] = last
            except BadLoad as error:
                failed[level] = f"its sessions could not be made: {error}"
        return states

    def grown(self, state, level):
        with self.bench.start(self.gate, Setup(state=state)) as running:
            began = time.monotonic()
            while (present := int(scraped(running, "sensgate_sessions") or 0)) < 0.99 * level:
                if time.monotonic() - began > SECONDS:
                    raise BadLoad(f"{present:,} after {SECONDS} s")
                say(f"{level - present:,} logins")
                self.log_in(running, level - present)
            folder = running.process.folder
        kept = self.bench.folder / f"state-{level}"
        shutil.copytree(folder / "state", kept, ignore=shutil.ignore_patterns("*.sock"))
        return kept

    def log_in(self, running, count):
        script = running.process.folder / "fill.lua"
        text = SCRIPT
        values = dict(count=count, consumers=running.setup.consumers, body=workload.LOGIN, path=workload.LOGIN_PATH)
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        script.write_text(text)
        seconds = min(30, max(1, count // EXPECTED))
        _, load_cores = self.bench.cores_of(1)
        out = load.run(
            ["wrk", "-t1", "-c50", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{running.port}/"],
            load_cores,
            seconds,
        )
        if "Non-2xx" in out:
            raise BadLoad(out.strip())
