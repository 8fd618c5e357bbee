"""Codes that come by the vendors' own APIs, as the stand-in for the carriers speaks them.

One row of `VENDORS` is all that a further vendor takes.
"""

import re
from dataclasses import dataclass, field

from ground import Carrier, check, equal, otpctl, otpctl_json, password_and_code, scenario, until, write


@dataclass(frozen=True)
class Vendor:
    """A vendor: its gateway's table, and the files with its keys."""

    kind: str
    table: dict
    keys: dict
    # A code of a message that was lost on its way, and a part of how the log words it.
    lost: tuple
    # A refusal of our key: what is ordered, and a part of the reason.
    refused: tuple
    # The same at the stand-in: how its account differs.
    more: dict = field(default_factory=dict)
    # What calls take besides; `None`: this vendor has no calls.
    calls: dict | None = None
    # Whether it proves who it is when it tells of a message, so that it is believed.
    signs: bool = True


VENDORS = [
    Vendor(
        "telnyx",
        {"from": "+13125550123", "api-key-file": "telnyx.key"},
        {"telnyx.key": "KEY0189A_stand_in_7f3d"},
        ("40008", "delivery_failed: 40008 Undeliverable: The carrier did not accept the message"),
        ("10009", "(the key in api-key-file telnyx.key)"),
        more={"receipts": True},
        calls={
            "texml-application-id": "2190000000000000001",
            "texml-account-sid": "5a1e0c7b-9f43-4d8e-8d0c-2b6a1f3e4d5c",
        },
    ),
    Vendor(
        "twilio",
        {
            "from": "+19175550150",
            "account-sid": "AC" + "0123456789abcdef" * 2,
            "auth-token-file": "twilio.token",
        },
        {"twilio.token": "twilio-token-6b1f0a9d3c"},
        ("30003", "30003"),
        ("20003", "(the key in auth-token-file twilio.token)"),
        more={"inbound": True},
        calls={},
    ),
    Vendor(
        "signalwire",
        {
            "from": "+15125550140",
            "project-id": "b08dacad-2f3e-4f7b-8a6e-3c1d5e7f9a0b",
            "api-token-file": "signalwire.token",
            "signing-key-file": "signalwire.key",
        },
        {"signalwire.token": "PTa1b2c3d4e5f6-stand-in", "signalwire.key": "PSK_stand_in_3f9c"},
        ("30003", "30003"),
        ("20003", "(the key in api-token-file signalwire.token)"),
        more={"inbound": True},
        calls={},
    ),
    Vendor(
        "plivo",
        {"from": "+14155550130", "auth-id": "MASTANDIN0PLIVO00042", "auth-token-file": "plivo.token"},
        {"plivo.token": "plivo-token-5d2a9e77c1"},
        ("20", "20"),
        ("401", "(the key in auth-token-file plivo.token)"),
        more={"inbound": True, "third-signatures": True},
        calls={},
    ),
    Vendor(
        "flowroute",
        {"from": "+12065550110", "access-key": "fr-access-4711", "secret-key-file": "flowroute.key"},
        {"flowroute.key": "fr-secret-8f1d2c"},
        ("1108", "1108 Message could not be delivered"),
        ("401", "(the key in secret-key-file flowroute.key)"),
        signs=False,
    ),
]

# Where vendors' requests come in.
PUBLIC = "http://127.0.0.1:8643"
HTTP = {"http": {"listen": "127.0.0.1:8643", "public-url": PUBLIC}}


