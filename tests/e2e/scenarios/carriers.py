"""Codes that come by the vendors' own APIs, as the stand-in for the carriers speaks them.

One row of `VENDORS` is all that a further vendor takes.
"""

from dataclasses import dataclass, field

from ground import Carrier, check, equal, otpctl, password_and_code, scenario, write


@dataclass(frozen=True)
class Vendor:
    """A vendor: its gateway's table, and the files with its keys."""

    kind: str
    table: dict
    keys: dict
    # A code of a message that was lost on its way, and how the log words it.
    lost: tuple
    # A refusal of our key: what is ordered, and a part of the reason.
    refused: tuple = ("401", "401")
    more: dict = field(default_factory=dict)


VENDORS = [
    Vendor(
        "telnyx",
        {"from": "+13125550123", "api-key-file": "telnyx.key"},
        {"telnyx.key": "KEY0189A_stand_in_7f3d"},
        ("40008", "delivery_failed: 40008 Undeliverable: The carrier did not accept the message"),
        ("10009", "10009 Authentication failed"),
    ),
]


def machine(g, vendor, *others, changes=None):
    """A machine with alice, not enrolled yet, and the vendor's gateway before these others."""
    g.start_otpd()
    carrier = Carrier(vendor.more)
    g.carriers.append(carrier)
    for name, key in vendor.keys.items():
        write(f"/etc/otpd/{name}", f"{key}\n", 0o600, "otpd")
    table = {"kind": vendor.kind, **vendor.table, "base-url": carrier.url(vendor.kind)}
    gateway = {f"gateway.{vendor.kind}": table}
    g.otpd.configure({"delivery": {"sms": [vendor.kind, *others]}, **gateway, **(changes or {})})
    g.otpd.reload()
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
    equal((report["gateway"], report["reason"], report["then"]), (vendor.kind, reason, "sent-again"), "the report")
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


def each(call, doc):
    """A scenario for each vendor."""
    for vendor in VENDORS:

        def one(g, vendor=vendor):
            call(g, vendor)

        one.__name__ = f"{vendor.kind}_{call.__name__}"
        one.__doc__ = f"{vendor.kind}: {doc}"
        scenario(one)


each(brings_the_code, "a login's code comes by text.")
each(loses_the_code, "a code that was lost on its way comes by the next gateway.")
each(refuses, "a refusal of ours sends the code by the next gateway.")
