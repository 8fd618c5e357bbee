"""Codes that come by the gateways `telnyx` and `command`, through real logins."""

import http.server
import json
import re
import threading
import urllib.request
import uuid

from ground import Inbox, check, equal, otpctl, password_and_code, run, scenario, write

KEY = "KEY0189A_ground_7f3d"
SENDER = "+13125550123"


class Carrier:
    """A stand-in for Telnyx: takes what its API documents, brings it to the phone or says that it could not."""

    def __init__(self, phone, port=8030):
        self.url = f"http://127.0.0.1:{port}"
        self.taken = Inbox("messages at the carrier")
        self.asked = Inbox("questions to the carrier")
        self.loses = False  # takes messages and reports later that they did not arrive
        self._phone = phone
        self._records = {}
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def _take(self, message):
        """Refuses a message with a code of the vendor's, or keeps it: (status, body)."""
        wanted = {"from": SENDER, "type": "SMS", "encoding": "gsm7"}
        if message | wanted != message or set(message) != set(wanted) | {"to", "text"}:
            return 422, error("10015", "Bad Request")
        if not re.fullmatch(r"\+\d{7,15}", message["to"]):
            return 400, error("40310", "Invalid 'to' address")
        name = str(uuid.uuid4())
        if self.loses:
            state, errors = "delivery_failed", [{"code": "40008", "title": "Undeliverable"}]
        else:
            state, errors = "delivered", []
            deliver(self._phone, message)
        self._records[name] = record(name, message["to"], state, errors)
        self.taken.put(message)
        return 200, record(name, message["to"], "queued", [])

    def _handler(carrier):  # noqa: N805 - the inner class has the other self
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                known = self.path == "/v2/messages" and self.headers["content-type"] == "application/json"
                self._answer(lambda: carrier._take(json.loads(body)), known and self.headers["idempotency-key"])

            def do_GET(self):
                found = carrier._records.get(self.path.removeprefix("/v2/messages/"))
                carrier.asked.put(self.path)
                self._answer(lambda: (200, found), found)

            def _answer(self, good, known):
                if self.headers["authorization"] != f"Bearer {KEY}":
                    status, body = 401, error("10009", "Authentication failed")
                elif not known:
                    status, body = 404, error("10005", "Resource not found")
                else:
                    status, body = good()
                answer = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json; charset=utf-8")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                """What arrived is in `taken` and `asked`."""

        return Handler


def error(code, title):
    """A refusal as Telnyx words it."""
    return {"errors": [{"code": code, "title": title, "detail": "", "source": {"pointer": "/"}}]}


def record(name, to, state, errors):
    """A message as Telnyx describes it."""
    recipient = {"phone_number": to, "status": state, "carrier": "", "line_type": ""}
    return {"data": {"record_type": "message", "id": name, "to": [recipient], "errors": errors, "parts": 1}}


def deliver(phone, message):
    """Brings a text to the phone."""
    body = json.dumps({"to": message["to"], "text": message["text"]}).encode()
    urllib.request.urlopen(urllib.request.Request(phone.url, body), timeout=10).close()


def telnyx(carrier):
    """The table of the gateway."""
    table = {"kind": "telnyx", "from": SENDER, "api-key-file": "telnyx.key", "base-url": carrier.url}
    return {"gateway.telnyx": table}


def machine(g, *sms):
    """A machine with alice, not enrolled yet, and a carrier behind the first of these gateways."""
    g.start_otpd()
    carrier = Carrier(g.phone)
    write("/etc/otpd/telnyx.key", f"{KEY}\n", 0o600, "otpd")
    g.otpd.configure({"delivery": {"sms": sms}, **telnyx(carrier)})
    g.otpd.reload()
    g.start_sshd(password_and_code())
    g.user("alice")
    return carrier


def no_key_in_logs(g):
    for name, log in g.logs().items():
        check(KEY not in log, f"{name} names the key")


@scenario
def telnyx_brings_the_code(g):
    """A login's code comes by Telnyx, which is asked whether it arrived, and not again once it did."""
    carrier = machine(g, "telnyx")
    g.enroll("alice")
    person = g.ssh_to_code("alice")
    text = g.text_for("alice")
    check(f"(ref {text.ref})" in person.expect("Code: "), "the prompt has another reference")
    # The vendor is asked after five seconds, while the claimant still reads the phone.
    carrier.asked.wait(lambda _: True, "a question to the carrier")
    person.type(text.code)
    person.granted()
    sent = g.wait_audit("message-sent", "alice", 2)
    equal(carrier.asked.all()[-1], f"/v2/messages/{sent['vendor_id']}", "what was asked")
    equal(sent["gateway"], "telnyx", "who sent")
    equal(g.audit("message-undelivered"), [], "messages that did not arrive")
    [gateway] = [one for one in g.otpctl_json("status")["gateways"] if one["name"] == "telnyx"]
    equal((gateway["kind"], gateway["state"]), ("telnyx", "ready"), "the gateway")
    no_key_in_logs(g)


