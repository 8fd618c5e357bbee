"""Whether it matters how many are enrolled."""

from statistics import median

from parts.otpd import Otpd
from parts.table import Goal, Row

AT_ONCE = 16
GOAL = Goal(1.5, 1.1, "{:.2f}x")
# An account may have 40 messages an hour.
HOURLY = 35
STRIDE = 611_953  # prime: with it, a table of any of these sizes is gone through in leaps


def measure(stage):
    """The time that 99 of 100 checks take; those of many are all over the table."""
    few, many = 1_000, stage.size(1_000_000, 20_000)
    cycles = min(stage.size(10_000, 1_000), HOURLY * few // (stage.rounds + 1))
    rounds = []
    with (
        Otpd(stage, stage.folder("few"), few) as small,
        Otpd(stage, stage.folder("many"), many) as large,
    ):
        for warm in (True, *[False] * stage.rounds):
            one = {}
            for name, otpd in (("few", small), ("many", large)):
                one[name] = otpd.load("login", AT_ONCE, cycles, stride=STRIDE)
            if not warm:
                rounds.append(one)

    def middle(name):
        return median(one[name]["verify"]["p99"] for one in rounds)

    ratio = median(one["many"]["verify"]["p99"] / one["few"]["verify"]["p99"] for one in rounds)
    what = f"verify p99 at {AT_ONCE} at once, {many:,} enrolled / {few:,}"
    return [Row(what, f"{middle('many'):.0f} us", f"{middle('few'):.0f} us", ratio, GOAL, rounds)]
