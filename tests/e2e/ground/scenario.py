"""What a scenario is, and what it gets to work with."""

import inspect
import json
import os
import pwd
import re
from dataclasses import dataclass

from . import machine
from .clients import Ssh, Terminal
from .machine import Sshd
from .otpd import SOCKET, Frames, Otpd, otpctl, otpctl_json
from .phone import Phone
from .process import LOGS, run
from .syslog import Syslog
from .waiting import PATIENCE, check, until

ALL = []


@dataclass(frozen=True)
class Scenario:
    """One test with a machine of its own."""

    file: str
    name: str
    call: object
    boot: bool
    packaged: bool
    alone: bool
    timeout: int
    rounds: int
    long_rounds: int


def scenario(function=None, *, boot=False, packaged=False, alone=False, timeout=240, rounds=1, long_rounds=None):
    """Marks `def name(g)` as a scenario; its docstring says what must hold.

    boot: in a machine booted by systemd, which then owns /dev/log and the services.
    packaged: in a machine without the programs, which finds the packages under /packages.
    alone: nothing else runs meanwhile, for what loads the machine or measures it.
    rounds, long_rounds: how often `g.rounds` says to repeat, normally and in the long form.
    """

    def mark(call):
        file = os.path.splitext(os.path.basename(inspect.getfile(call)))[0]
        check(call.__doc__, f"{file}.{call.__name__} does not say what must hold")
        ALL.append(Scenario(file, call.__name__, call, boot, packaged, alone, timeout, rounds, long_rounds or rounds))
        return call

    return mark(function) if function else mark


class Restart(BaseException):
    """The machine is to be shut down and started again, with the scenario from its begin."""