@scenario
def a_lost_code_comes_by_the_next_gateway(g):
    """A code that Telnyx took and lost comes by the next gateway by itself, and lets in."""
    carrier = machine(g, "telnyx", "phone")
    g.enroll("alice")
    carrier.loses = True
    person = g.ssh_to_code("alice")
    check("Code sent by text message" in person.expect("Code: "), "the prompt does not say that it was sent")
    carrier.taken.wait(lambda _: True, "the login's message at the carrier", 1)
    lost = carrier.taken.all()[-1]
    text = g.text_for("alice")
    equal(text.text, lost["text"], "the text that the second gateway brings")
    person.type(text.code)
    person.granted()
    report = g.wait_audit("message-undelivered", "alice")
    equal((report["gateway"], report["then"]), ("telnyx", "sent-again"), "the report")
    equal(report["reason"], "delivery_failed: 40008 Undeliverable", "the carrier's reason")
    equal(g.audit("message-sent", "alice")[-1]["gateway"], "phone", "who sent it in the end")
    equal(g.otpctl_json("show", "alice")["sends_24h"], 2, "messages charged")
    no_key_in_logs(g)


@scenario
def a_lost_proof_is_shown(g):
    """A proof that was lost is not sent again by itself; `otpctl show` says why it did not arrive."""
    carrier = machine(g, "telnyx", "phone")
    carrier.loses = True
    otpctl("enroll", "alice", g.number("alice"))
    report = g.wait_audit("message-undelivered", "alice")
    equal(report["then"], "left-to-administrator", "what followed")
    reason = "telnyx: delivery_failed: 40008 Undeliverable"
    equal(g.otpctl_json("show", "alice")["undelivered"], reason, "what show says")
    check(f"did not arrive: {reason}" in otpctl("show", "alice").out, "the text of show lacks the reason")
    g.phone.expect_count(0)


SCRIPT = """#!/usr/bin/python3
import json, os, sys, urllib.request
text = sys.stdin.read()
seen = {"arguments": sys.argv[1:], "environment": sorted(os.environ), "directory": os.getcwd(),
        "files": sorted(int(name) for name in os.listdir("/proc/self/fd"))}
with open("/tmp/seen.json", "w") as file:
    json.dump(seen, file)
body = json.dumps({"to": sys.argv[1], "text": text}).encode()
urllib.request.urlopen(urllib.request.Request("%s", body), timeout=5).close()
print("modem-1")
"""


@scenario
def a_program_brings_the_code(g):
    """A login's code comes by a program of the site, which gets nothing but the text and the number."""
    g.start_otpd()
    write("/usr/local/bin/send-sms", SCRIPT % g.phone.url, 0o755)
    table = {"kind": "command", "program": ["/usr/local/bin/send-sms", "{to}", "two words"]}
    g.otpd.configure({"delivery": {"sms": ["modem"]}, "gateway.modem": table})
    run("otpd", "--check")
    g.otpd.reload()
    g.start_sshd(password_and_code())
    g.user("alice")
    g.enroll("alice")
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()
    sent = g.wait_audit("message-sent", "alice", 2)
    equal((sent["gateway"], sent["vendor_id"]), ("modem", "modem-1"), "who sent")
    seen = json.load(open("/tmp/seen.json"))
    equal(seen["arguments"], [g.number("alice"), "two words"], "the arguments")
    equal(set(seen["environment"]) - {"LC_CTYPE"}, {"PATH"}, "the environment")
    equal(seen["directory"], "/", "the directory")
    # Its own three, and the one by which it lists them: no socket and no database of the daemon's.
    equal(seen["files"], [0, 1, 2, 3], "the open files")
