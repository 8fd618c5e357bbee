"""Memory: after the start, and with many at their prompts."""

from statistics import median

from parts.otpd import Otpd
from parts.peer import Peer
from parts.processes import check
from parts.table import Goal, Row

AT_ONCE = 256
IDLE = Goal(10, 6, "{:.1f} MB")
BUSY = Goal(24, 16, "{:.1f} MB")


def measure(stage):
    """Resident memory (VmRSS, all pages that are mapped in: the program's own file too); beside it Pss,
    which divides what others map as well."""
    accounts = stage.size(10_000, 1_000)
    rounds = []
    for _ in range(stage.rounds):
        with Otpd(stage, stage.folder("memory"), accounts) as otpd:
            one = {"idle": otpd.process.memory()}
            with otpd.prompted(AT_ONCE):
                one["busy"] = otpd.process.memory()
        with Peer(stage, stage.folder("peer")) as peer:
            one["peer"] = peer.memory()
        rounds.append(one)

    def megabytes(state, kind):
        return median(one[state][kind] for one in rounds) / 1e6

    check(megabytes("busy", "rss") >= megabytes("idle", "rss"), "256 people take no memory")
    peer = f"{megabytes('peer', 'rss'):.0f} MB"

    def row(what, state, goal, peer, raw):
        resident = megabytes(state, "rss")
        this = f"{resident:.1f} MB (Pss {megabytes(state, 'pss'):.1f})"
        return Row(what, this, peer, resident, goal, raw)

    return [
        row(f"memory (VmRSS), idle, {accounts:,} enrolled", "idle", IDLE, peer, rounds),
        row(f"memory (VmRSS), {AT_ONCE} at their prompts", "busy", BUSY, "-", None),
    ]
