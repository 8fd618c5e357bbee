"""The peer: Express and Redis, with every write synced before it is answered."""

import json
import socket

from .processes import Process, check, run, until
from .stage import free_port


class Peer:
    """Both programs in a folder of their own; `with` starts and ends them."""

    def __init__(self, stage, folder):
        self.stage = stage
        self.folder = folder
        self.port = free_port()
        self.vendor = free_port()
        self.redis = None
        self.node = None

    def __enter__(self):
        path = self.folder / "redis.sock"
        options = ["--port", 0, "--unixsocket", path, "--dir", self.folder, "--save", ""]
        durable = ["--appendonly", "yes", "--appendfsync", "always"]
        self.redis = Process(self.folder / "redis.log", "redis-server", *options, *durable)
        try:
            until(lambda: self.redis.must_live() or path.exists(), "redis listening")
            server = [self.stage.tools / "express" / "server.js", self.port, path]
            vendor = f"http://127.0.0.1:{self.vendor}/send"
            self.node = Process(self.folder / "node.log", "node", *server, vendor, env={"NODE_ENV": "production"})
            until(lambda: self.node.must_live() or "ready" in self.node.output(), "express ready")
            check("always" in self.ask("CONFIG GET appendfsync"), "redis does not sync each write")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.node, self.redis):
            if process:
                process.stop()

    def ask(self, command):
        """A command of Redis, and its reply as it is on the wire."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(10)
            stream.connect(str(self.folder / "redis.sock"))
            stream.sendall(f"{command}\r\nQUIT\r\n".encode())
            reply = b""
            while block := stream.recv(65536):
                reply += block
            return reply.decode()

    def load(self, clients, cycles, accounts):
        """As `Otpd.load`, over a kept connection for each client."""
        before = self.node.cpu() + self.redis.cpu()
        settings = {
            "clients": clients,
            "cycles": cycles,
            "accounts": accounts,
            "vendor": self.vendor,
            "server": {"http": {"port": self.port}},
        }
        figures = json.loads(run(self.stage.gauges / "load", json.dumps(settings)))
        figures["cpu"] = (self.node.cpu() + self.redis.cpu() - before) / cycles * 1e6
        return figures

    def did(self, cycles):
        """Fails unless Redis has stored and taken as many codes, durably."""
        counted = self.ask("INFO commandstats")
        for verb in ("set", "getdel"):
            check(f"cmdstat_{verb}:calls={cycles}," in counted, f"redis did not {verb} {cycles} codes:\n{counted}")
        check("aof_enabled:1" in self.ask("INFO persistence"), "redis keeps no log")

    def memory(self):
        """Of both, bytes."""
        of = (self.node.memory(), self.redis.memory())
        return {name: sum(each[name] for each in of) for name in of[0]}
