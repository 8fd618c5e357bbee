"""The store of a fleet: logins a second on PostgreSQL, against what it inserts and deletes itself."""

from statistics import median

from parts.otpd import Otpd
from parts.postgres import Postgres
from parts.processes import check
from parts.table import Goal, Row

AT_ONCE = (1, 16, 64)
GOAL = Goal(0.5, 1, "{:.2f}x", most=False)


def granted(server, expected):
    """Fails unless the audit has as many logins granted."""
    count = int(server.sql("otpd", "SELECT count(*) FROM otpd.audit WHERE event LIKE '%\"login-granted\"%'"))
    check(count == expected, f"{count} logins were granted, of {expected}")


def compare(stage, otpd, server, cycles):
    """Rates at each number of clients, a round after the other; the server's own in the same round."""
    rounds, done = [], 0
    for _ in range(stage.rounds):
        one = {}
        for clients in AT_ONCE:
            # One at a time waits for the disk each time.
            count = cycles // 8 if clients == 1 else cycles
            figures = otpd.load("login", clients, count)
            done += count
            own = server.rate(clients, stage.size(4, 1))
            one[clients] = {"otpd": figures, "server": own}
        rounds.append(one)
    granted(server, done)
    return rounds


def rows(rounds, where=""):
    """The table's."""
    found = []
    for clients in AT_ONCE:
        ours = median(one[clients]["otpd"]["cycles_per_second"] for one in rounds)
        own = median(one[clients]["server"] for one in rounds)
        pairs = (one[clients] for one in rounds)
        ratio = median(one["otpd"]["cycles_per_second"] / one["server"] for one in pairs)
        found.append(
            Row(
                f"PostgreSQL{where}, cycles/s at {clients} at once / its own insert + delete",
                f"{ours:,.0f}",
                f"{own:,.0f}",
                ratio,
                GOAL if clients == 64 else None,
                None if found else rounds,
            )
        )
    return found


def measure(stage):
    """Everything as it is delivered, and durable at both."""
    accounts, cycles = stage.size((10_000, 8_000), (500, 400))
    with (
        Postgres(stage, stage.folder("postgres")) as server,
        Otpd(stage, stage.folder("fleet"), accounts, server=server) as otpd,
    ):
        return rows(compare(stage, otpd, server, cycles))
