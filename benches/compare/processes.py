"""Programs that the benchmark starts, pins and ends by their own process id; and what /proc says about them and the
machine.
"""

import os
import resource
import shutil
import signal
import socket
import subprocess

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program does not start, or does not answer; its own words say why."""


def program(name):
    """Where a program is; as an ordinary user on Debian, nginx and haproxy are not in the path."""
    return shutil.which(name, path=PATH)


def first_line(*command, env=None):
    """What a program says first, usually its version; its errors count too."""
    try:
        command, env = list(map(str, command)), {**os.environ, **(env or {})}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"? ({error})"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "?"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def raise_open_files():
    """Raises the limit for this process and all that it starts; returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, max(wanted, hard if hard < 65_536 else 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


class Process:
    """One started program in a folder of its own, pinned to `cores` (as taskset writes them)."""

    def __init__(self, command, folder, cores, stop=signal.SIGTERM, env=None):
        pinned = ["taskset", "-c", str(cores), *map(str, command)]
        with open(folder / "stdout", "wb") as out, open(folder / "stderr", "wb") as err:
            self.process = subprocess.Popen(
                pinned, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder, env={**os.environ, **(env or {})}
            )
        self.folder, self.pid, self.stop_signal = folder, self.process.pid, stop

    def ended(self):
        return self.process.poll() is not None

    def last_words(self):
        """The end of what it wrote, its errors first."""
        texts = [(self.folder / name).read_text(errors="replace")[-1500:] for name in ("stderr", "stdout")]
        return "\n".join(text.strip() for text in texts if text.strip())

    def stop(self, seconds=10):
        """Ends the program and waits for it; what is left of its tree after some seconds is killed."""
        members = tree(self.pid)
        if not self.ended():
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                for pid in members:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                self.process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def fields_of(pid):
    """/proc/PID/stat after the command's name, which may hold blanks. None when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def tree(pid):
    """The process and all its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := fields_of(entry)):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pid, ended_children=False):
    """User and system time of the tree, all threads."""
    user = system = 0
    for member in tree(pid):
        if fields := fields_of(member):
            user, system = user + int(fields[11]), system + int(fields[12])
            if ended_children:
                user, system = user + int(fields[13]), system + int(fields[14])
    return user / TICK, system / TICK


def resident_kib(pid):
    """Resident size of the tree; pages that its processes share count for each of them."""
    total = 0
    for member in tree(pid):
        try:
            with open(f"/proc/{member}/status") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
        except OSError:
            pass
    return total


class Machine:
    """Time of some cores since it was made: stolen, and taken by programs that are not ours."""

    def __init__(self, cores):
        self.names = {f"cpu{core}" for core in cores}
        self.at_start = self.now()

    def now(self):
        total = stolen = busy = 0
        with open("/proc/stat") as file:
            for line in file:
                name, *ticks = line.split()
                if name in self.names:
                    user, nice, system, idle, iowait, irq, softirq, steal = map(int, ticks[:8])
                    busy += user + nice + system + irq + softirq
                    stolen += steal
                    total += user + nice + system + idle + iowait + irq + softirq + steal
        return total, stolen, busy, round(sum(cpu_seconds(os.getpid(), ended_children=True)) * TICK)

    def shares(self):
        """(stolen, others) in percent of the time of these cores."""
        total, stolen, busy, ours = (after - before for before, after in zip(self.at_start, self.now()))
        return 100 * stolen / max(total, 1), 100 * max(busy - ours, 0) / max(total, 1)
