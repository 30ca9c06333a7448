"""Reading callgrind's files: what is counted, and that a name that matches nothing is told."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import callgrind  # noqa: E402

# 1,000 in the lane; it calls the exchange (500 with what that calls, 200 of them SHA-256) and the ticket (70).
FILE = """\
# callgrind format
events: Ir
fl=(1) lane.rs
fn=(1) sensgate::proxy::lane::carry
+3 30
cfn=(2) {exchange}
calls=1 4
+1 500
cfn=(4) {ticket}
calls=1 9
+1 70
fn=(2)
5 300
cfn=(3) sha2::sha256::compress256
calls=1 7
* 200
fn=(3)
7 200
fn=(4)
9 70
totals: 1000
"""
EXCHANGE = "sensgate::domain::exchange::answer::<impl sensgate::domain::exchange::Exchange>::begin"
TICKET = "<sensgate::proxy::ticket::Ticket as core::ops::drop::Drop>::drop"


def read(**names):
    errors = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(errors):
        path = Path(folder) / "callgrind.out"
        path.write_text(FILE.format(**names))
        return callgrind.read(path), errors.getvalue()


class Read(unittest.TestCase):
    def test_calls_count_with_what_they_call_and_sha256_for_itself(self):
        self.assertEqual(read(exchange=EXCHANGE, ticket=TICKET), ((1000, 200, 570), ""))

    def test_a_module_that_moved_is_told(self):
        figures, errors = read(exchange=EXCHANGE, ticket="sensgate::edge::ticket::Ticket::finish")
        self.assertEqual(figures, (1000, 200, None))
        self.assertIn("no function of sensgate::proxy::ticket::", errors)
        self.assertIn("NOT COUNTED", errors)

    def test_so_is_that_all_moved(self):
        figures, errors = read(exchange="sensgate::core::Exchange::begin", ticket="sensgate::edge::finish")
        self.assertIsNone(figures[2])
        self.assertIn("sensgate::domain::exchange::, sensgate::proxy::ticket::", errors)

    def test_a_file_without_a_total_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "callgrind.out"
            path.write_text("events: Ir\n")
            self.assertRaises(callgrind.CallgrindFailed, callgrind.read, path)


if __name__ == "__main__":
    unittest.main()
