"""People and programs that log in: terminals with a real client in them, and a library that shows packets."""

import io
import signal
import socket
from dataclasses import dataclass, field

from .waiting import PATIENCE, Failure, check, equal, until

KNOWN_HOSTS = "/etc/ssh/ground_known_hosts"


class Terminal:
    """A program on a pseudo-terminal, as a person sees it."""

    def __init__(self, *args, env=None, cwd="/"):
        import pexpect

        self._pexpect = pexpect
        self._seen = io.StringIO()
        self.args = [str(arg) for arg in args]
        self._child = pexpect.spawn(
            self.args[0],
            self.args[1:],
            encoding="utf-8",
            codec_errors="backslashreplace",
            timeout=PATIENCE,
            dimensions=(50, 200),
            env=env,
            cwd=cwd,
            preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL),  # python ignores it
        )
        self._child.delaybeforesend = None
        self._child.logfile_read = self._seen

    @property
    def transcript(self):
        """Everything the screen has shown."""
        return self._seen.getvalue().replace("\r", "")

    @property
    def pid(self):
        """The program's process id."""
        return self._child.pid

    def expect(self, text, timeout=PATIENCE):
        """Waits for the text; what was shown since the last wait, including it."""
        try:
            self._child.expect_exact(text.replace("\n", "\r\n"), timeout=timeout)
        except (self._pexpect.TIMEOUT, self._pexpect.EOF) as error:
            raise Failure(f"{type(error).__name__} instead of {text!r}; the screen:\n{self.transcript}") from None
        return (self._child.before + self._child.after).replace("\r", "")

    def type(self, line):
        """Types a line and Enter."""
        self._child.send(line + "\r")

    def press(self, keys):
        """Presses keys, without Enter: "\\x03" is Ctrl-C."""
        self._child.send(keys)

    def interrupt(self, done):
        """Presses Ctrl-C until `done()`: a program may miss one between its prompt and its read()."""

        def pressed():
            self.press("\x03")
            try:
                return until(lambda: done() or not self._child.isalive(), "an effect of Ctrl-C", 1)
            except Failure:
                return False

        until(pressed, f"an effect of Ctrl-C on {self.args[0]}")

    def answer(self, prompt, line, timeout=PATIENCE):
        """Waits for the prompt and types the line; what was shown up to the prompt."""
        shown = self.expect(prompt, timeout)
        self.type(line)
        return shown

    def end(self, timeout=PATIENCE):
        """Waits until the program ends: (exit status or minus the signal, what was shown since)."""
        try:
            self._child.expect(self._pexpect.EOF, timeout=timeout)
        except self._pexpect.TIMEOUT:
            raise Failure(f"{self.args[0]} did not end; the screen:\n{self.transcript}") from None
        self._child.close()
        signal = self._child.signalstatus
        return (-signal if signal else self._child.exitstatus), self._child.before.replace("\r", "")

    def close(self):
        """Hangs up, whatever is on the screen."""
        self._child.close(force=True)


class Ssh(Terminal):
    """OpenSSH's client. The remote command says who is in; nothing else can print that."""

    def __init__(self, user, *, key=None, methods=None, rounds=3, command='echo "in as $(id -un)"', options=(), port=22):
        methods = methods or ("publickey,keyboard-interactive" if key else "keyboard-interactive")
        self.user = user
        super().__init__("ssh", *ssh_options(key, methods, rounds, options), "-p", port, f"{user}@box", command)

    def password(self, password):
        """Answers pam_unix's prompt."""
        return self.answer("Password: ", password)

    def code(self, line):
        """Waits for the code prompt and types the line; the prompt's text."""
        return self.answer("Code: ", line)

    def granted(self):
        """The login succeeds and the session ends well; what was shown before."""
        shown = self.expect(f"in as {self.user}\n")
        status, rest = self.end()
        equal(status, 0, f"ssh's exit status, after {self.transcript}{rest}")
        return shown

    def denied(self):
        """The client gives up; what was shown since the last wait."""
        status, shown = self.end()
        check(
            status == 255 and "Permission denied" in shown and "in as" not in self.transcript,
            f"expected a refusal, found status {status}; the screen:\n{self.transcript}",
        )
        return shown


def ssh_options(key=None, methods="keyboard-interactive", rounds=3, options=()):
    """Options common to ssh, scp and sftp: no file of the user's, no question about the host."""
    settings = {
        "GlobalKnownHostsFile": "/dev/null",
        "UserKnownHostsFile": KNOWN_HOSTS,
        "StrictHostKeyChecking": "yes",
        "PreferredAuthentications": methods,
        "NumberOfPasswordPrompts": rounds,
        "IdentityAgent": "none",
        "IdentitiesOnly": "yes",
        "IdentityFile": key or "none",
    }
    args = ["-F", "none"]
    for name, value in settings.items():
        args += ["-o", f"{name}={value}"]
    for option in options:
        args += ["-o", option]
    return args


@dataclass(frozen=True)
class Round:
    """One INFO_REQUEST of keyboard-interactive: what it shows, and its prompts as (text, echo)."""

    name: str
    instructions: str
    prompts: tuple


@dataclass
class PacketLogin:
    """A login by packets: what was asked, whether it ended well, and the open connection."""

    granted: bool = False
    rounds: list = field(default_factory=list)
    error: Exception | None = None
    transport: object = None

    @property
    def prompts(self):
        """The texts of all prompts, in order."""
        return [text for found in self.rounds for text, _ in found.prompts]

    def run(self, command):
        """Runs a command over the connection; its output."""
        channel = self.transport.open_session(timeout=PATIENCE)
        channel.exec_command(command)
        output = b""
        while block := channel.recv(65536):
            output += block
        return output.decode()

    def close(self):
        """Ends the connection."""
        if self.transport:
            self.transport.close()


def packet_login(user, respond, *, key=None, port=22, source=None):
    """One keyboard-interactive login; `respond(prompt)` gives the answer to each prompt.

    A refusal is part of the result; what `respond` raises is raised here. `source` is the address on
    lo that the connection comes from.
    """
    import paramiko

    login = PacketLogin()
    raised = []
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0) if source else None)
    login.transport = paramiko.Transport(connection)
    login.transport.banner_timeout = login.transport.auth_timeout = 60

    def handler(name, instructions, prompts):
        login.rounds.append(Round(name, instructions, tuple(prompts)))
        try:
            return [respond(text) for text, _ in prompts]
        except Exception as error:
            raised.append(error)
            raise

    try:
        login.transport.start_client(timeout=60)
        if key:
            login.transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key))
        login.transport.auth_interactive(user, handler)
        login.granted = login.transport.is_authenticated()
    except (paramiko.SSHException, EOFError) as error:
        login.error = error
    if raised:
        raise raised[0]
    return login


def by_prompt(*answers):
    """A `respond` for `packet_login`: pairs of (part of the prompt, answer or function giving it)."""

    def respond(prompt):
        for part, answer in answers:
            if part in prompt:
                return answer() if callable(answer) else answer
        raise Failure(f"no answer for the prompt {prompt!r}")

    return respond
