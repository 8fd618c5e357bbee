"""The daemon under test, and the two ways to talk to it: otpctl, and Varlink frames by hand."""

import fcntl
import glob
import json
import os
import signal
import socket
import threading

from .machine import write
from .process import Process, run
from .waiting import PATIENCE, Inbox, check, equal, until

CONFIG = "/etc/otpd/otpd.toml"
SOCKET = "/run/otpd/otpd.sock"
PROGRAM = "/usr/sbin/otpd"
CLOCK = "/run/ground-clock"
NOTIFY = "/run/ground-notify"


def toml(tables):
    """TOML of a dict of tables; a table's own dicts become tables below it."""
    lines = []
    for table, entries in tables.items():
        if entries is None:
            continue
        below = {f"{table}.{key}": value for key, value in entries.items() if isinstance(value, dict)}
        lines.append(f"[{table}]")
        # A JSON string, number, boolean or array of them is TOML too.
        lines += [f"{key} = {json.dumps(value)}" for key, value in entries.items() if not isinstance(value, dict)]
        lines.append(toml(below))
    return "\n".join(lines)


def settings(phones, changes):
    """The configuration of most scenarios, with `changes` merged in table by table."""
    tables = {
        "server": {"socket": SOCKET, "key-file": "/etc/otpd/otpd.key"},
        "store": {"url": "sqlite:/var/lib/otpd/otpd.db"},
        "log": {"format": "json"},
        "delivery": {"countries": ["US"], "sms": list(phones)},
    }
    for name, phone in phones.items():
        tables[f"gateway.{name}"] = {
            "kind": "http",
            "url": phone.url,
            "body": '{"to":"{to}","text":"{text}"}',
            "id-pointer": "/id",
            "headers": {"content-type": "application/json"},
        }
    for table, entries in (changes or {}).items():
        tables[table] = None if entries is None else {**tables.get(table, {}), **entries}
    return tables