def machine(g, vendor, *others, http=False, voice=False):
    """A machine with alice, not enrolled yet, and the vendor's gateway before these others.

    `http`: the vendor can reach otpd. `voice`: calls go through it.
    """
    g.start_otpd()
    places = {"receipts", "inbound"}
    account = {key: f"{PUBLIC}/receipts/{vendor.kind}" if key in places else value for key, value in vendor.more.items()}
    carrier = Carrier({vendor.kind: account} if account else {})
    g.carriers.append(carrier)
    table = {"kind": vendor.kind, **vendor.table, "base-url": carrier.url(vendor.kind)}
    if vendor.kind == "telnyx":
        table["webhook-public-key"] = carrier.public_key
    delivery = {"sms": [vendor.kind, *others]}
    if voice:
        table |= vendor.calls
        delivery["voice"] = [vendor.kind]
    for name, key in vendor.keys.items():
        write(f"/etc/otpd/{name}", f"{key}\n", 0o600, "otpd")
    g.otpd.configure({"delivery": delivery, f"gateway.{vendor.kind}": table, **(HTTP if http else {})})
    g.otpd.restart()
    g.start_sshd(password_and_code())
    g.user("alice")
    return carrier


def no_key_in_logs(g, vendor):
    for name, log in g.logs().items():
        for key in vendor.keys.values():
            check(key not in log, f"{name} names a key of {vendor.kind}")


def enroll(g, carrier):
    otpctl("enroll", "alice", g.number("alice"))
    otpctl("verify", "alice", carrier.next_code(g.number("alice")))


def brings_the_code(g, vendor):
    """A login by text, and the vendor is asked whether it arrived."""
    carrier = machine(g, vendor)
    enroll(g, carrier)
    person = g.ssh_to_code("alice")
    text = carrier.next_text(g.number("alice"))
    check(f"(ref {text.ref})" in person.expect("Code: "), "the prompt has another reference")
    person.type(text.code)
    person.granted()
    sent = g.wait_audit("message-sent", "alice", 2)
    equal(sent["gateway"], vendor.kind, "who sent")
    item = carrier.ask("GET", f"/items/{vendor.kind}/{sent['vendor_id']}")
    equal(item["text"], text.text, "the vendor's message")
    equal(carrier.count(vendor.kind)[1:], (2, 0), "messages taken, repeats")
    no_key_in_logs(g, vendor)


def loses_the_code(g, vendor):
    """A code that the vendor took and lost comes by the next gateway."""
    carrier = machine(g, vendor, "phone")
    enroll(g, carrier)
    code, reason = vendor.lost
    carrier.fate(vendor.kind, "failed", code=code)
    person = g.ssh_to_code("alice")
    check("Code sent by text message" in person.expect("Code: "), "the prompt does not say that it was sent")
    text = g.text_for("alice")
    person.type(text.code)
    person.granted()
    report = g.wait_audit("message-undelivered", "alice")
    equal((report["gateway"], report["then"]), (vendor.kind, "sent-again"), "the report")
    check(reason in report["reason"], f"the reason does not say {reason!r}: {report['reason']}")
    carrier.expect_nothing(g.number("alice"))
    no_key_in_logs(g, vendor)


def refuses(g, vendor):
    """A vendor that refuses our key: the code comes by the next gateway, and the log says why."""
    carrier = machine(g, vendor, "phone")
    enroll(g, carrier)
    order, part = vendor.refused
    carrier.order(vendor.kind, "refuse", code=order)
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()
    failed = g.wait_audit("message-failed", "alice")
    equal(failed["gateway"], vendor.kind, "who refused")
    check(part in failed["reason"], f"the reason does not say {part!r}: {failed['reason']}")
    carrier.expect_nothing(g.number("alice"))
    no_key_in_logs(g, vendor)


