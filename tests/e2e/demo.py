"""Inside a box: the demonstration that packaging/demo.sh starts."""

import json
import subprocess
import sys
import textwrap

from ground import Ground, Phone, otpctl, ssh_options

PASSWORD = "violet"


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


def log_in_by_hand(g):
    """The person at the terminal has a real ssh client and types."""
    say(f"    You are alice. Her password is: {PASSWORD}")
    say("    The code comes to her phone, here on the screen. Type ? at the prompt for help.\n")
    say("    $ ssh alice@box")
    greeting = 'echo "You are in, as $(id -un) on $(hostname)."'
    return subprocess.run(["ssh", *ssh_options(), "alice@box", greeting]).returncode == 0


def log_in_alone(g):
    """The same, typed by the demonstration."""
    person = g.ssh("alice", command='echo "You are in, as $(id -un) on $(hostname)."', rounds=1)
    say("    $ ssh alice@box")
    person.password(PASSWORD)
    person.code(g.code_for("alice"))
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
        show(f"{when}  {event['request']}  {event['account']}  {event['event']:<13} {words}  (by {event['actor']})")


def main():
    by_hand = sys.stdin.isatty() and sys.stdout.isatty()
    g = Ground()
    g.phone = Phone(listener=lambda text: say(f"\n    [phone {text.to}] {text.text}\n"))

    say("\n1. A machine of its own: sshd asks for a password (pam_unix), then a code (pam_otp).\n")
    g.password_and_code()
    g.user("alice", PASSWORD)
    show(open("/etc/pam.d/sshd").read())

    say("\n2. The administrator enrolls alice; the text proves that the number is hers.\n")
    number = g.number("alice")
    shell("otpctl", "enroll", "alice", number)
    shell("otpctl", "verify", "alice", typed=g.phone.next_code(number))

    say("\n3. alice logs in.\n")
    granted = log_in_by_hand(g) if by_hand else log_in_alone(g)

    say("\n4. What otpd has recorded of it (never a code, never a whole number).\n")
    audit(g)
    g.finish()
    say("\nThe login succeeded. Nothing of this machine is left." if granted else "\nThe login failed.")
    return 0 if granted else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("demo: stopped")
