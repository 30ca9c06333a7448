"""From the data of a run to verdicts, tables and plots."""

import sys
import unittest
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import goals  # noqa: E402
import plot  # noqa: E402
import report  # noqa: E402
from bench import switched  # noqa: E402


def load(cpu_us, stolen=0.0, **figures):
    usual = dict(
        requests=1000,
        wrong=0,
        per_second=1000.0,
        p50_ms=1.0,
        p99_ms=2.0,
        user_us=5.0,
        resident_mib=15.0,
        others=1.0,
        ready_ms=20.0,
        log_lines=1000,
    )
    return {**usual, "cpu_us": cpu_us, "stolen": stolen, **figures}


def result(ours, nginx, **more):
    loads = {"nginx": nginx, "sensgate": ours}
    scenarios = {
        "http1-50": {"kind": "load", "title": "50 connections", "seconds": 2, "loads": loads, "failed": {}},
        **more,
    }
    return {
        "command": "make bench",
        "date": "2026-01-01",
        "took": 90,
        "repeated": 0,
        "machine": "a machine",
        "versions": "nginx/1",
        "gate": "commit 1",
        "contenders": list(loads),
        "not_run": {"envoy": "it is not\ninstalled"},
        "scenarios": scenarios,
    }


def curve(*cpu):
    levels = [10 ** (number + 1) for number in range(len(cpu))]
    loads = {str(level): [load(value)] for level, value in zip(levels, cpu)}
    return {
        "kind": "curve",
        "title": "",
        "axis": "consumers",
        "levels": levels,
        "seconds": 2,
        "loads": loads,
        "failed": {},
        "counts": {},
    }


def verdict(data, text):
    return next(verdict for verdict in goals.verdicts(data) if verdict.text.startswith(text))


class Verdicts(unittest.TestCase):
    def test_a_bound_is_reached_by_the_median_of_pairs(self):
        data = result([load(80.0)] * 15, [load(100.0)] * 15)
        found = verdict(data, "CPU/request, 50 connections ≤ 0.85 × nginx")
        self.assertEqual((found.measured, found.word), ("0.80 (0.80–0.80)", "reached"))

    def test_an_interval_that_holds_the_bound_says_so(self):
        data = result([load(80.0)] * 8 + [load(90.0)] * 7, [load(100.0)] * 15)
        self.assertEqual(verdict(data, "CPU/request, 50").word, "reached, the interval reaches over the bound")

    def test_a_round_with_stolen_time_is_no_pair(self):
        data = result([load(80.0)] * 6 + [load(500.0, stolen=9.0)] * 9, [load(100.0)] * 15)
        self.assertEqual(verdict(data, "CPU/request, 50").measured, "0.80 (0.80–0.80)")

    def test_what_was_not_measured_is_not_reached(self):
        data = result([], [])
        self.assertEqual({verdict.word for verdict in goals.verdicts(data)}, {"not measured"})

    def test_a_curve_is_judged_by_its_furthest_level(self):
        data = result([], [], consumers=curve(10.0, 10.2, 8.0, 10.4))
        found = verdict(data, "CPU/request from 10 to 100,000 consumers")
        self.assertEqual((found.measured, found.word), ("-20.0 %", "**not reached**"))


class Report(unittest.TestCase):
    def test_it_says_what_was_not_measured_and_why(self):
        self.assertIn("- envoy: not run: it is not installed", report.rendered(result([load(80.0)], [load(100.0)]), {}))

    def test_wrong_answers_and_missing_lines_are_named(self):
        data = result([load(80.0, wrong=3, log_lines=900)], [load(100.0)])
        text = report.rendered(data, {})
        self.assertIn("sensgate in http1-50: 3", text)
        self.assertIn("without a line in the access log: sensgate up to 10.0 %", text)

    def test_the_page_keeps_what_is_around(self):
        page = f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n"
        put = report.put_into(page, "new")
        self.assertEqual(put, f"above\n{report.BEGIN}\n\nnew\n{report.END}\nbelow\n")
        self.assertEqual(report.put_into(put, "new"), put)
        self.assertRaises(ValueError, report.put_into, "no marks", "new")


class Plots(unittest.TestCase):
    def test_they_are_sound_xml(self):
        data = result([load(80.0)] * 15, [load(100.0)] * 15, consumers=curve(10.0, 11.0, 12.0))
        made = plot.plots(data)
        self.assertEqual(list(made), ["bench-cpu.svg", "bench-ratios.svg", "bench-curves.svg"])
        for _, svg in made.values():
            ElementTree.fromstring(svg)

    def test_of_nothing_there_is_none(self):
        self.assertEqual(plot.plots(result([], [])), {})


class Templates(unittest.TestCase):
    def test_a_line_with_a_switch_keeps_its_indentation(self):
        text = "a: 1\n  #tls# b:\n  #tls#   c: 2\n  # a comment\n"
        self.assertEqual(switched(text, {"tls": True}), "a: 1\n  b:\n    c: 2\n  # a comment\n")
        self.assertEqual(switched(text, {"tls": False}), "a: 1\n  # a comment\n")


if __name__ == "__main__":
    unittest.main()
