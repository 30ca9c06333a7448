"""The report of a run in Markdown, from its JSON data alone, and its way into docs/performance.md."""

import re
import textwrap

import goals
from everything import GATE, OTHER_LANE
from figures import Scenario
from intervals import middle
from rounds import STOLEN

BEGIN, END = "<!-- bench: written by `make bench` -->", "<!-- bench: end -->"
IMAGES = "images/"


def rendered(result, images):
    """The whole report. `images`: {file name: what it shows}."""
    parts = [introduction(result), goal_table(result), *picture_lines(images)]
    parts += [ratio_table(result), cost_table(result), "Megabytes and milliseconds:", size_table(result)]
    parts += [instruction_table(result), feature_table(result), *curve_tables(result), quality(result), missing(result)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head, rows):
    if not rows:
        return ""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in rows])


def shown(number, digits=1):
    return "–" if number is None else f"{number:,.{digits}f}"


def duration(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def item(text):
    """A list item of Markdown, in lines of at most 120 characters."""
    return textwrap.fill(text, 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def introduction(result):
    return "\n".join(
        [
            f"On {result['date']}, in {duration(result['took'])}. The ratios count; the machine is a shared one.",
            "",
            f"    {result['command']}",
            "",
            item(f"Machine: {result['machine']}"),
            item(f"Versions: {result['versions']}"),
            item(f"The gate: {result['gate']}"),
        ]
    )


def goal_table(result):
    rows = [(verdict.text.strip(), verdict.measured.strip(), verdict.word) for verdict in goals.verdicts(result)]
    return table(["must reach", "measured", ""], rows)


def picture_lines(images):
    return [f"![{text}]({IMAGES}{name})" for name, text in images.items()]


def load_scenarios(result):
    return [(name, data) for name, data in result["scenarios"].items() if data["kind"] == "load"]


def ratio_table(result):
    """CPU for each request by the gate, against nginx and HAProxy."""
    head = [
        "",
        "rounds",
        "nginx µs",
        "gate µs",
        "gate × nginx",
        "gate × haproxy",
        "pingora lane × nginx",
        "requests/s × nginx",
        "p99 × nginx",
    ]
    rows = []
    for name, data in load_scenarios(result):
        one = Scenario(result, name)
        rows.append(
            [
                data["title"],
                len(one.loads(GATE)),
                shown(one.median("nginx", "cpu_us")),
                shown(one.median(GATE, "cpu_us")),
                *(
                    one.ratio(ours, theirs, what) or "–"
                    for ours, theirs, what in (
                        (GATE, "nginx", "cpu_us"),
                        (GATE, "haproxy", "cpu_us"),
                        (OTHER_LANE, "nginx", "cpu_us"),
                        (GATE, "nginx", "per_second"),
                        (GATE, "nginx", "p99_ms"),
                    )
                ),
            ]
        )
    return table(head, rows)


def cost_table(result):
    """CPU µs for each request, of everybody everywhere."""
    found = load_scenarios(result)
    names = list(dict.fromkeys(label for name, _ in found for label in Scenario(result, name).labels()))
    rows = []
    for label in names:
        rows.append([label, *(shown(Scenario(result, name).median(label, "cpu_us")) for name, _ in found)])
    return table(["CPU µs/request", *(name for name, _ in found)], rows)


def size_table(result):
    """What each contender takes of memory and time to start."""
    idle, idle_tls, start, load = (Scenario(result, name) for name in ("idle", "idle-tls", "startup", "http1-50"))
    rows = []
    for label in result["contenders"]:
        cells = [
            shown(load.median(label, "resident_mib")),
            shown(idle.plain("kib", label)),
            shown(idle_tls.plain("kib", label)),
            shown(start.median_of("ms", label)),
            shown(load.median(label, "p50_ms"), 2),
            shown(load.median(label, "p99_ms"), 2),
        ]
        if any(cell != "–" for cell in cells):
            rows.append([label, *cells])
    head = [
        "",
        "MiB under load",
        "KiB per idle connection",
        "KiB per idle TLS connection",
        "ms to the first answer",
        "p50 ms",
        "p99 ms",
    ]
    return table(head, rows)


def instruction_cells(count):
    if not count:
        return ["–", "–", "–"]
    decisions = count["decisions"]
    own = "–" if decisions is None else f"{decisions - count['sha256']:,.0f}"
    return [f"{count['all']:,.0f}", f"{count['all'] - count['sha256']:,.0f}", own]


def instruction_table(result):
    one = Scenario(result, "instructions")
    rows = [[label, *instruction_cells(count)] for label, count in one.data.get("counts", {}).items()]
    return table(["instructions/request", "all", "without SHA-256 in software", "decisions, log and metrics"], rows)


def feature_table(result):
    one = Scenario(result, "features")
    rows = []
    for label in one.labels():
        cells = [
            shown(one.median(label, "cpu_us")),
            shown(one.median(label, "user_us")),
            shown(one.median(label, "resident_mib")),
        ]
        rows.append([label, *cells, *instruction_cells(one.count(label))[:2]])
    text = table(["the gate with", "CPU µs/request", "user µs", "MiB", "instructions", "without SHA-256"], rows)
    if not text:
        return ""
    return text + "\n\nThe metrics cannot be switched off; the last step is the listener that shows them."


def curve_tables(result):
    texts = []
    for name, data in result["scenarios"].items():
        if data["kind"] != "curve":
            continue
        one, rows = Scenario(result, name), []
        for level in one.levels():
            if level in data["failed"] or not any(one.loads(level)):
                continue
            cells = [
                shown(one.median(level, "cpu_us")),
                shown(one.median(level, "resident_mib")),
                shown(one.median(level, "ready_ms"), 0),
            ]
            rows.append([f"{int(level):,}", *cells, *instruction_cells(one.count(level))[:2]])
        texts.append(
            table(
                [data["axis"], "CPU µs/request", "MiB", "ms to the first answer", "instructions", "without SHA-256"],
                rows,
            )
        )
    return texts


def quality(result):
    loads = [
        load
        for data in result["scenarios"].values()
        for of_one in data.get("loads", {}).values()
        for load in of_one
        if load
    ]
    if not loads:
        return ""
    stolen = max(load["stolen"] for load in loads)
    bad = sum(load["stolen"] >= STOLEN for load in loads)
    lengths = {str(data["seconds"]) for data in result["scenarios"].values() if "seconds" in data}
    lines = [
        f"- {len(loads)} rounds of {' or '.join(sorted(lengths))} s; "
        "medians. A ratio is the median of ratios within rounds, with its 95 % interval (sign test).",
        f"- Stolen CPU: {stolen:.1f} % at most; {result['repeated']} rounds were repeated; "
        f"kept with {STOLEN} % or more, and left out of the ratios: {bad}.",
        f"- Other programs: {shown(middle(load['others'] for load in loads))} % of the cores' time, "
        f"{max(load['others'] for load in loads):.1f} % at most.",
    ]
    if wrong := sum(load["wrong"] for load in loads):
        lines.append(f"- **Wrong or missing answers: {wrong}.** {blame(result)}")
    if short := unlogged(result):
        lines.append(f"- Requests without a line in the access log: {short}.")
    else:
        lines.append("- Every request has its line in the access logs.")
    return "\n".join(lines)


def blame(result):
    """Whose answers were wrong, and where."""
    found = []
    for name, data in result["scenarios"].items():
        for label, loads in data.get("loads", {}).items():
            if wrong := sum(load["wrong"] for load in loads if load):
                found.append(f"{label} in {name}: {wrong}")
    return "; ".join(found)


def unlogged(result):
    found = {}
    for data in result["scenarios"].values():
        for label, loads in data.get("loads", {}).items():
            with_log = [load for load in loads if load and load["log_lines"] is not None]
            asked = sum(load["requests"] for load in with_log)
            lines = sum(load["log_lines"] for load in with_log)
            if data["kind"] == "load" and lines < 0.999 * asked:
                found.setdefault(label, []).append(100 * (1 - lines / asked))
    return ", ".join(f"{label} up to {max(shares):.1f} %" for label, shares in found.items())


def missing(result):
    """What was not measured, each with its reason."""
    lines = [f"- {name}: not run: {one_line(reason)}" for name, reason in result["not_run"].items()]
    for name, data in result["scenarios"].items():
        for table_name in ("failed", "uncounted"):
            for label, reason in data.get(table_name, {}).items():
                lines.append(f"- {label} in {name}: not run: {one_line(reason)}")
    return "\n".join(["Not measured:", "", *lines]) if lines else ""


def one_line(text):
    return re.sub(r"\s+", " ", text).strip()[:300]


def put_into(page, text):
    """`page` with what is between the marks replaced by `text`."""
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"
