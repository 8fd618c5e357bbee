"""One person alone, in multiples of what this machine's disk and sockets take."""

import json
from statistics import median

from parts.otpd import Otpd
from parts.processes import run
from parts.table import Goal, Row

GOAL = Goal(1.5, 1.2, "{:.2f}x")


def measure(stage):
    """A code checked, against a sync and an exchange; each login has both measured beside it."""
    cycles = stage.size(2_000, 200)
    rounds = []
    for _ in range(stage.rounds):
        with Otpd(stage, stage.folder("lone"), cycles) as otpd:
            words = (otpd.socket, otpd.folder, otpd.port, cycles)
            rounds.append(json.loads(run(stage.gauges / "lone", *words)))

    def middle(*parts):
        return median(sum(one[part]["p50"] for part in parts) for one in rounds)

    ratio = median(one["verify"]["p50"] / (one["sync"]["p50"] + one["trip"]["p50"]) for one in rounds)
    ground = f"{middle('sync', 'trip'):.0f} us"
    detail = f"fdatasync {middle('sync'):.0f} + exchange {middle('trip'):.0f}"
    return [
        Row(f"lone verify / ({detail} us)", f"{middle('verify'):.0f} us", ground, ratio, GOAL, rounds),
    ]
