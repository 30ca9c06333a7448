"""Plots as SVG, readable in light and in dark."""

import math
from html import escape

from everything import GATE
from figures import Scenario

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.small { font-size: 11px; fill: #59636e; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.axis { stroke: #8c959f; stroke-width: 1; }
.grid { stroke: #8c959f; stroke-opacity: .3; stroke-width: 1; }
.one { stroke: #8c959f; stroke-width: 1; stroke-dasharray: 4 3; }
.gate { fill: #0969da; }
.other { fill: #afb8c1; }
.line { fill: none; stroke: #0969da; stroke-width: 2; }
.band { stroke: #0969da; stroke-width: 3; stroke-opacity: .5; }
.band2 { stroke: #9a6700; stroke-width: 3; stroke-opacity: .5; }
.second { fill: #9a6700; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small { fill: #9198a1; }
  .gate { fill: #4493f8; }
  .other { fill: #57606a; }
  .line { stroke: #4493f8; }
  .band { stroke: #4493f8; }
  .band2 { stroke: #d29922; }
  .second { fill: #d29922; }
}
"""


def plots(result):
    """{file name: (what it shows, SVG)}; only what was measured."""
    made = {
        "bench-cpu.svg": ("CPU time for each request, HTTP/1.1 at 50 connections", bars(result)),
        "bench-ratios.svg": (
            "CPU time of the gate for each request, × nginx and × HAProxy, with 95 % intervals",
            ratios(result),
        ),
        "bench-curves.svg": (
            "CPU time of the gate for each request while consumers, sessions and rules grow",
            curves(result),
        ),
    }
    return {name: (text, svg) for name, (text, svg) in made.items() if svg}


def document(width, height, title, body):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n"
        f"{text(10, 22, title, 'title')}\n" + "\n".join(body) + "\n</svg>\n"
    )


def text(x, y, words, style=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(words)}</text>'


def line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'


def dot(x, y, style):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="{style}"/>'


def bars(result):
    one = Scenario(result, "http1-50")
    values = sorted((value, label) for label in one.labels() if (value := one.median(label, "cpu_us")))
    if not values:
        return None
    body, left, width, row = [], 150, 430, 26
    for number, (value, label) in enumerate(values):
        y = 40 + row * number
        length = width * value / values[-1][0]
        style = "gate" if label.startswith(GATE) else "other"
        body.append(text(left - 8, y + 16, label, "end"))
        body.append(f'<rect x="{left}" y="{y + 4}" width="{length:.1f}" height="{row - 8}" rx="2" class="{style}"/>')
        body.append(text(left + length + 6, y + 16, f"{value:.1f} µs"))
    return document(680, 50 + row * len(values), "CPU µs for each request, HTTP/1.1, 50 connections", body)


def ratios(result):
    rows = []
    for name, data in result["scenarios"].items():
        if data["kind"] == "load":
            one = Scenario(result, name)
            found = [one.ratio(GATE, base, "cpu_us") for base in ("nginx", "haproxy")]
            if any(found):
                rows.append((data["title"], found))
    if not rows:
        return None
    ends = [
        end for _, found in rows for ratio in found if ratio for end in (ratio.median, ratio.high, ratio.low) if end
    ]
    most, least = max(1.2, *ends) * 1.05, min(0.6, *ends) * 0.95
    left, width, row = 330, 420, 36
    height = 70 + row * len(rows)

    def at(value):
        return left + width * (value - least) / (most - least)

    body = [line(at(1), 40, at(1), height - 26, "one")]
    for tick in ticks(least, most):
        body += [
            line(at(tick), 40, at(tick), height - 26, "grid"),
            text(at(tick), height - 10, f"{tick:g}", "small middle"),
        ]
    body += [dot(left - 310, 44, "gate"), text(left - 300, 48, "× nginx", "small")]
    body += [dot(left - 240, 44, "second"), text(left - 230, 48, "× HAProxy", "small")]
    for number, (title, found) in enumerate(rows):
        y = 66 + row * number
        body.append(text(left - 12, y + 6, title, "end"))
        for ratio, offset, band, style in zip(found, (-5, 7), ("band", "band2"), ("gate", "second")):
            if ratio:
                if ratio.low is not None:
                    body.append(line(at(ratio.low), y + offset, at(ratio.high), y + offset, band))
                body.append(dot(at(ratio.median), y + offset, style))
    return document(left + width + 30, height, "CPU time of the gate: 1 is the other program's", body)


def ticks(least, most):
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if (most - least) / step <= 8)
    first = math.ceil(least / step)
    return [round(step * number, 6) for number in range(first, math.floor(most / step) + 1)]


def curves(result):
    """A panel for each curve, logarithmic to the right, from zero upwards."""
    panels = [(name, data) for name, data in result["scenarios"].items() if data["kind"] == "curve"]
    points = {}
    for name, _ in panels:
        one = Scenario(result, name)
        points[name] = [(int(level), value) for level in one.levels() if (value := one.median(level, "cpu_us"))]
    panels = [(name, data) for name, data in panels if len(points[name]) > 1]
    if not panels:
        return None
    most = 1.15 * max(value for name, _ in panels for _, value in points[name])
    width, high, gap, top, left = 210, 170, 50, 50, 55
    body = []
    for number, (name, data) in enumerate(panels):
        x0 = left + number * (width + gap)
        logs = [math.log10(level) for level, _ in points[name]]

        def place(level, value):
            share = (math.log10(level) - logs[0]) / (logs[-1] - logs[0])
            return x0 + 12 + (width - 24) * share, top + high * (1 - value / most)

        body += [line(x0, top + high, x0 + width, top + high, "axis"), text(x0, top - 8, data["axis"], "small")]
        for tick in ticks(0, most):
            y = top + high * (1 - tick / most)
            body += [line(x0, y, x0 + width, y, "grid"), text(x0 - 6, y + 4, f"{tick:g}", "small end")]
        placed = [place(level, value) for level, value in points[name]]
        body.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in placed)}" class="line"/>')
        for (x, y), (level, _) in zip(placed, points[name]):
            body += [dot(x, y, "gate"), text(x, top + high + 18, short(level), "small middle")]
    return document(
        left + len(panels) * (width + gap), top + high + 34, "CPU µs for each request as what is configured grows", body
    )


def short(number):
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return str(number)