class Otpd:
    """The daemon as its units run it: an own user, a socket handed over, readiness announced."""

    def __init__(self, phones):
        self._phones = phones
        self._process = None
        self._listener = None
        self._fake_time = False
        self._starts = 0
        run("useradd", "--system", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", "otpd")
        for directory in ("/etc/otpd", "/var/lib/otpd"):
            run("install", "-d", "-m", "700", "-o", "otpd", "-g", "otpd", directory)
        self._notices = Inbox("sd_notify")
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._notify.bind(NOTIFY)
        os.chmod(NOTIFY, 0o666)
        threading.Thread(target=self._read_notices, daemon=True).start()

    def _read_notices(self):
        while True:
            for line in self._notify.recv(65536).decode().splitlines():
                self._notices.put(line)

    @property
    def notices(self):
        """What the daemon has told its service manager."""
        return self._notices.all()

    @property
    def pid(self):
        """The running daemon's process id."""
        return self._process.pid

    @property
    def alive(self):
        """Whether it runs."""
        return self._process is not None and self._process.alive

    @property
    def log(self):
        """What it has logged, over all starts."""
        return self._process.output() if self._process else ""

    @property
    def events(self):
        """Its log lines, read as JSON."""
        found = []
        for line in self.log.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"raw": line})
        return found

    def wait_log(self, part, since=0, timeout=PATIENCE):
        """Waits until it logs the part."""
        self._process.wait_output(part, timeout, since)

    def configure(self, changes=None):
        """Writes the configuration; a running daemon does not see it before `reload` or a restart."""
        text = changes if isinstance(changes, str) else toml(settings(self._phones, changes))
        write(CONFIG, text + "\n", 0o600, "otpd")

    def listen(self):
        """Opens the socket as otpd.socket does: root's, for everybody; it outlives the daemon."""
        os.makedirs(os.path.dirname(SOCKET), mode=0o755, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(SOCKET)
        os.chmod(SOCKET, 0o666)
        listener.listen(4096)
        # A number that bash can duplicate onto 3 and close, whatever 3 is.
        self._listener = fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, 10)
        listener.close()

    def unlisten(self):
        """Closes and removes the socket, as `systemctl stop otpd.socket` does."""
        os.close(self._listener)
        self._listener = None
        os.unlink(SOCKET)

    def start(self, activated=True, user="otpd", fake_time=None, wait_ready=True):
        """Starts it and waits until it says that it is ready.

        `activated=False`: it makes the socket itself (give `user="root"`). `fake_time=True`: its wall
        clock can be moved by `advance`, and stays moved over restarts.
        """
        if fake_time is not None:
            self._fake_time = fake_time
        if activated and self._listener is None:
            self.listen()
        command = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--", "env"]
        if self._fake_time:
            if not os.path.exists(CLOCK):
                write(CLOCK, "+0s\n")
            [library] = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
            command += [
                f"LD_PRELOAD={library}",
                f"FAKETIME_TIMESTAMP_FILE={CLOCK}",
                "FAKETIME_NO_CACHE=1",
                "FAKETIME_DONT_FAKE_MONOTONIC=1",
            ]
        command += [PROGRAM, "--config", CONFIG]
        environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": NOTIFY}
        descriptors = ()
        if activated:
            descriptors = (self._listener,)
            environment["LISTEN_FDS"] = "1"
            hand_over = 'export LISTEN_PID=$$; fd=$1; shift; exec "$@" 3<&"$fd" {fd}<&-'
            command = ["bash", "-c", hand_over, "bash", self._listener, *command]
        since = len(self.notices)
        self._process = Process("otpd", command, environment, descriptors)

        def ready():
            check(self._process.alive, f"otpd ended at start:\n{self.log}")
            return "READY=1" in self.notices[since:]

        if wait_ready:
            until(ready, f"otpd ready; its log:\n{self.log}")
        return self

    def reload(self):
        """SIGHUP, and waits until it is ready again."""
        since = len(self.notices)
        self._process.signal(signal.SIGHUP)
        until(lambda: "READY=1" in self.notices[since:], "otpd ready after SIGHUP")

    def stop(self):
        """SIGTERM; it must end well. The socket stays."""
        equal(self._process.stop(), 0, "otpd's exit status after SIGTERM")

    def kill(self):
        """SIGKILL. The socket stays."""
        self._process.kill()

    def restart(self, kill=False):
        """Ends it one way or the other and starts it again."""
        self.kill() if kill else self.stop()
        self.start()

    def freeze(self):
        """SIGSTOP: it lives and answers nothing."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self):
        """SIGCONT."""
        self._process.signal(signal.SIGCONT)

    def advance(self, seconds):
        """Moves its wall clock on, in all by the sum of all calls; what it doubts is confirmed."""
        with open(CLOCK) as clock:
            before = int(clock.read().strip().removesuffix("s"))
        write(f"{CLOCK}.new", f"{before + seconds:+d}s\n")
        os.rename(f"{CLOCK}.new", CLOCK)  # never seen half written
        # The time since boot cannot be moved; nothing is in doubt within an hour of it, or while it is down.
        if seconds > 3600:
            otpctl("confirm-clock", status=None)


def otpctl(*args, status=0, user=None, input=None):
    """Runs otpctl; its exit status must be `status` (None: any)."""
    return run("otpctl", *args, check_status=status, user=user, input=input)


def otpctl_json(*args, user=None):
    """Runs otpctl with --json and reads its output."""
    return json.loads(otpctl(*args, "--json", user=user).out)


class Frames:
    """A Varlink connection by hand: any bytes out, one frame at a time in."""

    def __init__(self, path=SOCKET, timeout=PATIENCE):
        self._buffer = b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(timeout)
        self.socket.connect(path)

    def send_bytes(self, data):
        """Sends bytes as they are."""
        self.socket.sendall(data)

    def send(self, method, parameters=None, **more):
        """Sends a call."""
        self.send_bytes(json.dumps({"method": method, "parameters": parameters or {}, **more}).encode() + b"\0")

    def receive(self):
        """The next reply, or None at the end of the connection."""
        while b"\0" not in self._buffer:
            try:
                block = self.socket.recv(65536)
            except ConnectionResetError:
                block = b""
            if not block:
                check(not self._buffer, f"the connection ended inside a frame: {self._buffer!r}")
                return None
            self._buffer += block
        frame, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(frame)

    def call(self, method, parameters=None, **more):
        """Sends a call and receives its reply."""
        self.send(method, parameters, **more)
        return self.receive()

    def close(self):
        """Ends the connection."""
        self.socket.close()
