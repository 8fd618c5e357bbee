"""The store alone, for comparison with the whole: what the rest of the daemon costs."""

import json
from statistics import median

from parts.processes import run
from parts.table import Row

AT_ONCE = 64


def measure(stage):
    """Two transactions a cycle, by the daemon's own decisions."""
    accounts, cycles = stage.size((10_000, 20_000), (1_000, 1_000))
    rounds = []
    for _ in range(stage.rounds):
        database = stage.database(stage.folder("store"), accounts)
        words = (database, stage.key, AT_ONCE, cycles, accounts)
        rounds.append(json.loads(run(stage.gauges / "store", *words)))
    rate = median(one["cycles_per_second"] for one in rounds)
    cpu = median(one["cpu"] for one in rounds)
    return [Row("store alone, cycles/s at 64 at once", f"{rate:,.0f} ({cpu:.0f} us CPU)", raw=rounds)]
