"""The statistics of the benchmark: an interval that is wrong makes every figure wrong, and nobody would see it."""

import random
import sys
import unittest
from math import comb
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from intervals import Interval, interval, middle, paired_ratio, rank  # noqa: E402


class Rank(unittest.TestCase):
    def test_textbook(self):
        """The table of the sign test at 95 %, two-sided."""
        expected = {5: None, 6: 1, 8: 1, 9: 2, 11: 2, 12: 3, 14: 3, 15: 4, 20: 6, 25: 8, 30: 10, 50: 18, 100: 40}
        self.assertEqual({count: rank(count) for count in expected}, expected)

    def test_it_is_the_widest_that_holds(self):
        """The r-th values at both ends enclose the median with 95 % or more; the next ones inwards with less."""
        for count in range(6, 80):
            found = rank(count)
            self.assertGreaterEqual(enclosed(count, found), 0.95, count)
            self.assertLess(enclosed(count, found + 1), 0.95, count)

    def test_too_few(self):
        self.assertEqual([rank(count) for count in range(6)], [None] * 6)

    def test_another_confidence(self):
        self.assertEqual((rank(15, 0.5), rank(15, 0.99)), (6, 3))


class OfTheMedian(unittest.TestCase):
    def test_of_fifteen_the_fourth_from_either_end(self):
        values = list(range(1, 16))
        random.Random(1).shuffle(values)
        self.assertEqual(interval(values), Interval(8, 4, 12, 15))

    def test_of_few_there_is_a_median_and_no_interval(self):
        self.assertEqual(interval([3, 1, 2]), Interval(2, None, None, 3))
        self.assertEqual(str(interval([3, 1, 2])), "2.00 (n = 3)")
        self.assertIsNone(interval([]))

    def test_it_covers_the_true_median_as_often_as_it_says(self):
        """Of a skewed distribution whose median is known; 0.9648 for 15 values, by the binomial distribution."""
        dice = random.Random(20)
        hits = 0
        for _ in range(4000):
            found = interval([dice.expovariate(1) for _ in range(15)])
            hits += found.low <= 0.6931471805599453 <= found.high
        self.assertAlmostEqual(hits / 4000, enclosed(15, 4), delta=0.012)


class Pairs(unittest.TestCase):
    def test_a_ratio_is_taken_within_a_round(self):
        """The machine's speed doubles from round to round; the ratio does not see it."""
        theirs = [2.0**number for number in range(15)]
        self.assertEqual(paired_ratio([0.8 * value for value in theirs], theirs), Interval(0.8, 0.8, 0.8, 15))

    def test_a_round_that_lacks_one_of_both_does_not_count(self):
        self.assertEqual(paired_ratio([1, None, 3, 4], [2, 2, None, 4]), Interval(0.75, None, None, 2))
        self.assertIsNone(paired_ratio([1, None], [None, 1]))

    def test_the_shorter_side_ends_it(self):
        self.assertEqual(paired_ratio([1, 1, 1], [2]).count, 1)


class Middle(unittest.TestCase):
    def test_gaps_are_left_out(self):
        self.assertEqual(middle([None, 3, 1, None]), 2)
        self.assertIsNone(middle([None]))


def enclosed(count, ordinal):
    """With what probability the ordinal-th smallest and greatest of `count` values enclose the median."""
    return sum(comb(count, below) for below in range(ordinal, count - ordinal + 1)) / 2**count


if __name__ == "__main__":
    unittest.main()
