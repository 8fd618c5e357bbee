"""The system log of a box: what the programs in it say to /dev/log."""

import os
import re
import socket
import threading
from dataclasses import dataclass

from .waiting import PATIENCE, Inbox, check

LINE = re.compile(r"<(\d+)>(?:\w{3} [ \d]\d \d\d:\d\d:\d\d )?(.*)", re.DOTALL)
PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")


@dataclass(frozen=True)
class Line:
    """One datagram: its priority by name, its facility's number (10 is authpriv) and its text."""

    priority: str
    facility: int
    text: str


class Syslog:
    """Reads /dev/log for as long as the box lives."""

    def __init__(self, path="/dev/log"):
        self._lines = Inbox("syslog")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(path)
        os.chmod(path, 0o666)
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def lines(self):
        """Every line so far."""
        return self._lines.all()

    def _read(self):
        while True:
            datagram = self._socket.recv(65536).rstrip(b"\0\n").decode(errors="backslashreplace")
            found = LINE.match(datagram)
            number = int(found.group(1)) if found else 0
            self._lines.put(Line(PRIORITIES[number & 7], number >> 3, found.group(2) if found else datagram))

    def wait(self, *parts, priority=None, timeout=PATIENCE):
        """The first line that has all the parts, waiting for it."""

        def wanted(line):
            return all(part in line.text for part in parts) and priority in (None, line.priority)

        index = self._lines.wait(wanted, f"a line with {parts}, priority {priority}", 0, timeout)
        return self.lines[index]

    def lacks(self, part):
        """No line so far has the part."""
        found = [line for line in self.lines if part in line.text]
        check(not found, f"syslog has {part!r}: {found}")
