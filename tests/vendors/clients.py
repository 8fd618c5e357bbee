#!/usr/bin/env python3
"""The vendors' own clients, pointed at the stand-in for the carriers: it speaks as they understand it.

usage: clients.py CARRIER VENDOR...

CARRIER is the stand-in; VENDOR is telnyx, plivo, twilio or signalwire, whose library the Python that
runs this must have. Each sends a message, asks for it, makes a call and reads refusals, and its
validator judges what the stand-in signs. Ends with the line "N passed, N failed".
"""

import http.server
import json
import queue
import subprocess
import sys
import threading
import traceback
import urllib.parse
import urllib.request

TO = "+13125550142"
TEXT = "482913 is your code."
PATIENCE = 30
# What the stand-in's accounts are when its settings say nothing else.
TELNYX = ("KEY0189A_stand_in_7f3d", "+13125550123")
TELNYX_CALLS = ("5a1e0c7b-9f43-4d8e-8d0c-2b6a1f3e4d5c", "2190000000000000001")
PLIVO = ("MASTANDIN0PLIVO00042", "plivo-token-5d2a9e77c1", "+14155550130")
PHLO = "7c1b1d6e-0f5e-4f6c-9f1a-1d2e3f4a5b6c"
SIGNALWIRE = ("b08dacad-2f3e-4f7b-8a6e-3c1d5e7f9a0b", "PTa1b2c3d4e5f6-stand-in", "+15125550140")
SIGNALWIRE_KEY = "PSK_stand_in_3f9c"
TWILIO = ("AC" + "0123456789abcdef0123456789abcdef", "twilio-token-6b1f0a9d3c", "+19175550150")
SAY = "<Response><Say>4, 8, 2.</Say></Response>"
SPEAK = "<Response><Speak>4, 8, 2.</Speak></Response>"


class Tally:
    """What held and what did not."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def equal(self, name, found, expected):
        """Counts one more."""
        if found == expected:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {found!r}, expected {expected!r}")

    def refuses(self, name, call, error, judge, expected):
        """The call ends with this error, of which `judge` says something."""
        try:
            found = call()
        except error as refusal:
            found = judge(refusal)
        self.equal(name, found, expected)


class Site:
    """Where callbacks go: what came, and the words of calls."""

    def __init__(self):
        self.came = queue.Queue()
        self.document = SAY
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                site.came.put((self.path, dict(self.headers), body))
                answer = site.document.encode() if self.path.startswith("/answer") else b""
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                """What arrived is in `came`."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{server.server_port}"

    def next(self, path):
        """The next callback, which must be for this path: (URL, headers, body)."""
        found, headers, body = self.came.get(timeout=PATIENCE)
        assert found == path, f"a callback to {found}, not {path}"
        return self.base + found, {name.lower(): value for name, value in headers.items()}, body


class StandIn:
    """The stand-in: its addresses, and telling it what to do."""

    def __init__(self, line):
        self.addresses = json.loads(line)
        self._seen = 0

    def tell(self, path, body=None, method="POST"):
        """A request to its control."""
        data = None if body is None else json.dumps(body).encode()
        url = self.addresses["control"] + path
        request = urllib.request.Request(url, data, method=method)
        with urllib.request.urlopen(request, timeout=2 * PATIENCE) as reply:
            return json.load(reply)

    def order(self, vendor, **what):
        """Has the vendor misbehave once."""
        self.tell("/orders", {"vendor": vendor, "times": 1, **what})

    def phone(self):
        """The next that the phone gets."""
        [heard] = self.tell(f"/phones/{TO}?after={self._seen}&wait={PATIENCE}", method="GET")
        self._seen = heard["n"]
        return heard

    def spoil(self, vendor):
        """The next callback is signed wrongly."""
        self.tell("/flaws", {"vendor": vendor, "times": 1, "flaw": "wrong-signature"})


def fields(body):
    """A form's fields."""
    return dict(urllib.parse.parse_qsl(body, keep_blank_values=True))


def signed(tally, vendor, site, send, valid, stand_in):
    """Receipts are signed as the vendor's library wants it, and refused when told to sign wrongly."""
    send()
    for _ in range(2):
        tally.equal(f"{vendor}: a receipt's signature", valid(*site.next("/receipt?x=1")), True)
    stand_in.spoil(vendor)
    send()
    tally.equal(f"{vendor}: a wrong signature", valid(*site.next("/receipt?x=1")), False)
    tally.equal(f"{vendor}: the next is right", valid(*site.next("/receipt?x=1")), True)


