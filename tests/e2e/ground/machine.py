"""The machine of a scenario: accounts, PAM stacks and sshd."""

import os
import pwd
import socket
from pathlib import Path

from .clients import KNOWN_HOSTS
from .process import Process, run
from .waiting import until

# The two stacks that otpd supports. Account and session are what a login needs and no more.
REST = """\
account required pam_unix.so
session required pam_unix.so
"""


def module(arguments=""):
    """The line of the module under test."""
    return f"auth requisite pam_otp.so {arguments}".rstrip()


def password_and_code(arguments=""):
    """A password first, then a code."""
    return f"auth requisite pam_unix.so nodelay\n{module(arguments)}\n{REST}"


def key_and_code(arguments=""):
    """A key first (sshd's own doing), then a code."""
    return f"{module(arguments)}\nauth required pam_permit.so\n{REST}"


PASSWORD_ONLY = f"auth required pam_unix.so nodelay\n{REST}"


def write(path, text, mode=0o644, owner=None):
    """Writes a file whole, with its mode and owner."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    if owner:
        entry = pwd.getpwnam(owner)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def pam(service, stack):
    """Replaces a service's PAM stack."""
    write(f"/etc/pam.d/{service}", stack)


def add_user(name, password=None, groups=(), shell="/bin/bash", uid=None):
    """Makes an account with a home; returns its entry."""
    extra = ["--uid", uid] if uid else []
    run("useradd", "--create-home", "--shell", shell, *extra, *(("--groups", ",".join(groups)) if groups else ()), name)
    if password is not None:
        # A cheap hash: what it costs to check is not what is tested.
        run("chpasswd", "--crypt-method", "SHA256", input=f"{name}:{password}\n")
    return pwd.getpwnam(name)


def add_key(name):
    """Makes a key that sshd accepts for the account; the private key's path."""
    key = Path(f"/root/keys/{name}")
    key.parent.mkdir(exist_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key)
    home = pwd.getpwnam(name).pw_dir
    run("install", "-d", "-m", "700", "-o", name, "-g", name, f"{home}/.ssh")
    write(f"{home}/.ssh/authorized_keys", Path(f"{key}.pub").read_text(), 0o600, name)
    return str(key)


class Sshd(Process):
    """A real sshd on loopback, in the foreground, logging to a file."""

    def __init__(self, port=22, **settings):
        settings = {
            "Port": port,
            "UsePAM": "yes",
            "KbdInteractiveAuthentication": "yes",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "no",
            "MaxStartups": "600",  # the default drops some of many logins at once
            "UseDNS": "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "LogLevel": "VERBOSE",
            "Subsystem": "sftp /usr/lib/openssh/sftp-server",
            **settings,
        }
        path = f"/etc/ssh/ground_sshd_{port}"
        write(path, "".join(f"{name} {value}\n" for name, value in settings.items()), 0o600)
        public = Path("/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        hosts = "box" if port == 22 else f"[box]:{port}"
        with open(KNOWN_HOSTS, "a") as known:
            known.write(f"{hosts} {public}")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        super().__init__(f"sshd-{port}", ["/usr/sbin/sshd", "-D", "-e", "-f", path])
        self.port = port
        self.wait_output("Server listening on 0.0.0.0", since=self.namesakes)


def port_open(port):
    """Whether something listens on loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_port(port):
    """Waits until something listens on loopback."""
    until(lambda: port_open(port), f"port {port} open")
