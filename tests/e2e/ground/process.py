"""Programs that a scenario starts: their output goes to files, never to the scenario's own."""

import os
import pwd
import signal
import subprocess
from dataclasses import dataclass

from .waiting import PATIENCE, Failure, check, until

LOGS = "/var/log/ground"


@dataclass(frozen=True)
class Result:
    """A program that ended."""

    args: tuple
    status: int
    out: str
    err: str


def run(*args, input=None, timeout=60, check_status=0, env=None, user=None):
    """Runs a program to its end; `check_status=None` accepts any exit status."""
    command = [str(arg) for arg in args]
    if user:
        group = str(pwd.getpwnam(user).pw_gid)
        command = ["setpriv", "--reuid", user, "--regid", group, "--init-groups", "--", *command]
    done = subprocess.run(
        command,
        input=input if input is not None else "",
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
    )
    result = Result(tuple(command), done.returncode, done.stdout, done.stderr)
    check(
        check_status in (None, result.status),
        f"{' '.join(command)}: exit status {result.status}, expected {check_status}\n{result.out}{result.err}",
    )
    return result


class Process:
    """A program that keeps running, with its output in a file."""

    def __init__(self, name, args, env=None, pass_fds=()):
        os.makedirs(LOGS, mode=0o755, exist_ok=True)
        self.name = name
        self.log = f"{LOGS}/{name}.log"
        with open(self.log, "ab") as output:
            self.namesakes = len(self.output())  # what those before it have printed
            self._popen = subprocess.Popen(
                [str(arg) for arg in args],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                pass_fds=pass_fds,
                start_new_session=True,
            )

    @property
    def pid(self):
        """Its process id."""
        return self._popen.pid

    @property
    def alive(self):
        """Whether it still runs."""
        return self._popen.poll() is None

    def output(self):
        """What it has printed so far, and its namesakes before it."""
        with open(self.log, errors="backslashreplace") as log:
            return log.read()

    def wait_output(self, part, timeout=PATIENCE, since=0):
        """Waits until it prints the part (after the first `since` characters)."""

        def found():
            if part in self.output()[since:]:
                return True
            check(self.alive, f"{self.name} ended before it printed {part!r}:\n{self.output()}")
            return False

        until(found, f"{self.name} printing {part!r}", timeout)

    def signal(self, number):
        """Sends a signal."""
        self._popen.send_signal(number)

    def wait(self, timeout=PATIENCE):
        """Waits for its end; the exit status, or minus the signal that ended it."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end within {timeout:g} s:\n{self.output()}") from None

    def stop(self, timeout=PATIENCE):
        """SIGTERM, and the exit status."""
        if self.alive:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """SIGKILL, reaped."""
        if self.alive:
            self.signal(signal.SIGKILL)
        return self.wait()