def telnyx(tally, stand_in, site):
    """Telnyx's client."""
    import telnyx as library
    from telnyx.lib.webhook_verification import WebhookVerificationError, verify_webhook_signature

    key, sender = TELNYX
    base = stand_in.addresses["telnyx"] + "/v2"
    client = library.Telnyx(api_key=key, base_url=base, max_retries=0)

    def send(**more):
        return client.messages.send(**{"to": TO, "from_": sender, "text": TEXT, **more}).data

    sent = send(type="SMS", encoding="gsm7")
    heard = stand_in.phone()
    tally.equal("telnyx: the text", (heard["text"], heard["id"]), (TEXT, sent.id))
    tally.equal("telnyx: its status when taken", sent.to[0].status, "queued")
    found = client.messages.retrieve(sent.id).data
    tally.equal("telnyx: its status", (found.to[0].status, found.direction), ("delivered", "outbound"))
    tally.equal("telnyx: parts and alphabet", (found.parts, found.encoding), (1, "GSM-7"))

    def code(error):
        return error.status_code, error.body["errors"][0]["code"]

    stranger = library.Telnyx(api_key="KEY0", base_url=base, max_retries=0)
    message = {"to": TO, "from_": sender, "text": TEXT}
    cases = [
        ("a wrong key", lambda: stranger.messages.send(**message), (401, "10009")),
        ("a number that is none", lambda: send(to="123"), (400, "40310")),
        ("another sender", lambda: send(from_="+13125550124"), (400, "40305")),
        ("another alphabet", lambda: send(text="`", encoding="gsm7"), (400, "10015")),
        ("no such message", lambda: client.messages.retrieve("nothing"), (404, "10005")),
    ]
    for name, call, expected in cases:
        tally.refuses(f"telnyx: {name}", call, library.APIStatusError, code, expected)
    stand_in.order("telnyx", do="refuse", code="20100")
    tally.refuses("telnyx: no credit", send, library.APIStatusError, code, (402, "20100"))
    stand_in.order("telnyx", do="too-many", **{"retry-after": 7})
    tally.refuses(
        "telnyx: too many", send, library.RateLimitError, lambda error: error.response.headers["retry-after"], "7"
    )
    repeat = {"extra_headers": {"Idempotency-Key": "k-1"}}
    first, second = (client.messages.send(**message, **repeat).data.id for _ in range(2))
    tally.equal("telnyx: a repeat is the same message", first, second)
    stand_in.phone()

    def valid(_url, headers, body):
        try:
            verify_webhook_signature(body, headers, stand_in.addresses["public-key"])
        except WebhookVerificationError:
            return False
        return True

    receipts = {"webhook_url": site.base + "/receipt?x=1"}
    signed(tally, "telnyx", site, lambda: send(**receipts) and stand_in.phone(), valid, stand_in)
    stand_in.tell("/flaws", {"vendor": "telnyx", "times": 1, "flaw": "stale"})
    send(**receipts)
    stand_in.phone()
    tally.equal("telnyx: a stale signature", valid(*site.next("/receipt?x=1")), False)
    _, _, body = site.next("/receipt?x=1")
    event = client.webhooks.unsafe_unwrap(body).data
    found = (event.event_type, event.payload.to[0].status)
    tally.equal("telnyx: the event", found, ("message.finalized", "delivered"))

    account, application = TELNYX_CALLS
    calls = client.texml.accounts.calls
    # The names of the wire: this client passes the body on as it is.
    base_call = {"To": TO, "From": sender, "ApplicationSid": application}
    call = calls.calls(account, body={**base_call, "Texml": SAY})
    tally.equal("telnyx: a call", (call.to, call.status), (TO, "queued"))
    tally.equal("telnyx: inline words", stand_in.phone()["text"], "4, 8, 2.")
    calls.calls(account, body={**base_call, "Url": site.base + "/answer"})
    tally.equal("telnyx: words at an address", stand_in.phone()["text"], "4, 8, 2.")
    tally.equal("telnyx: the question for words is signed", valid(*site.next("/answer")), True)
    tally.refuses(
        "telnyx: no such application",
        lambda: calls.calls(account, body={**base_call, "ApplicationSid": "1", "Texml": SAY}),
        library.APIStatusError,
        code,
        (404, "10005"),
    )


