"""Runs in a box: people with a key log in by ssh, in turns with a code and without.

usage: ssh_logins.py ROUNDS PAIRS; prints a list of rounds of pairs, seconds, as JSON.
"""

import json
import os
import pty
import sys
import time

from ground import Carrier, Ground, Otpd, check, equal, key_and_code, pam, ssh_options
from ground.machine import REST

# An account may have 40 messages an hour.
HOURLY = 30
PERMIT = f"auth required pam_permit.so\n{REST}"


def log_in(g, user, code):
    """Seconds from the start of ssh to its end, without what the person took to read and type the code."""
    key = g.keys[user]
    words = ["ssh", *ssh_options(key, "publickey,keyboard-interactive", 1), f"{user}@box", "echo in"]
    began = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(words[0], words)
    seen, typing, typed = "", 0.0, False
    while True:
        try:
            block = os.read(terminal, 65536)
        except OSError:  # the terminal ends with the last program on it
            block = b""
        if not block:
            break
        seen += block.decode()
        if code and not typed and seen.endswith("Code: "):
            read = time.perf_counter()
            line = f"{g.code_for(user)}\r".encode()
            typing = time.perf_counter() - read
            os.write(terminal, line)
            typed = True
    _, status = os.waitpid(child, 0)
    took = time.perf_counter() - began - typing
    os.close(terminal)
    check(status == 0 and seen.rstrip().endswith("in"), f"ssh ended with {status}: {seen}")
    check(typed == code, f"the code was typed: {typed}; {seen}")
    return took


def main(rounds, pairs):
    g = Ground()
    # A vendor's API as it is, over HTTP; without a log of what it was asked.
    g.phone = carrier = Carrier({"quiet": True})
    g.otpd = Otpd({})
    g.otpd.configure({"delivery": {"sms": ["telnyx"]}, "gateway.telnyx": carrier.gateway("telnyx")})
    g.otpd.start()
    g.start_sshd(key_and_code(), AuthenticationMethods="publickey,keyboard-interactive")
    users = [f"user{nth}" for nth in range(1 + rounds * pairs // HOURLY)]
    for user in users:
        g.user(user, key=True)
        g.enroll(user)
    told, logins = [], 0
    for _ in range(rounds):
        told.append([])
        for _ in range(pairs):
            user = users[logins % len(users)]
            logins += 1
            pair = {}
            sides = [("code", key_and_code(), True), ("permit", PERMIT, False)]
            # Neither is always the first.
            for name, stack, code in sides if logins % 2 else reversed(sides):
                pam("sshd", stack)
                pair[name] = log_in(g, user, code)
            told[-1].append(pair)
    _, taken, repeated = carrier.count("telnyx")
    equal((taken, repeated), (len(users) + logins, 0), "messages, one for each enrollment and each login")
    granted = g.wait_audit("login-granted", count=logins)
    check(granted, "no login was granted")
    print(json.dumps(told))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
