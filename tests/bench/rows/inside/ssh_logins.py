"""Runs in a box: people with a key log in by ssh, in turns with a code and without.

usage: ssh_logins.py ROUNDS PAIRS; prints a list of rounds of pairs, seconds, as JSON.
"""

import json
import os
import pty
import re
import socket
import sys
import threading
import time
from queue import SimpleQueue

from ground import Ground, check, key_and_code, pam, ssh_options
from ground.machine import REST

# An account may have 40 messages an hour.
HOURLY = 30
PERMIT = f"auth required pam_permit.so\n{REST}"
PORT = 8026


class Stub:
    """A vendor that takes every message at once, and the phone of all that it sends to."""

    url = f"http://127.0.0.1:{PORT}/send"

    def __init__(self):
        self._codes = SimpleQueue()
        listener = socket.create_server(("127.0.0.1", PORT))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def next_code(self, _number=None):
        """Waits for the next code."""
        return self._codes.get(timeout=15)

    def empty(self):
        """Whether all codes were taken."""
        return self._codes.empty()

    def _accept(self, listener):
        while True:
            stream, _ = listener.accept()
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream):
        received = b""
        while block := stream.recv(65536):
            received += block
            head, found, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
            if not found or not length or len(body) < int(length.group(1)):
                continue
            received = body[int(length.group(1)) :]
            self._codes.put(json.loads(body)["text"].split()[0])
            answer = b'{"id":"m-1"}'
            stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer))


def log_in(user, key, phone):
    """Seconds from the start of ssh to its end, without what the person took to type the code."""
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
        if phone and not typed and seen.endswith("Code: "):
            read = time.perf_counter()
            line = f"{phone.next_code()}\r".encode()
            typing = time.perf_counter() - read
            os.write(terminal, line)
            typed = True
    _, status = os.waitpid(child, 0)
    took = time.perf_counter() - began - typing
    os.close(terminal)
    check(status == 0 and seen.rstrip().endswith("in"), f"ssh ended with {status}: {seen}")
    check(typed == bool(phone), f"the code was typed: {typed}; {seen}")
    return took


def main(rounds, pairs):
    stub, g = Stub(), Ground()
    g.start_otpd(phones={"phone": stub})
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
            sides = [("code", key_and_code(), stub), ("permit", PERMIT, None)]
            # Neither is always the first.
            for name, stack, phone in sides if logins % 2 else reversed(sides):
                pam("sshd", stack)
                pair[name] = log_in(user, g.keys[user], phone)
            told[-1].append(pair)
    # A code that was not asked for would be left over.
    check(stub.empty(), "more codes came than were typed")
    granted = g.wait_audit("login-granted", count=logins)
    check(granted, "no login was granted")
    print(json.dumps(told))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