def plivo(tally, stand_in, site):
    """Plivo's client."""
    import plivo as library
    import plivo.rest.client
    from plivo import exceptions
    from plivo.utils import validate_signature, validate_v3_signature

    user, token, sender = PLIVO
    base = stand_in.addresses["plivo"] + "/v1"
    plivo.rest.client.PLIVO_API_BASE_URI = plivo.rest.client.API_VOICE_BASE_URI = base + "/Account"
    client = library.RestClient(user, token)

    def send(**more):
        return client.messages.create(**{"src": sender, "dst": TO, "text": TEXT, **more})

    sent = send(log="false", message_expiry=300)
    heard = stand_in.phone()
    tally.equal("plivo: the text", (heard["text"], sent.message_uuid), (TEXT, [heard["id"]]))
    found = client.messages.get(heard["id"])
    tally.equal("plivo: its status", (found.message_state, found.error_code, found.units), ("delivered", None, 1))

    stranger = library.RestClient(user, "wrong")
    cases = [
        (
            "a wrong token",
            lambda: stranger.messages.create(src=sender, dst=TO, text=TEXT),
            exceptions.AuthenticationError,
        ),
        ("a number that is none", lambda: send(dst="123"), exceptions.ValidationError),
        ("another sender", lambda: send(src="+14155550131"), exceptions.ValidationError),
        ("no such message", lambda: client.messages.get("nothing"), exceptions.ResourceNotFoundError),
    ]
    for name, call, error in cases:
        tally.refuses(f"plivo: {name}", call, error, lambda refusal: type(refusal), error)
    stand_in.order("plivo", do="refuse", code="403")
    geo = exceptions.GeoPermissionError
    tally.refuses("plivo: a country that is off", send, geo, lambda refusal: type(refusal), geo)

    def second(url, headers, _body):
        names = ("x-plivo-signature-v2-nonce", "x-plivo-signature-v2")
        return validate_signature(url, *(headers[name] for name in names), token)

    receipts = {"url": site.base + "/receipt?x=1"}
    signed(tally, "plivo", site, lambda: send(**receipts) and stand_in.phone(), second, stand_in)

    def third(url, headers, body):
        names = ("x-plivo-signature-v3-nonce", "x-plivo-signature-v3")
        nonce, signature = (headers[name] for name in names)
        return validate_v3_signature("POST", url, nonce, token, signature, fields(body))

    site.document = SPEAK
    call = client.calls.create(from_=sender, to_=TO, answer_url=site.base + "/answer?a=1", answer_method="POST")
    tally.equal("plivo: a call", call.message, "call fired")
    heard = stand_in.phone()
    tally.equal("plivo: its words", (heard["text"], heard["id"]), ("4, 8, 2.", call.request_uuid))
    tally.equal("plivo: the question for words is signed", third(*site.next("/answer?a=1")), True)
    stand_in.spoil("plivo")
    client.calls.create(from_=sender, to_=TO, answer_url=site.base + "/answer?a=1", answer_method="POST")
    tally.equal("plivo: or wrongly", third(*site.next("/answer?a=1")), False)
    stand_in.phone()

    runner = library.phlo.RestClient(user, token)
    runner.phlo_base_uri = base
    phlo = runner.phlo.get(PHLO)
    run = phlo.run(**{"from": sender, "to": TO, "otp": "482913", "mode": "sms"})
    tally.equal("plivo: a PHLO", run.phlo_id, PHLO)
    tally.equal("plivo: its text", stand_in.phone()["text"], "482913")