def is_told_of_a_loss(g, vendor):
    """A vendor that tells of a loss by itself: the code comes by the next gateway before otpd asks."""
    carrier = machine(g, vendor, "phone", http=True)
    enroll(g, carrier)
    carrier.fate(vendor.kind, "sent")
    person = g.ssh_to_code("alice")
    carrier.next_text(g.number("alice"))
    sent = g.wait_audit("message-sent", "alice", 2)
    word = {"telnyx": "delivery_failed", "flowroute": "undeliverable"}.get(vendor.kind, "undelivered")
    carrier.status(vendor.kind, sent["vendor_id"], word, vendor.lost[0])
    until(lambda: any(told["answer"] for told in carrier.callbacks(vendor.kind)), "otpd's answer to the report")
    answers = [told["answer"] for told in carrier.callbacks(vendor.kind) if told["answer"]]
    check(all(answer // 100 == 2 for answer in answers), f"a report was refused: {answers}")
    person.code(g.code_for("alice"))
    if vendor.signs:
        asked = [request for request in carrier.requests(vendor.kind) if request["method"] == "GET"]
        check(not asked, f"otpd asked instead of listening: {asked}")
    person.granted()
    equal(g.wait_audit("message-undelivered", "alice")["then"], "sent-again", "the report")
    no_key_in_logs(g, vendor)


def heard_code(heard):
    """The code that a call said, digit by digit."""
    found = re.search(r" is: ((?:\d\.\s*){6,8})", heard)
    check(found, f"no code is spoken in {heard!r}")
    return re.sub(r"\D", "", found[1])


def calls(g, vendor):
    """A login by call: the person presses the key that is named and hears the code; nobody else does."""
    carrier = machine(g, vendor, http=True, voice=True)
    number = g.number("alice")
    carrier.habits(number, presses="named")
    otpctl("enroll", "alice", number, "--channel", "voice")
    otpctl("verify", "alice", heard_code(carrier.heard(number)["text"]))
    person = g.ssh_to_code("alice")
    person.expect("Code: ")
    heard = carrier.heard(number)
    equal(heard["channel"], "call", "how it came")
    person.type(heard_code(heard["text"]))
    person.granted()
    for presses in ("nothing", "other"):
        carrier.habits(number, presses=presses)
        person = g.ssh_to_code("alice")
        unheard = carrier.heard(number)["text"]
        check(not re.search(r"\d\. \d", unheard), f"who pressed {presses} heard {unheard!r}")
        person.close()
    equal(g.wait_audit("call-key-wrong", "alice")["gateway"], vendor.kind, "whose call it was")
    no_key_in_logs(g, vendor)


def obeys_stop(g, vendor):
    """Who replies STOP gets nothing more, and the administrator sees why; after START codes come."""
    carrier = machine(g, vendor, "phone", http=True)
    enroll(g, carrier)
    ours, theirs = vendor.table["from"], g.number("alice")
    equal(carrier.write(vendor.kind, theirs, ours, "STOP") // 100, 2, "otpd's answer")
    until(lambda: otpctl_json("show", "alice")["opted_out_at"], "the STOP to be known")
    person = g.ssh_to_code("alice", rounds=1)
    person.denied()
    check("STOP" in person.transcript, f"the refusal is {person.transcript!r}")
    carrier.expect_nothing(theirs)
    equal(len(g.phone.texts), 0, "messages by another way")
    check("opted out" in otpctl("show", "alice").out.lower(), "otpctl does not say why")
    equal(carrier.write(vendor.kind, theirs, ours, "START") // 100, 2, "otpd's answer")
    until(lambda: not otpctl_json("show", "alice")["opted_out_at"], "the START to be known")
    person = g.ssh_to_code("alice")
    person.code(carrier.next_code(theirs))
    person.granted()
    no_key_in_logs(g, vendor)


def each(call, doc, which=lambda vendor: True):
    """A scenario for each vendor."""
    for vendor in filter(which, VENDORS):

        def one(g, vendor=vendor):
            call(g, vendor)

        one.__name__ = f"{vendor.kind}_{call.__name__}"
        one.__doc__ = f"{vendor.kind}: {doc}"
        scenario(one)


each(brings_the_code, "a login's code comes by text.")
each(loses_the_code, "a code that was lost on its way comes by the next gateway.")
each(refuses, "a refusal of ours sends the code by the next gateway.")
each(is_told_of_a_loss, "a loss that the vendor tells of sends the code by the next gateway.")
each(calls, "a login's code comes by call.", lambda vendor: vendor.calls is not None)
each(obeys_stop, "nothing is sent to who replied STOP.", lambda vendor: vendor.signs)
