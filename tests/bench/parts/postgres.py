"""PostgreSQL, as Debian's defaults are: every commit is on the disk before it is answered."""

import pathlib
import subprocess

from .processes import Process, check, run, until

LOWERED = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
SETTINGS = """\
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 200
"""
# A code is stored when it is issued, and gone when it was typed: two commits, as a login has.
CYCLE = """\
\\set id random(1, 1000000000000)
INSERT INTO peer VALUES (:id, decode(repeat('5a', 32), 'hex'));
DELETE FROM peer WHERE id = :id;
"""


def programs():
    """Where this machine has PostgreSQL's programs, the newest."""
    return max(pathlib.Path("/usr/lib/postgresql").iterdir(), key=lambda path: float(path.name)) / "bin"


class Postgres:
    """A server with the empty database `otpd` of the role `otpd`; `with` starts and ends it."""

    def __init__(self, stage, folder):
        # Its user goes there too.
        stage.scratch.chmod(0o755)
        folder.chmod(0o755)
        self.folder = folder
        self.url = f"postgres://otpd@/otpd?host={folder}"
        self.process = None
        run("chown", "postgres:", folder)
        self._run("initdb", "-A", "trust", "-U", "postgres", "--locale=C.UTF-8", "-E", "UTF8", "-D", folder / "data")
        with open(folder / "data" / "postgresql.conf", "a") as settings:
            settings.write(SETTINGS.format(folder=folder))

    def _run(self, program, *words):
        return run(*LOWERED, programs() / program, *words)

    def __enter__(self):
        log = self.folder / "log"
        self.process = Process(log, *LOWERED, programs() / "postgres", "-D", self.folder / "data")
        try:
            until(lambda: self.process.must_live() or self._serves(), "PostgreSQL serves")
            for statement in ("CREATE ROLE otpd LOGIN", "CREATE DATABASE otpd OWNER otpd", "CREATE DATABASE peer"):
                self.sql("postgres", statement)
            self.sql("peer", "CREATE TABLE peer (id bigint PRIMARY KEY, hash bytea NOT NULL)")
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(self, *_):
        # SIGTERM waits for those who are connected, and nobody is any more.
        self.process.stop()

    def _serves(self):
        words = (programs() / "pg_isready", "-q", "-h", self.folder)
        return subprocess.run([str(word) for word in words], check=False).returncode == 0

    def sql(self, database, statement):
        """What it answers."""
        return self._run("psql", "-XAtq", "-U", "postgres", "-h", self.folder, "-d", database, "-c", statement)

    def rate(self, clients, seconds):
        """Rows a second that so many clients insert and delete at once, a commit each."""
        script = self.folder / "cycle.sql"
        script.write_text(CYCLE)
        said = self._run(
            "pgbench", "-n", "-M", "prepared", "-U", "postgres", "-h", self.folder, "-c", clients,
            "-j", min(clients, 2), "-T", seconds, "-f", script, "peer",
        )  # fmt: skip
        rates = [line.split()[2] for line in said.splitlines() if line.startswith("tps = ")]
        check(len(rates) == 1, f"pgbench said:\n{said}")
        return float(rates[0])

    def memory(self):
        """What its processes hold of memory, bytes; what they share is counted once."""
        total = 0
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
            pids = [str(self.process.pid), *children.read().split()]
        for pid in pids:
            try:
                with open(f"/proc/{pid}/smaps_rollup") as lines:
                    total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            except (FileNotFoundError, ProcessLookupError):
                pass  # one that has ended
        return total * 1024