def laml(tally, vendor, stand_in, site, client, stranger, error, account, valid):
    """What Twilio's client and the one that SignalWire made of it have in common."""
    _, _, sender = account

    def send(**more):
        return client.messages.create(**{"to": TO, "from_": sender, "body": TEXT, **more})

    sent = send(validity_period=300)
    heard = stand_in.phone()
    tally.equal(f"{vendor}: the text", (heard["text"], heard["id"]), (TEXT, sent.sid))
    tally.equal(f"{vendor}: its status when taken", sent.status, "queued")
    found = client.messages(sent.sid).fetch()
    tally.equal(f"{vendor}: its status", (found.status, found.error_code), ("delivered", None))
    lost = {"vendor": vendor, "times": 1, "fate": "failed", "code": "30003"}
    stand_in.tell("/fates", lost)
    found = client.messages(send().sid).fetch()
    tally.equal(f"{vendor}: a lost one", (found.status, str(found.error_code)), ("undelivered", "30003"))

    def code(refusal):
        return refusal.status, refusal.code

    message = {"to": TO, "from_": sender, "body": TEXT}
    other = {"twilio": (400, 21606), "signalwire": (422, 21210)}[vendor]
    cases = [
        ("a wrong token", lambda: stranger.messages.create(**message), (401, 20003)),
        ("a number that is none", lambda: send(to="123"), (400, 21211)),
        ("another sender", lambda: send(from_="+15125550141"), other),
        ("too long", lambda: send(body="1" * 1601), (400, 21617)),
        ("no such message", lambda: client.messages("nothing").fetch(), (404, 20404)),
    ]
    for name, call, expected in cases:
        tally.refuses(f"{vendor}: {name}", call, error, code, expected)
    stand_in.order(vendor, do="refuse", code="21610")
    tally.refuses(f"{vendor}: who stopped", send, error, code, (400, 21610))

    receipts = {"status_callback": site.base + "/receipt?x=1"}
    signed(tally, vendor, site, lambda: send(**receipts) and stand_in.phone(), valid, stand_in)

    call = client.calls.create(to=TO, from_=sender, url=site.base + "/answer?a=1")
    tally.equal(f"{vendor}: a call", call.status, "queued")
    heard = stand_in.phone()
    tally.equal(f"{vendor}: its words", (heard["text"], heard["id"]), ("4, 8, 2.", call.sid))
    tally.equal(f"{vendor}: the question for words is signed", valid(*site.next("/answer?a=1")), True)
    # It ends after it was heard, and its end is reported after that.
    client.calls.create(to=TO, from_=sender, url=site.base + "/answer", status_callback=site.base + "/receipt")
    site.next("/answer")
    _, _, body = site.next("/receipt")
    sid = fields(body)["CallSid"]
    tally.equal(f"{vendor}: its end", client.calls(sid).fetch().status, "completed")
    stand_in.phone()


def twilio(tally, stand_in, site):
    """Twilio's client."""
    from twilio.base.exceptions import TwilioRestException
    from twilio.request_validator import RequestValidator
    from twilio.rest import Client

    user, token, sender = TWILIO

    def client(password):
        made = Client(user, password)
        made.api.base_url = stand_in.addresses["twilio"]
        return made

    def valid(url, headers, body):
        return RequestValidator(token).validate(url, fields(body), headers["x-twilio-signature"])

    mine = client(token)
    laml(tally, "twilio", stand_in, site, mine, client("wrong"), TwilioRestException, TWILIO, valid)
    mine.calls.create(to=TO, from_=sender, twiml=SAY)
    tally.equal("twilio: inline words", stand_in.phone()["text"], "4, 8, 2.")


def signalwire(tally, stand_in, site):
    """SignalWire's client."""
    from signalwire.request_validator import RequestValidator
    from signalwire.rest import Client
    from twilio.base.exceptions import TwilioRestException

    user, token, _ = SIGNALWIRE

    def client(password):
        made = Client(user, password, signalwire_space_url="example.signalwire.com")
        # It would insist on HTTPS.
        made.api.base_url = stand_in.addresses["signalwire"]
        return made

    def valid(url, headers, body):
        return RequestValidator(SIGNALWIRE_KEY).validate(url, fields(body), headers["x-signalwire-signature"])

    laml(
        tally, "signalwire", stand_in, site, client(token), client("wrong"), TwilioRestException, SIGNALWIRE, valid
    )


VENDORS = {"telnyx": telnyx, "plivo": plivo, "twilio": twilio, "signalwire": signalwire}


def main():
    carrier, *vendors = sys.argv[1:]
    tally = Tally()
    for vendor in vendors:
        with subprocess.Popen([carrier], stdout=subprocess.PIPE, text=True) as process:
            try:
                VENDORS[vendor](tally, StandIn(process.stdout.readline()), Site())
            except Exception:
                # What the library does not understand is a failure like any other.
                traceback.print_exc(file=sys.stdout)
                tally.equal(f"{vendor}: the end", "never reached", "reached")
            finally:
                process.terminate()
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


sys.exit(main())
