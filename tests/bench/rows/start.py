"""How soon a daemon that has much to look after is ready."""

from statistics import median

from parts.otpd import Otpd
from parts.processes import check
from parts.stage import settle
from parts.table import Goal, Row

GOAL = Goal(50, 10, "{:.1f} ms")


def measure(stage):
    """From fork to READY=1, with live codes that an end of the daemon has left behind."""
    accounts, live = stage.size((100_000, 10_000), (5_000, 500))
    otpd = Otpd(stage, stage.folder("start"), accounts)
    with otpd:
        # Whoever leaves may come back within 20 s; then their codes are void.
        otpd.load("login", 64, live, leave=True)
        left = otpd.live()
    check(left >= live * 0.8, f"of {live} codes, {left} were live at the end of the daemon that sent them")
    rounds = []
    for _ in range(stage.rounds):
        settle()
        with otpd:
            rounds.append({"milliseconds": otpd.started * 1e3, "live": otpd.live()})
        found = rounds[-1]["live"]
        check(live * 0.8 <= found <= left, f"of {left} codes, {found} are live after a start")
    time = median(one["milliseconds"] for one in rounds)
    what = f"start to READY=1, {accounts:,} enrolled, {left:,} live codes"
    return [Row(what, f"{time:.1f} ms", "-", time, GOAL, rounds)]
