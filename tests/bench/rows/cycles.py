"""Many at once: codes issued and checked, against Express and Redis."""

import contextlib
import sqlite3
from statistics import median

from parts.otpd import Otpd
from parts.peer import Peer
from parts.processes import check
from parts.table import Goal, Row

AT_ONCE = 64
# One of so many cycles runs before: Node compiles what it sees often, and connections are made.
WARM = 5
RATE = "{:.1f}x"
CONNECTIONS = {
    "request": ("a new connection a request", Goal(4, 6, RATE, most=False)),
    "login": ("one connection a login", Goal(5, 8, RATE, most=False)),
}
SHARE = Goal(1 / 5, 1 / 8, "{:.3f}x")


def granted(database, expected):
    """Fails unless the audit has as many logins granted."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        [[count]] = db.execute("SELECT count(*) FROM audit WHERE event LIKE '%\"login-granted\"%'").fetchall()
    check(count == expected, f"{count} logins were granted, of {expected}")


def ours(stage, connection, accounts, cycles):
    """A round of the daemon."""
    with Otpd(stage, stage.folder("cycles"), accounts) as otpd:
        otpd.load(connection, AT_ONCE, cycles // WARM)
        figures = otpd.load(connection, AT_ONCE, cycles)
    granted(otpd.database, cycles + cycles // WARM)
    return figures


def theirs(stage, accounts, cycles):
    """A round of the peer."""
    with Peer(stage, stage.folder("peer")) as peer:
        peer.load(AT_ONCE, cycles // WARM, accounts)
        figures = peer.load(AT_ONCE, cycles, accounts)
        peer.did(cycles + cycles // WARM)
    return figures


def measure(stage):
    """Rates and processor time of a cycle."""
    accounts, cycles = stage.size((10_000, 20_000), (1_000, 1_000))
    rounds = []
    for nth in range(stage.rounds):
        # Neither is always the first: a machine that grows warm or busy favours nobody.
        sides = ("peer", *CONNECTIONS) if nth % 2 == 0 else (*CONNECTIONS, "peer")
        rounds.append(
            {
                side: theirs(stage, accounts, cycles) if side == "peer" else ours(stage, side, accounts, cycles)
                for side in sides
            }
        )

    def middle(side, key):
        return median(one[side][key] for one in rounds)

    def ratio(connection, key):
        return median(one[connection][key] / one["peer"][key] for one in rounds)

    rows = []
    for key, what, show in (
        ("cycles_per_second", "durable cycles/s at 64 at once", "{:,.0f}"),
        ("cpu", "CPU a cycle (server)", "{:.0f} us"),
    ):
        for connection, (words, goal) in CONNECTIONS.items():
            rows.append(
                Row(
                    f"{what}, {words}",
                    show.format(middle(connection, key)),
                    show.format(middle("peer", key)),
                    ratio(connection, key),
                    goal if key == "cycles_per_second" else SHARE,
                    rounds if not rows else None,
                )
            )
    return rows
