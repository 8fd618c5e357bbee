"""Programs that the benchmark starts, and what the kernel says about them. Each ends by its own pid."""

import os
import signal
import subprocess
import time

# Nothing that is waited for takes longer; what is measured may.
PATIENCE = 60.0
TICK = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Something did not work, so that there is nothing to measure."""


def check(condition, message):
    """Fails with `message` unless `condition` holds."""
    if not condition:
        raise Failure(message)


def until(condition, what, timeout=PATIENCE):
    """Polls for what nobody announces; its first true value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"waited {timeout:g} s in vain: {what}")
        time.sleep(0.005)


def run(*words, timeout=600, env=None):
    """Runs a program to its good end; what it printed."""
    words = [str(word) for word in words]
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
    )
    check(done.returncode == 0, f"{' '.join(words)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Process:
    """A program that keeps running, with its output in a file; `with` ends it."""

    def __init__(self, log, *words, env=None):
        self.log = log
        with open(log, "ab") as output:
            self._popen = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        """Its process id."""
        return self._popen.pid

    def must_live(self):
        """Fails with what it has printed when it has ended."""
        if self._popen.poll() is not None:
            words = " ".join(self._popen.args)
            raise Failure(f"{words} ended with status {self._popen.returncode}:\n{self.output()}")

    def output(self):
        """The end of what it has printed."""
        with open(self.log, "rb") as log:
            return log.read()[-4000:].decode(errors="backslashreplace")

    def wait(self):
        """Waits for its good end, however long it takes."""
        self._popen.wait()
        words = " ".join(self._popen.args)
        check(self._popen.returncode == 0, f"{words}: status {self._popen.returncode}\n{self.output()}")

    def stop(self):
        """SIGTERM, and SIGKILL if that does not help."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()

    def cpu(self):
        """User and system time so far, seconds."""
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        """What it holds of memory, bytes: resident (`rss`), and with what it shares divided (`pss`)."""
        found = {}
        for file, names in (("status", {"VmRSS:": "rss"}), ("smaps_rollup", {"Pss:": "pss"})):
            with open(f"/proc/{self.pid}/{file}") as lines:
                for line in lines:
                    words = line.split()
                    if words and words[0] in names:
                        found[names[words[0]]] = int(words[1]) * 1024
        return found
