"""A stand-in for every phone: an HTTP server on loopback that the daemon's `http` gateway posts to.

It records what arrives and answers as told: at once, late, with a refusal, or not at all.
"""

import http.server
import json
import re
import socket
import threading
from dataclasses import dataclass, field

from .waiting import PATIENCE, Inbox, check

CODE = re.compile(r"\b(\d{6,8})\b")
REFERENCE = re.compile(r"\bref ([A-Z0-9]+)")


@dataclass(frozen=True)
class Text:
    """A message that reached the phone."""

    to: str
    text: str
    headers: dict = field(repr=False)

    @property
    def code(self):
        """The code in it."""
        found = CODE.search(self.text)
        check(found, f"no code in the text {self.text!r}")
        return found.group(1)

    @property
    def ref(self):
        """The reference in it."""
        found = REFERENCE.search(self.text)
        check(found, f"no reference in the text {self.text!r}")
        return found.group(1)


def wrong(code):
    """A code that is not this one."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


@dataclass(frozen=True)
class Reply:
    """What the phone's server does with one request."""

    status: int = 200
    body: str | None = None  # None: {"id": "..."}
    headers: tuple = ()
    deliver: bool = True  # the text arrives, whatever the answer says
    hold: threading.Event | None = None  # answer only when set
    cut: bool = False  # close the connection instead of answering


OK = Reply()


def refuse(status=400, body='{"error":"refused"}', headers=()):
    """The gateway says no and nothing is delivered."""
    return Reply(status=status, body=body, headers=tuple(headers), deliver=False)


def cut(deliver):
    """The connection breaks after the request, with the text delivered or lost."""
    return Reply(cut=True, deliver=deliver)


def held(deliver=True):
    """Answers nothing until `.hold.set()`; the text arrives at once if `deliver`."""
    return Reply(hold=threading.Event(), deliver=deliver)


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        """A client that went away is part of many scenarios."""


class Phone:
    """The server and what it received."""

    def __init__(self, port=8025, listener=None):
        self.port = port
        self.reply = OK  # for every request that has no reply of its own
        self.requests = Inbox("phone requests")
        self._texts = Inbox("phone")
        self._listener = listener
        self._next = []
        self._read = []
        self._held = []
        self._connections = set()
        self._lock = threading.Lock()
        self._server = None
        self.up()

    @property
    def url(self):
        """Where the gateway posts to."""
        return f"http://127.0.0.1:{self.port}/sms"

    @property
    def texts(self):
        """Every text so far."""
        return self._texts.all()

    def up(self):
        """Listens (again)."""
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self):
        """Refuses connections and breaks the open ones, as a gateway that is not there."""
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            for connection in self._connections:
                connection.shutdown(socket.SHUT_RDWR)

    def answer_next(self, *replies):
        """The replies to the next requests, in order; after them `self.reply` again."""
        with self._lock:
            self._next.extend(replies)

    def release(self):
        """Lets every held request be answered."""
        with self._lock:
            for reply in self._held:
                reply.hold.set()

    def next_text(self, to=None, timeout=PATIENCE):
        """Waits for the next text (to a number) that no call has returned yet."""

        def wanted(text):
            return to in (None, text.to) and not any(text is seen for seen in self._read)

        at = self._texts.wait(wanted, f"a text to {to or 'anybody'}", 0, timeout)
        self._read.append(self.texts[at])
        return self._read[-1]

    def next_code(self, to=None, timeout=PATIENCE):
        """The code of the next text."""
        return self.next_text(to, timeout).code

    def expect_count(self, count):
        """Exactly so many texts have arrived in all, ever."""
        texts = self.texts
        check(len(texts) == count, f"expected {count} texts in all, found {len(texts)}: {texts}")

    def wait_count(self, count):
        """Waits until so many texts have arrived in all, and no more."""
        if count:
            self._texts.wait(lambda text: text is self.texts[count - 1], f"text number {count}", count - 1)
        self.expect_count(count)

    def _take_reply(self):
        with self._lock:
            reply = self._next.pop(0) if self._next else self.reply
            if reply.hold:
                self._held.append(reply)
            return reply

    def _handler(phone):  # noqa: N805 - the inner class has the other self
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                with phone._lock:
                    phone._connections.add(self.connection)

            def finish(self):
                with phone._lock:
                    phone._connections.discard(self.connection)
                super().finish()

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                reply = phone._take_reply()
                phone.requests.put((self.path, dict(self.headers), body))
                if reply.deliver:
                    sent = json.loads(body)
                    text = Text(sent["to"], sent["text"], dict(self.headers))
                    phone._texts.put(text)
                    if phone._listener:
                        phone._listener(text)
                if reply.hold:
                    reply.hold.wait()
                if reply.cut:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                number = len(phone.requests.all())
                answer = (reply.body if reply.body is not None else json.dumps({"id": f"sms-{number}"})).encode()
                self.send_response(reply.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                for name, value in reply.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                """What arrived is in `requests`."""

        return Handler
