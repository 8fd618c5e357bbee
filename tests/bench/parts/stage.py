"""Where it all happens: what was built, a temporary directory, and how often to measure."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket

from .processes import Failure, check, run


@dataclasses.dataclass
class Stage:
    """What every row is given."""

    programs: pathlib.Path  # otpd, otpctl, the module and the carriers' stand-in
    gauges: pathlib.Path  # the programs of this package
    tools: pathlib.Path  # what run.sh made of directory.c, login.c and express/
    box: pathlib.Path  # the root file system of the machine with sshd
    scratch: pathlib.Path
    rounds: int
    short: bool

    def size(self, full, short):
        """A number that --short makes small."""
        return short if self.short else full

    def folder(self, name):
        """An empty directory."""
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    @property
    def key(self):
        """The master key of all databases here."""
        path = self.scratch / "otpd.key"
        if not path.exists():
            path.write_bytes(os.urandom(32))
            path.chmod(0o600)
        return path

    def database(self, folder, accounts):
        """Puts a database with so many enrolled accounts into the folder: always a fresh copy, so that
        no round finds what another one has left."""
        kept = self.scratch / f"accounts-{accounts}"
        if not kept.exists():
            kept.mkdir()
            run(self.gauges / "fill", kept / "otpd.db", self.key, accounts)
        for file in kept.iterdir():
            shutil.copy(file, folder)
        settle()
        return folder / "otpd.db"


def settle():
    """Has everything written that waits to be, so that nobody's sync pays for it later."""
    os.sync()


# Below those that the kernel gives to connections: one of these would perhaps have it by then.
PORTS = iter(range(20_000 + os.getpid() % 9_000, 30_000))


def free_port():
    """A port on loopback that nobody uses, and that stays so until a server is started there."""
    for port in PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Failure("no port is free")


def on_disk(path):
    """Fails when the directory is in memory: then nothing that is measured would be durable."""
    kind = run("stat", "--file-system", "--format=%T", path).strip()
    check(kind not in ("tmpfs", "ramfs"), f"{path} is in memory ({kind}): give --directory one that is on a disk")
