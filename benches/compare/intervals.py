"""Medians, and what a run of rounds lets one say about them.

A ratio of two programs is taken within a round, where both met the same machine, and never between medians of
different rounds. The interval of its median is that of the sign test: order statistics, no assumption about how the
figures are spread.
"""

from dataclasses import dataclass
from math import comb
from statistics import median

CONFIDENCE = 0.95


@dataclass
class Interval:
    """A median, the interval that holds the true one in at least 95 of 100 such runs, and the number of values it was
    made of.
    """

    median: float
    low: float | None
    high: float | None
    count: int

    def __str__(self):
        if self.low is None:
            return f"{self.median:.2f} (n = {self.count})"
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def rank(count, confidence=CONFIDENCE):
    """The greatest r, from 1, such that the r-th smallest and the r-th greatest of `count` values enclose the true
    median with at least this confidence. None when even the smallest and the greatest do not: under 6 values at 95 %.

    The true median lies below the r-th smallest value exactly when fewer than r values are below it, and each value
    is below it with probability one half: P(X < r) for X ~ Binomial(count, 1/2). The same holds above, so the two
    tails together must fit into what confidence leaves.
    """
    tail, best = 0.0, None
    for below in range(count // 2):
        tail += comb(count, below) / 2**count
        if 2 * tail > 1 - confidence:
            break
        best = below + 1
    return best


def interval(values):
    """Of the median of `values`; None when there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    at = rank(len(ordered))
    if at is None:
        return Interval(median(ordered), None, None, len(ordered))
    return Interval(median(ordered), ordered[at - 1], ordered[-at], len(ordered))


def paired_ratio(ours, theirs):
    """The interval of `ours[i] / theirs[i]` over the rounds i in which both have a value."""
    pairs = [(a, b) for a, b in zip(ours, theirs) if a is not None and b]
    return interval([a / b for a, b in pairs])


def middle(values):
    """The median of what is there; None of nothing."""
    there = [value for value in values if value is not None]
    return median(there) if there else None
