"""The daemon, as it is delivered: its defaults, the vendor of `src/vendor.rs`, its log in a file."""

import json
import select
import socket
import subprocess
import time

from .processes import PATIENCE, Failure, Process, check, run
from .stage import free_port

HTTP = """\
kind = "http"
url = "http://127.0.0.1:{port}/send"
headers = {{ content-type = "application/json" }}
body = '{{"to":"{{to}}","text":"{{text}}"}}'
id-pointer = "/id"
"""
FILE = """\
kind = "file"
path = "{path}"
"""


class Otpd:
    """A daemon with a folder of its own; `with` starts and ends it.

    `texts`: a file that the messages go to, instead of that vendor, which is in `load` and `lone`.
    `server`: what keeps it all, instead of a file.
    """

    def __init__(self, stage, folder, accounts, texts=None, server=None):
        self.stage = stage
        self.folder = folder
        self.accounts = accounts
        if server:
            self.database = server.folder
            run(stage.gauges / "fill", self.database, stage.key, accounts)
        else:
            self.database = stage.database(folder, accounts)
        url = server.url if server else f"sqlite:{self.database}"
        self.socket = folder / "otpd.sock"
        self.port = free_port()
        self.started = None  # seconds to be ready
        self.process = None
        gateway = FILE.format(path=texts) if texts else HTTP.format(port=self.port)
        (folder / "otpd.toml").write_text(
            f'[server]\nsocket = "{self.socket}"\nkey-file = "{stage.key}"\n'
            f'[store]\nurl = "{url}"\n'
            f'[message]\nhost = "box"\n[log]\nformat = "text"\n'
            f'[delivery]\ncountries = ["US"]\nsms = ["stub"]\n'
            + ("allow-file-gateway = true\n" if texts else "")
            + f"[gateway.stub]\n{gateway}"
        )

    def __enter__(self):
        notify = self.folder / "notify"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
            inbox.bind(str(notify))
            inbox.settimeout(1)
            env = {"NOTIFY_SOCKET": str(notify), "LD_LIBRARY_PATH": str(self.stage.tools)}
            began = time.perf_counter()
            self.process = Process(
                self.folder / "log", self.stage.programs / "otpd", "--config", self.folder / "otpd.toml", env=env
            )
            try:
                while True:
                    try:
                        lines = inbox.recv(4096).decode().splitlines()
                    except TimeoutError:
                        self.process.must_live()
                        continue
                    if "READY=1" in lines:
                        self.started = time.perf_counter() - began
                        # One that refuses is ready, too, to say so.
                        check("STATUS=answers logins" in lines, f"otpd: {lines}\n{self.process.output()}")
                        return self
            except BaseException:
                self.process.stop()
                raise

    def __exit__(self, *_):
        self.process.stop()

    def load_settings(self, connection, clients, cycles, **more):
        """What `load` is told."""
        return json.dumps(
            {
                "clients": clients,
                "cycles": cycles,
                "accounts": self.accounts,
                "vendor": self.port,
                "server": {"otpd": {"socket": str(self.socket), "connection": connection}},
                **more,
            }
        )

    def load(self, connection, clients, cycles, **more):
        """Logs people in; the figures, with the CPU time of a cycle in microseconds."""
        before = self.process.cpu()
        words = (self.stage.gauges / "load", self.load_settings(connection, clients, cycles, **more))
        figures = json.loads(run(*words))
        figures["cpu"] = (self.process.cpu() - before) / cycles * 1e6
        return figures

    def live(self):
        """How many codes could be typed now."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(10)
            stream.connect(str(self.socket))
            stream.sendall(b'{"method":"org.otpd.Admin.Status"}\0')
            reply = b""
            while not reply.endswith(b"\0"):
                block = stream.recv(65536)
                check(block, f"otpd hung up after {reply!r}")
                reply += block
        return json.loads(reply[:-1])["parameters"]["live_challenges"]

    def prompted(self, clients):
        """As many people as that, at their prompts until `with` ends."""
        return Prompted(self, clients)


class Prompted:
    """People who wait at their prompts; `with`."""

    def __init__(self, otpd, clients):
        settings = otpd.load_settings("login", clients, clients, wait=True)
        self._load = subprocess.Popen(
            [otpd.stage.gauges / "load", settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        readable, _, _ = select.select([self._load.stdout], [], [], PATIENCE)
        if not readable or self._load.stdout.readline() != "waiting\n":
            self._load.kill()
            self._load.communicate()
            raise Failure("not everybody was shown a prompt")
        return self

    def __exit__(self, *_):
        # All type their code; a wrong one is an error of the program.
        self._load.communicate(timeout=PATIENCE)
        check(self._load.returncode == 0, "not everybody who waited could log in")
