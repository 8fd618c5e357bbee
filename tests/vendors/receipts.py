#!/usr/bin/env python3
"""Requests that the vendors' own libraries sign, put before otpd.

usage: receipts.py CHECKER VENDOR...

CHECKER is otpd's example `callback`; VENDOR is telnyx, plivo, twilio or signalwire, whose library
the Python that runs this must have. Each vendor's requests are accepted as they are and refused
with any one byte changed. Ends with the line "N passed, N failed".
"""

import base64
import json
import subprocess
import sys
import time
from urllib.parse import urlencode

NOW = int(time.time() * 1000)
FORM = {"content-type": "application/x-www-form-urlencoded"}
URL = "https://otp.example.com/receipts/vendor"


def post(url, headers, body, **more):
    return {"method": "POST", "url": url, "headers": headers, "body": body, "now": NOW, **more}


def telnyx():
    from nacl.signing import SigningKey
    from telnyx.lib.webhook_verification import verify_webhook_signature

    signer = SigningKey.generate()
    key = base64.b64encode(bytes(signer.verify_key)).decode()

    def signed(body, stamp):
        signature = signer.sign(f"{stamp}|{body}".encode()).signature
        headers = {
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            "telnyx-timestamp": str(stamp),
        }
        return post(URL, headers, body, covers="body")

    event = {
        "data": {
            "event_type": "message.finalized",
            "id": "e",
            "payload": {"id": "m", "to": [{"status": "delivered"}], "text": "für «Zoë»"},
        }
    }
    now = NOW // 1000
    for body in (json.dumps(event), json.dumps(event, ensure_ascii=False)):
        request = signed(body, now)
        # What the library signs it must take itself, or nothing is proved.
        verify_webhook_signature(body, request["headers"], key)
        yield "telnyx", key, request, "told [Progress"
    for age in (-301 - 5, 301 + 5):
        yield "telnyx", key, signed(json.dumps(event), now + age), "refused Stale"


