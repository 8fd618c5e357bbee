"""A large organisation's list: how long otpctl takes to enter it into PostgreSQL, what all three hold of
memory meanwhile, and logins a second behind it."""

import contextlib
import threading
import time

from parts.otpd import Otpd
from parts.postgres import Postgres
from parts.processes import Process, check
from parts.table import Row

from . import postgres


class Watched:
    """The most that processes hold of memory until `with` ends; looked at every quarter of a second."""

    def __init__(self, gauges):
        self._gauges = gauges
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = dict.fromkeys(gauges, 0)

    def _watch(self):
        while not self._over.wait(0.25):
            for name, gauge in self._gauges.items():
                # It may have ended, and what ends has no memory.
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
                    self.most[name] = max(self.most[name], gauge())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def entered(stage, otpd, server, file):
    """Has otpctl enter the list; seconds, and the most that each process held of memory, bytes."""
    began = time.perf_counter()
    words = (stage.programs / "otpctl", "enroll", "--from", file, "--socket", otpd.socket)
    with Process(otpd.folder / "otpctl", *words) as otpctl:
        gauges = {
            "otpctl": lambda: otpctl.memory()["rss"],
            "otpd": lambda: otpd.process.memory()["rss"],
            "server": server.memory,
        }
        with Watched(gauges) as watched:
            otpctl.wait()
            seconds = time.perf_counter() - began
    return seconds, watched.most


def measure(stage):
    """Once: it takes minutes."""
    people, known = stage.size((1_000_000, 10_000), (2_000, 500))
    cycles = stage.size(8_000, 400)
    folder = stage.folder("million")
    file = folder / "people.csv"
    with open(file, "w") as lines:
        # As otpd_bench::number has them, behind those who log in.
        for nth in range(known, known + people):
            lines.write(f"u{nth},+1{312 + nth // 1_000_000}5{nth % 1_000_000:06}\n")
    with (
        Postgres(stage, stage.folder("postgres")) as server,
        Otpd(stage, folder, known, server=server) as otpd,
    ):
        seconds, memory = entered(stage, otpd, server, file)
        count = int(server.sql("otpd", "SELECT count(*) FROM otpd.enrollment"))
        check(count == people + known, f"{count} are enrolled, of {people + known}")
        size = int(server.sql("otpd", "SELECT pg_database_size('otpd')"))
        rounds = postgres.compare(stage, otpd, server, cycles)
    raw = {"seconds": seconds, "memory": memory, "size": size}
    held = ", ".join(f"{name} {held / 1e6:.0f}" for name, held in memory.items())
    return [
        Row(f"PostgreSQL, {people:,} enrolled by otpctl", f"{seconds:.0f} s ({people / seconds:,.0f}/s)", raw=raw),
        Row("PostgreSQL, most memory meanwhile, MB", held),
        Row("PostgreSQL, the database behind it", f"{size / 1e6:,.0f} MB"),
        *postgres.rows(rounds, f", {people:,} enrolled"),
    ]