class Ground:
    """Everything on the machine; parts start when they are first asked for."""

    def __init__(self, booted=False, rounds=1, boot=1):
        self.rounds = rounds
        self.boot = boot  # which start of the machine it is
        self.phone = None
        self.carriers = []
        self.syslog = None if booted else Syslog()
        self.otpd = None
        self.sshd = None
        self.passwords = {}
        self.keys = {}
        self._terminals = []

    # --- the machine -----------------------------------------------------------------------------

    def user(self, name, password=None, key=False, **more):
        """Makes an account; `password` defaults to one of its own, `key=True` adds a key as well."""
        self.passwords[name] = password or f"{name}'s password"
        entry = machine.add_user(name, self.passwords[name], **more)
        if key:
            self.keys[name] = machine.add_key(name)
        return entry

    def restart_machine(self):
        """Ends this run of the scenario like a run that holds, and has it run again on the machine's next start."""
        self.finish()
        raise Restart

    def start_sshd(self, stack, **settings):
        """Starts sshd with this PAM stack."""
        machine.pam("sshd", stack)
        self.sshd = Sshd(**settings)
        return self.sshd

    def start_otpd(self, changes=None, phones=None, **how):
        """Starts the daemon with a phone behind its gateway; `changes` as in `otpd.settings`."""
        if self.phone is None:
            self.phone = next(iter(phones.values())) if phones else Phone()
        self.otpd = Otpd(phones or {"phone": self.phone})
        self.otpd.configure(changes)
        self.otpd.start(**how)
        return self.otpd

    def password_and_code(self, *users, arguments="", changes=None, sshd=None, **how):
        """The most common machine: these users enrolled, a password and a code at sshd."""
        self.start_otpd(changes, **how)
        self.start_sshd(machine.password_and_code(arguments), **(sshd or {}))
        for user in users:
            self.user(user)
            self.enroll(user)
        return self

    def key_and_code(self, *users, arguments="", changes=None, sshd=None, **how):
        """These users enrolled, a key and a code at sshd."""
        methods = {"AuthenticationMethods": "publickey,keyboard-interactive", **(sshd or {})}
        self.start_otpd(changes, **how)
        self.start_sshd(machine.key_and_code(arguments), **methods)
        for user in users:
            self.user(user, key=True)
            self.enroll(user)
        return self

    # --- enrollment ------------------------------------------------------------------------------

    @staticmethod
    def number(user):
        """The account's phone number: valid, fictional, its own."""
        index = pwd.getpwnam(user).pw_uid + 42  # the first account's number ends in 42
        areas = ("202", "213", "312", "415", "512", "617", "702", "808", "917", "971")
        return f"+1{areas[index // 100 % 10]}55501{index % 100:02d}"

    def enroll(self, user, number=None, verify=True):
        """Registers the account's number and proves it with the texted code."""
        number = number or self.number(user)
        otpctl("enroll", user, number)
        if verify:
            otpctl("verify", user, self.phone.next_code(number))
        return number

    otpctl = staticmethod(otpctl)
    otpctl_json = staticmethod(otpctl_json)

    def frames(self, path=SOCKET):
        """A Varlink connection by hand."""
        return Frames(path)

    # --- people ----------------------------------------------------------------------------------

    def ssh(self, user, **how):
        """A person with OpenSSH's client; `how` as in `clients.Ssh`, the user's key if it has one."""
        terminal = Ssh(user, **{"key": self.keys.get(user), **how})
        self._terminals.append(terminal)
        return terminal

    def ssh_to_code(self, user, **how):
        """An ssh that stands at the code prompt (with nothing read from it yet)."""
        terminal = self.ssh(user, **how)
        if user not in self.keys:
            terminal.password(self.passwords[user])
        return terminal

    def code_for(self, user):
        """The code of the next text to the account's number."""
        return self.phone.next_code(self.number(user))

    def text_for(self, user):
        """The next text to the account's number."""
        return self.phone.next_text(self.number(user))

    def audit(self, event, account=None):
        """The daemon's records of these events (of an account) so far, oldest first."""
        return [
            {**found, **json.loads(found["details"])}
            for found in self.otpd.events
            if found.get("target") == "audit" and found["event"] == event and account in (None, found["account"])
        ]

    def wait_audit(self, event, account=None, count=1, timeout=PATIENCE):
        """Waits for so many of them; the last one."""
        until(lambda: len(self.audit(event, account)) >= count, f"{count} events {event} of {account}", timeout)
        return self.audit(event, account)[-1]

    def shell(self, user):
        """A shell of the account on a terminal; its prompt ends in "$ "."""
        return self.terminal(
            "setpriv", "--reuid", user, "--regid", user, "--init-groups", "bash", "--norc", "-i", env=self._env(user)
        )

    @staticmethod
    def _env(user):
        return {**os.environ, "HOME": pwd.getpwnam(user).pw_dir, "USER": user, "TERM": "dumb"}

    def terminal(self, *args, **how):
        """Any program on a terminal."""
        machine.write("/etc/inputrc", "set enable-bracketed-paste off\n")  # or bash paints its prompt with it
        terminal = Terminal(*args, **how)
        self._terminals.append(terminal)
        return terminal

    # --- the end ---------------------------------------------------------------------------------

    def finish(self):
        """What holds after every scenario: secrets stay out of logs, and the daemon ends well."""
        for terminal in self._terminals:
            terminal.close()
        if self.otpd and self.otpd.alive:
            self.otpd.stop()
        logs = self.logs()
        texts = [text for source in (self.phone, *self.carriers) if source for text in source.texts]
        for name, log in logs.items():
            check("panicked at" not in log, f"{name} panicked")
            for text in texts:
                for secret in re.findall(r"\b\d{6,8}\b", text.text) + [text.to]:
                    # Not digits of a longer number or of an id, nor the fraction of a time of day.
                    named = re.search(rf"(?<![0-9a-f.]){re.escape(secret)}(?![0-9a-f])", log)
                    check(not named, f"{name} names {secret}, of the text {text}")

    def logs(self):
        """Every log of the machine, by name."""
        found = {}
        if os.path.isdir(LOGS):
            for file in sorted(os.listdir(LOGS)):
                with open(f"{LOGS}/{file}", errors="backslashreplace") as log:
                    found[file] = log.read()
        if self.syslog:
            lines = self.syslog.lines
            found["syslog"] = "".join(f"{line.priority} {line.facility} {line.text}\n" for line in lines)
        else:
            found["journal"] = run("journalctl", "--boot", "--no-hostname").out
        return found

    def report(self):
        """Everything that helps to understand a failure."""
        parts = [(f"screen of {terminal.args[0]}", terminal.transcript) for terminal in self._terminals]
        if self.phone:
            parts.append(("phone", "".join(f"{text}\n" for text in self.phone.texts)))
        parts += self.logs().items()
        return "".join(f"--- {name}\n{text.rstrip()}\n" for name, text in parts)