def plivo():
    from plivo.utils import validate_signature, validate_v3_signature
    from plivo.utils.signature_v3 import construct_get_url, construct_post_url, get_signature_v3

    key = "plivo-token"
    cases = [
        (URL, {"MessageUUID": "abc", "Status": "delivered"}),
        (URL, {"MessageUUID": "abc", "Status": "failed", "ErrorCode": "30", "To": "+1 (312)&=é"}),
        (URL + "?b=2&a=1", {"MessageUUID": "abc", "Status": "sent", "Empty": ""}),
        (URL + "?a=%26%3D+x", {"MessageUUID": "abc", "Status": "sent"}),
    ]
    for url, fields in cases:
        base = bytes(construct_post_url(url, dict(fields))).decode()
        signature = get_signature_v3(key.encode(), base, "nonce-1").decode()
        assert validate_v3_signature("POST", url, "nonce-1", key, signature, dict(fields))
        headers = {
            **FORM,
            "x-plivo-signature-v3": signature,
            "x-plivo-signature-v3-nonce": "nonce-1",
        }
        yield "plivo", key, post(url, headers, urlencode(fields)), "told [Progress"
    url = URL + "?CallUUID=x&To=1"
    base = bytes(construct_get_url(url, {})).decode()
    signature = get_signature_v3(key.encode(), base, "n").decode()
    assert validate_v3_signature("GET", url, "n", key, signature, {})
    headers = {"x-plivo-signature-v3": signature, "x-plivo-signature-v3-nonce": "n"}
    yield "plivo", key, {**post(url, headers, ""), "method": "GET", "call": True}, "call x"

    import hashlib
    import hmac

    digest = hmac.new(key.encode(), (URL + "nonce-2").encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    assert validate_signature(URL, "nonce-2", signature, key)
    headers = {**FORM, "x-plivo-signature-v2": signature, "x-plivo-signature-v2-nonce": "nonce-2"}
    body = "MessageUUID=abc&Status=delivered"
    # The second version signs no fields, so that it is only a hint.
    yield "plivo", key, post(URL, headers, body, covers="path"), "told [Hint"


def twilio():
    from twilio.request_validator import RequestValidator

    key = "twilio-token"
    validator = RequestValidator(key)
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+1 (312)&=é", "Empty": ""}
    for algorithm in ("HMAC_SHA1", "HMAC_SHA256"):
        for signed in (URL, URL.replace(".com/", ".com:443/"), URL + "?x=1&y=%20"):
            url = signed.replace(":443", "")
            signature = validator.compute_signature(signed, fields, algorithm)
            assert validator.validate(url, fields, signature, algorithm)
            headers = {**FORM, "x-twilio-signature": signature}
            if algorithm != "HMAC_SHA1":
                headers["x-twilio-webhooks-signature-settings"] = f"key=k,algorithm={algorithm}"
            yield "twilio", key, post(url, headers, urlencode(fields)), "told [Progress"
    url = "https://otp.example.com/answer/0123?CallSid=CA1"
    headers = {"x-twilio-signature": validator.compute_signature(url, {})}
    yield "twilio", key, {**post(url, headers, ""), "method": "GET", "call": True}, "call CA1"
    body = '{"a":1}'
    url = f"{URL}?bodySHA256={validator.compute_hash(body)}"
    signature = validator.compute_signature(url, {})
    assert validator.validate(url, body, signature)
    headers = {"content-type": "application/json", "x-twilio-signature": signature}
    yield "twilio", key, post(url, headers, body), "told []"


def signalwire():
    from signalwire.request_validator import RequestValidator

    key = "PSK_test"
    validator = RequestValidator(key)
    body = '{"a":1}'
    signature = validator.build_signature(URL, body)
    assert validator.validate(URL, body, signature)
    headers = {"content-type": "application/json", "x-signalwire-signature": signature}
    yield "signalwire", key, post(URL, headers, body), "told []"
    fields = {"MessageSid": "u1", "MessageStatus": "sent", "Body": "482913 is it"}
    for url in (URL, URL + "?x=1"):
        signature = validator.build_signature_with_compatibility(url, fields)
        assert validator.validate(url, fields, signature)
        for header in ("x-signalwire-signature", "x-twilio-signature"):
            headers = {**FORM, header: signature}
            yield "signalwire", key, post(url, headers, urlencode(fields)), "told [Progress"


def changed(request):
    """The same request with one character of what is signed another, each in turn."""
    url, body = len(request["url"]), len(request["body"])
    signed = {
        "all": (url, body),
        # Telnyx does not sign where it goes.
        "body": (0, body),
        # Plivo's second version signs neither the query nor the fields.
        "path": (len(request["url"].split("?")[0]), 0),
    }[request.pop("covers", "all")]
    places = [("url", index) for index in range(signed[0])]
    places += [("body", index) for index in range(signed[1])]
    for field, index in places:
        text = request[field]
        # A character that means nothing in an escape or between fields.
        other = "~" if text[index] != "~" else "^"
        yield {**request, field: text[:index] + other + text[index + 1 :]}


def main():
    checker, *vendors = sys.argv[1:]
    lines, expected = [], []
    for vendor in vendors:
        for kind, key, request, answer in globals()[vendor]():
            lines.append({"kind": kind, "key": key, **request})
            expected.append((answer, f"{vendor}: {request['method']} {request['url']}"))
            if answer.startswith("refused"):
                continue
            for other in changed(dict(lines[-1])):
                lines.append(other)
                expected.append(("refused Forged", f"{vendor} changed: {other['url']} {other['body']}"))
    text = "".join(json.dumps(line) + "\n" for line in lines)
    run = subprocess.run([checker], input=text, capture_output=True, text=True, check=True)
    answers = run.stdout.splitlines()
    assert len(answers) == len(expected), "the checker answers every line"
    failed = 0
    for answer, (wanted, name) in zip(answers, expected):
        if not answer.startswith(wanted):
            failed += 1
            print(f"FAILED {name}: {answer}, expected {wanted}")
    print(f"{len(answers) - failed} passed, {failed} failed")
    return 1 if failed or not answers else 0


sys.exit(main())
