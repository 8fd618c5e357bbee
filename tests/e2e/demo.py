"""Inside a box: the demonstration that packaging/demo.sh starts."""

import json
import queue
import subprocess
import sys
import textwrap
import threading

from ground import Carrier, Failure, Ground, Otpd, otpctl, password_and_code, ssh_options, toml

PASSWORD = "violet"
GREETING = 'echo "You are in, as $(id -un) on $(hostname)."'


def say(text=""):
    """Prints at once: ssh and the phone print to the same terminal."""
    print(text, flush=True)


def show(text):
    """Prints what a program said."""
    say(textwrap.indent(text.rstrip("\n"), "    "))


def shell(*words, typed=None):
    """Shows a command, what is typed into it and what it answers."""
    say(f"    # {' '.join(words)}")
    if typed:
        say(f"    Code: {typed}")
    done = otpctl(*words[1:], input=typed and f"{typed}\n")
    show(done.out + done.err)


class Phone:
    """alice's telephone: what comes to it is on this screen."""

    def __init__(self, carrier, number):
        self._carrier, self._number = carrier, number
        self._codes = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def next_code(self, _number=None):
        """Waits for the next code."""
        return self._codes.get(timeout=30)

    def _listen(self):
        while True:
            try:
                text = self._carrier.next_text(self._number, timeout=60)
            except Failure:
                continue  # nothing came
            except OSError:
                return  # the demonstration is over
            say(f"\n    [phone {text.to}] {text.text}\n")
            self._codes.put(text.code)


def asked(carrier, after=0):
    """Shows what the vendors were asked to send, and their answers; how many requests there were."""
    requests = carrier.ask("GET", f"/requests?after={after}")
    for one in requests:
        if one["method"] == "POST":
            show(f"{one['vendor']:<7} POST {one['path']}")
            body = textwrap.fill(one["body"], 100, break_on_hyphens=False, break_long_words=False)
            show(textwrap.indent(body, " " * 8))
            show(f"        -> HTTP {one['status']}")
    return max((one["n"] for one in requests), default=after)


def log_in_by_hand():
    """The person at the terminal has a real ssh client and types."""
    say(f"    You are alice. Her password is: {PASSWORD}")
    say("    The code comes to her phone, here on the screen. Type ? at the prompt for help.\n")
    say("    $ ssh alice@box")
    return subprocess.run(["ssh", *ssh_options(), "alice@box", GREETING]).returncode == 0


def log_in_alone(g):
    """The same, typed by the demonstration."""
    person = g.ssh("alice", command=GREETING, rounds=1)
    say("    $ ssh alice@box")
    person.password(PASSWORD)
    person.code(g.phone.next_code())
    status, _ = person.end()
    show(person.transcript)
    return status == 0


def audit(g):
    """Shows the daemon's own account of it, a line an event."""
    for event in g.otpd.events:
        if event.get("target") != "audit":
            continue
        details = {key: value for key, value in json.loads(event["details"]).items() if value not in (None, "")}
        words = " ".join(f"{key}={value}" for key, value in details.items())
        when = event["timestamp"][11:19]
        show(f"{when}  {event['request']}  {event['account']}  {event['event']:<14} {words}  (by {event['actor']})")


def main():
    by_hand = sys.stdin.isatty() and sys.stdout.isatty()
    g, carrier = Ground(), Carrier()
    g.carriers.append(carrier)

    say("\n1. A machine of its own: sshd asks for a password (pam_unix), then a code (pam_otp).\n")
    g.start_sshd(password_and_code())
    g.user("alice", PASSWORD)
    show(open("/etc/pam.d/sshd").read())

    say("\n2. otpd sends codes by Telnyx, and by Twilio where Telnyx does not. Here a stand-in on this")
    say("   machine speaks the APIs of both: nothing leaves it.\n")
    g.otpd = Otpd({})
    # The first that takes a code sends it.
    tables = {"delivery": {"countries": ["US"], "sms": ["telnyx", "twilio"]}}
    tables |= {f"gateway.{name}": carrier.gateway(name) for name in ("telnyx", "twilio")}
    g.otpd.configure(tables)
    g.otpd.start()
    show(toml(tables))

    say("\n3. The administrator enrolls alice; the text proves that the number is hers.\n")
    number = g.number("alice")
    g.phone = Phone(carrier, number)
    shell("otpctl", "enroll", "alice", number)
    shell("otpctl", "verify", "alice", typed=g.phone.next_code())
    say("\n   What Telnyx was asked over HTTP:\n")
    requests = asked(carrier)

    say("\n4. Telnyx has an outage from now on. alice logs in.\n")
    carrier.order("telnyx", "refuse", code="10037")
    granted = log_in_by_hand() if by_hand else log_in_alone(g)
    say("\n   What the vendors were asked: Telnyx refused, and the same code went out by Twilio.\n")
    asked(carrier, requests)

    say("\n5. What otpd has recorded of it (never a code, never a whole number).\n")
    audit(g)
    g.phone = None
    g.finish()
    say("\nThe login succeeded. Nothing of this machine is left." if granted else "\nThe login failed.")
    return 0 if granted else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("demo: stopped")
