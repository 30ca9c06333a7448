"""What the results of a run say: medians and paired ratios of one scenario, taken from the JSON data."""

from intervals import middle, paired_ratio
from rounds import STOLEN


class Scenario:
    """One scenario of a result; empty where it was not measured."""

    def __init__(self, result, name):
        self.data = result["scenarios"].get(name, {})

    def loads(self, label):
        """The rounds of a label, in order, None where it took no part."""
        return self.data.get("loads", {}).get(label, [])

    def labels(self):
        return [label for label, loads in self.data.get("loads", {}).items() if any(loads)]

    def levels(self):
        return [str(level) for level in self.data.get("levels", [])]

    def median(self, label, what):
        return middle(load[what] for load in self.loads(label) if load)

    def median_of(self, table, label):
        return middle(self.data.get(table, {}).get(label, []))

    def plain(self, table, label):
        return self.data.get(table, {}).get(label)

    def count(self, label):
        return self.data.get("counts", {}).get(label)

    def ratio(self, ours, theirs, what):
        """The interval of the ratio, over rounds in which both were measured and neither lost much time to other
        machines.
        """

        def sound(label):
            return [load[what] if load and load["stolen"] < STOLEN else None for load in self.loads(label)]

        return paired_ratio(sound(ours), sound(theirs))
