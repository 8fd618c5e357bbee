"""The module, in the process that logs somebody in, over pam_permit; beside it two others that ask for a
one-time code.

The peers keep their state in a file that they rewrite and sync at each login. Their codes are counted
(HOTP), since those by time of day can be used once in 30 s only; pam_google_authenticator's own program
writes its state as it does by default, but without the limit of three logins in 30 s.
"""

import base64
import hashlib
import hmac
import json
import re
import shutil
import struct
from statistics import median

from parts.otpd import Otpd
from parts.processes import check, run
from parts.table import Goal, Row

TIME = Goal(1.25, 1.0, "{:.2f}x")
CALLS = Goal(60, 40, "{:.0f}")
BARRED = Goal(0, 0, "{:.0f}")
SIZE = Goal(420, 340, "{:.0f} kB")
MEMORY = Goal(600, 450, "{:.0f} kB")
SECRET = bytes(range(20))
PEERS = ("pam_google_authenticator", "pam_oath")


def hotp(secret, counter):
    """RFC 4226, six digits."""
    digest = hmac.digest(secret, struct.pack(">Q", counter), hashlib.sha1)
    offset = digest[-1] & 15
    return f"{(struct.unpack_from('>I', digest, offset)[0] & 0x7FFFFFFF) % 1_000_000:06d}\n"


class Stacks:
    """A confdir with a stack for each module, and the codes that are typed."""

    def __init__(self, stage, otpd, texts):
        self.stage = stage
        self.texts = texts
        self.folder = stage.folder("pam")
        self.confdir = self.folder / "pam.d"
        self.confdir.mkdir()
        self.begun = 0  # logins by pam_otp: each is of another account, as an account has its limits
        self.google = self.folder / "google"
        self.oath = self.folder / "oath"
        # Where the module may be loaded from without being the host's.
        module = self.folder / "pam_otp.so"
        shutil.copy(stage.programs / "libpam_otp.so", module)
        for service, line in {
            "pam_permit": "",
            "other": "",  # libpam looks for it at each login, and complains
            "pam_otp": f"auth requisite {module} first_factor_checked socket={otpd.socket}\n",
            "pam_google_authenticator": "auth requisite pam_google_authenticator.so "
            f"secret={self.google} user=root\n",
            "pam_oath": f"auth requisite pam_oath.so usersfile={self.oath} window=5 digits=6\n",
        }.items():
            (self.confdir / service).write_text(f"{line}auth required pam_permit.so\n")

    def log_in(self, service, count, *before):
        """Logs in so often, `before` being what runs the program; what it tells."""
        first = step = 0
        codes = self.folder / "codes"
        codes.unlink(missing_ok=True)
        if service == "pam_otp":
            first, step, codes = self.begun, 1, self.texts
            self.begun += count
            codes.unlink(missing_ok=True)
        elif service == "pam_google_authenticator":
            self.google.unlink(missing_ok=True)
            options = ["--counter-based", "--no-rate-limit", "--window-size=3", "--emergency-codes=5"]
            run("google-authenticator", *options, "--force", "--quiet", "--no-confirm", f"--secret={self.google}")
            secret = self.google.read_text().split("\n", 1)[0]
            secret = base64.b32decode(secret + "=" * (-len(secret) % 8))
            codes.write_text("".join(hotp(secret, counter) for counter in range(1, count + 1)))
        elif service == "pam_oath":
            self.oath.write_text(f"HOTP u0 - {SECRET.hex()}\n")
            self.oath.chmod(0o600)
            codes.write_text("".join(hotp(SECRET, counter) for counter in range(count)))
        words = (self.confdir, service, count, first, step, codes)
        env = {"LD_LIBRARY_PATH": str(self.stage.tools)}
        told = json.loads(run(*before, self.stage.tools / "login", *words, env=env))
        check(told["prompts"] == (0 if service == "pam_permit" else count), f"{service} did not ask each time")
        return told

    def calls(self, service, count):
        """System calls of a login, by name: what as many more logins make more of them."""

        def counted(count):
            trace = self.folder / "strace"
            self.log_in(service, count, "strace", "-f", "-c", "-o", trace)
            rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", trace.read_text(), re.MULTILINE)
            return {name: int(number) for number, name in rows if name != "total"}

        less, more = counted(count), counted(2 * count)
        return {name: (more[name] - less.get(name, 0)) / count for name in more}


def measure(stage):
    """Time, system calls, size and memory."""
    logins, traced = stage.size((300, 100), (20, 5))
    services = ("pam_permit", "pam_otp", *PEERS)
    folder = stage.folder("module")
    texts = folder / "texts"
    # Each login is of an account that has not logged in before, as most logins of a day are.
    accounts = 2 * stage.rounds * (logins + 1) + 3 * traced
    with Otpd(stage, folder, accounts, texts) as otpd:
        stacks = Stacks(stage, otpd, texts)
        rounds = [
            {service: {"first": stacks.log_in(service, 1), **stacks.log_in(service, logins)} for service in services}
            for _ in range(stage.rounds)
        ]
        calls = {service: stacks.calls(service, traced) for service in services}

    def own(service):
        return [one[service]["p50"] - one["pam_permit"]["p50"] for one in rounds]

    def middle(service):
        return f"{median(own(service)):.0f} us"

    def memory(service):
        kilobytes = (one[service]["first"]["private"] - one["pam_permit"]["first"]["private"] for one in rounds)
        return median(kilobytes) * 1.024  # the kernel's are of 1024

    def counted(service):
        return sum(calls[service].values()) - sum(calls["pam_permit"].values())

    def barred(service):
        names = ("fsync", "fdatasync", "sync", "fork", "vfork", "clone", "clone3")
        return sum(calls[service].get(name, 0) for name in names)

    def ratio(peer):
        return median(one / other for one, other in zip(own("pam_otp"), own(peer), strict=True))

    size = stripped(stage, stage.programs / "libpam_otp.so") / 1000
    permit = f"over pam_permit ({median(one['pam_permit']['p50'] for one in rounds):.0f} us)"
    google, oath = PEERS
    raw = {"rounds": rounds, "calls": calls}
    return [
        Row(f"module's time {permit} / {google}", middle("pam_otp"), middle(google), ratio(google), TIME, raw),
        Row(f"the same / {oath}", middle("pam_otp"), middle(oath), ratio(oath), None),
        Row(
            "module's system calls, over pam_permit",
            f"{counted('pam_otp'):.0f}",
            f"{counted(google):.0f}, {counted(oath):.0f}",
            counted("pam_otp"),
            CALLS,
        ),
        Row(
            "of those: syncs, forks, threads",
            f"{barred('pam_otp'):.0f}",
            f"{barred(google):.0f}, {barred(oath):.0f}",
            barred("pam_otp"),
            BARRED,
        ),
        Row("module, stripped", f"{size:.0f} kB", "-", size, SIZE),
        Row(
            "module's private memory, over pam_permit",
            f"{memory('pam_otp'):.0f} kB",
            f"{memory(google):.0f}, {memory(oath):.0f} kB",
            memory("pam_otp"),
            MEMORY,
        ),
    ]


def stripped(stage, module):
    """Bytes of the module without what only a debugger reads."""
    copy = stage.scratch / "stripped.so"
    run("strip", "-o", copy, module)
    return copy.stat().st_size
