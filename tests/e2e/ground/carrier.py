"""The stand-in for the carriers as a program of its own, and telling it what to do.

It speaks the vendors' APIs as they document them; what it can be told is in `tests/src/carrier/control.rs`.
"""

import json
import os
import urllib.error
import urllib.request

from .machine import write
from .phone import Text
from .process import Process
from .waiting import PATIENCE, Failure, check

PROGRAM = "/usr/local/bin/carrier"
SETTINGS = "/root/carrier.json"
# The accounts that it has unless its settings say otherwise: what a gateway's table says of one, and
# the file and the key that it names.
ACCOUNTS = {
    "telnyx": (
        {"from": "+13125550123", "api-key-file": "telnyx.key"},
        ("telnyx.key", "KEY0189A_stand_in_7f3d"),
    ),
    "twilio": (
        {"from": "+19175550150", "account-sid": "AC" + "0123456789abcdef" * 2, "auth-token-file": "twilio.token"},
        ("twilio.token", "twilio-token-6b1f0a9d3c"),
    ),
}


class Carrier:
    """The vendors and the phones behind them, on `ports` of loopback: the APIs, and the control."""

    def __init__(self, settings=None, ports=(8040, 8041)):
        listen, control = (f"127.0.0.1:{port}" for port in ports)
        with open(SETTINGS, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            json.dump({"listen": listen, "control": control, **(settings or {})}, file)
        self._control = f"http://{control}"
        self._base = f"http://{listen}"
        self._process = None
        self._read = {}
        self.texts = []  # every one that a scenario saw: of these nothing may be in a log
        self.up()

    def up(self):
        """Starts it (again); it has forgotten everything."""
        since = len(self._process.output()) if self._process else 0
        self._process = Process("carrier", [PROGRAM, SETTINGS])
        self._process.wait_output("\n", since=since)
        # One write brings the whole line.
        self.public_key = json.loads(self._process.output()[since:])["public-key"]
        self._read = {}

    def down(self):
        """Ends it: nobody listens any more."""
        self._process.kill()

    def url(self, vendor):
        """What goes into `base-url`."""
        return f"{self._base}/{vendor}"

    def gateway(self, vendor):
        """The table of a gateway with the vendor's account here; its key is put where otpd looks for it."""
        table, (file, key) = ACCOUNTS[vendor]
        write(f"/etc/otpd/{file}", f"{key}\n", 0o600, "otpd")
        return {"kind": vendor, "base-url": self.url(vendor), **table}

    def ask(self, method, path, body=None, timeout=2 * PATIENCE):
        """A request to its control."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._control + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise Failure(f"carrier: {method} {path} {body}: {error.read().decode()}") from None

    # --- being told ------------------------------------------------------------------------------

    def order(self, vendor, do, times=None, **what):
        """Has the vendor misbehave: every time, or so many times."""
        self.ask("POST", "/orders", {"vendor": vendor, "times": times, "do": do, **what})

    def fate(self, vendor, fate, times=None, **what):
        """What becomes of messages that the vendor takes."""
        self.ask("POST", "/fates", {"vendor": vendor, "times": times, "fate": fate, **what})

    def flaw(self, vendor, flaw, times=None, **which):
        """Spoils callbacks."""
        self.ask("POST", "/flaws", {"vendor": vendor, "times": times, "flaw": flaw, **which})

    def behave(self):
        """Takes all of that back, and answers what was stalled."""
        for told in ("orders", "fates", "flaws"):
            self.ask("DELETE", f"/{told}")
        self.ask("POST", "/release")

    def habits(self, number="*", answers="yes", presses="nothing"):
        """What the owner of a phone does with calls."""
        self.ask("PUT", f"/phones/{number}", {"answers": answers, "presses": presses})

    def status(self, vendor, id, status, code=None):
        """Moves a message on, in the vendor's word, and reports it."""
        self.ask("POST", "/status", {"vendor": vendor, "id": id, "status": status, "code": code})

    def write(self, vendor, sender, to, text):
        """Somebody writes to the account; the status of otpd's answer, None when it is not told."""
        return self.ask("POST", "/inbound", {"vendor": vendor, "from": sender, "to": to, "text": text})["answer"]

    def call_back(self, number):
        """Sends a callback's bytes again, or one that was held; the status of the answer."""
        return self.ask("POST", f"/callbacks/{number}")["answer"]

    # --- what came -------------------------------------------------------------------------------

    def heard(self, number, timeout=PATIENCE):
        """Waits for the next message or call to a number that no call has returned yet."""
        after = self._read.get(number, 0)
        found = self.ask("GET", f"/phones/{number}?after={after}&wait={int(timeout)}", timeout=2 * timeout)
        check(found, f"waited {timeout:g} s in vain: nothing comes to {number}")
        self._read[number] = found[0]["n"]
        self.texts.append(Text(number, found[0]["text"], {}))
        return found[0]

    def next_text(self, number, timeout=PATIENCE):
        """The same as a text."""
        self.heard(number, timeout)
        return self.texts[-1]

    def next_code(self, number, timeout=PATIENCE):
        """The code of the next text."""
        return self.next_text(number, timeout).code

    def expect_nothing(self, number):
        """Nothing came that no call has returned yet."""
        found = self.ask("GET", f"/phones/{number}?after={self._read.get(number, 0)}")
        check(not found, f"this came to {number}: {found}")

    def requests(self, vendor, after=0, timeout=0):
        """What a vendor was asked (after number `after`), waiting for the first."""
        path = f"/requests?vendor={vendor}&after={after}&wait={int(timeout)}"
        return self.ask("GET", path, timeout=PATIENCE + timeout)

    def callbacks(self, vendor, after=0, timeout=PATIENCE):
        """What a vendor called back, once it is answered or held, waiting for the first."""
        path = f"/callbacks?vendor={vendor}&after={after}&wait={int(timeout)}"
        return self.ask("GET", path, timeout=PATIENCE + timeout)

    def count(self, vendor):
        """How often a vendor was asked, and how many messages it took: (asked, taken, repeated)."""
        found = self.ask("GET", "/counts").get(vendor, {})
        return tuple(found.get(name, 0) for name in ("asked", "taken", "repeated"))
