"""Ways in for who gets no code: recovery codes, and an administrator's bypass."""

import os
import re

from ground import check, equal, otpctl, otpctl_json, refuse, run, scenario, write, wrong

CODE = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){5}")
TOLD = "A recovery code was used to log in to box. {left} left. Not you? Tell IT."


def recovery_codes(user):
    """A new set, as an administrator gets it."""
    done = otpctl("recovery-codes", user)
    codes = done.out.splitlines()
    check(len(codes) == 8 and all(CODE.fullmatch(code) for code in codes), f"codes: {len(codes)} lines")
    check("in person" in done.err and "no longer work" in done.err, f"standard error is {done.err!r}")
    return codes


def kept_secret(g, codes):
    """No code is in a log, nor anywhere below the daemon's directory."""
    logs = list(g.logs().items())
    with open("/var/lib/otpd/otpd.db", "rb") as database:
        logs.append(("the database", database.read().decode("latin-1")))
    for name, text in logs:
        for code in codes:
            check(code not in text and code.replace("-", "") not in text, f"a recovery code is in {name}")


@scenario
def the_gateway_is_down(g):
    """With no gateway to send a code, the prompt offers a recovery code, and one lets in, once."""
    g.password_and_code("alice")
    codes = recovery_codes("alice")
    equal(otpctl_json("show", "alice")["recovery_codes_left"], 8, "codes left")
    g.phone.reply = refuse(503)
    person = g.ssh_to_code("alice")
    shown = person.code(codes[0].lower())
    check("could not be sent.\nType a recovery code, or:\nr = try again" in shown, f"the prompt is {shown!r}")
    person.granted()
    used = g.wait_audit("recovery-code-used", "alice")
    granted = g.wait_audit("login-granted", "alice")
    equal((used["left"], used["request"]), (7, granted["request"]), "the record of its use")
    # Telling the owner fails as the code did, and is written down.
    equal(g.wait_audit("owner-told", "alice")["sent"], False, "whether the owner was told")
    equal(otpctl_json("show", "alice")["recovery_codes_left"], 7, "codes left")

    person = g.ssh_to_code("alice")
    person.code(codes[0])
    shown = person.expect("Code: ")
    check("That is not one of your recovery codes. 9 tries left in this hour." in shown, f"the prompt is {shown!r}")
    person.type(codes[1])
    person.granted()
    kept_secret(g, codes)


@scenario
def the_owner_is_told(g):
    """A recovery code lets in at an ordinary prompt, and its owner gets a message that holds no code."""
    g.key_and_code("bob")
    codes = recovery_codes("bob")
    person = g.ssh_to_code("bob")
    g.code_for("bob")
    shown = person.code("?")
    check("Code sent by text message" in shown, f"the prompt is {shown!r}")
    check("Or type one of your recovery codes." in person.expect("Code: "), "help does not name recovery codes")
    person.type(codes[0])
    shown = person.granted()
    check("Recovery code accepted. 7 are left." in shown, f"the screen is {shown!r}")
    equal(g.text_for("bob").text, TOLD.format(left=7), "the message to the owner")
    g.phone.expect_count(3)
    # A new set voids the old one.
    fresh = recovery_codes("bob")
    check(not set(fresh) & set(codes), "a code came twice")
    person = g.ssh_to_code("bob")
    g.code_for("bob")
    person.code(codes[1])
    check("not one of your recovery codes" in person.expect("Code: "), "a void code was taken")
    person.type(fresh[0])
    person.granted()


@scenario
def the_limit_of_messages(g):
    """When no message may be sent, the screen says which limit, since when and until when, and takes a recovery code."""
    # A source that is known would have messages of its own.
    limits = {"unanswered-per-hour": 1, "shared-sources": ["127.0.0.0/8", "::1"]}
    g.password_and_code("alice", changes={"limits": limits}, fake_time=True)
    codes = recovery_codes("alice")
    person = g.ssh_to_code("alice", rounds=1)
    code = g.code_for("alice")
    person.code("q")
    person.denied()

    person = g.ssh_to_code("alice")
    shown = person.code(code)
    check(
        re.search(
            r"No more messages can be sent until \d\d:\d\d(?: on \d+ \w+)? \(in \d+ minutes\)\.\n"
            r"Limit unanswered-per-hour, since \d\d:\d\d(?: on \d+ \w+)?\.\n"
            r"Type a recovery code, or: q = give up, \? = help\nCode: ",
            shown,
        ),
        f"the prompt is {shown!r}",
    )
    shown = person.expect("Code: ")
    check("A recovery code has 24 letters and digits; 8 are left." in shown, f"the prompt is {shown!r}")
    # It goes on over a restart of the daemon.
    g.otpd.restart(kill=True)
    person.type(codes[2].replace("-", " "))
    person.granted()
    equal(g.text_for("alice").text, TOLD.format(left=7), "the message to the owner")
    equal(g.wait_audit("code-withheld", "alice")["reason"], "unanswered-per-hour", "why there was no code")

    # Without a recovery code it is the denial of before.
    otpctl("remove", "alice", "--yes")
    g.otpd.advance(3601)
    g.enroll("alice")
    person = g.ssh_to_code("alice", rounds=1)
    g.code_for("alice")
    person.code("q")
    person.denied()
    person = g.ssh_to_code("alice", rounds=1)
    person.denied()
    check("Limit unanswered-per-hour" in person.transcript, f"the screen is {person.transcript!r}")
    g.phone.expect_count(5)


@scenario
def the_limit_of_wrong_codes(g):
    """While wrong codes pause an account, no code is compared, and a recovery code lets in."""
    changes = {"limits": {"unanswered-per-hour": 20, "unanswered-per-day": 20}}
    g.password_and_code("alice", changes=changes)
    codes = recovery_codes("alice")
    for _ in range(3):
        person = g.ssh_to_code("alice", rounds=1)
        code = g.code_for("alice")
        for _ in range(3):
            person.code(wrong(code))
        person.denied()
    # The tenth is the last one that is compared, also where it was typed.
    tenth = g.ssh_to_code("alice")
    tenth.code(wrong(g.code_for("alice")))
    person = g.ssh_to_code("alice")
    shown = person.code("123456")
    check("Too many wrong codes.\nNo code is taken until" in shown, f"the prompt is {shown!r}")
    check("Limit wrong-codes-per-hour" in shown, f"the prompt is {shown!r}")
    person.code(codes[0])
    person.granted()
    shown = tenth.code(codes[1])
    check("Too many wrong codes.\nNo code is taken until" in shown, f"the prompt is {shown!r}")
    tenth.granted()
    equal(otpctl_json("show", "alice")["failures_24h"], 10, "wrong codes")
    check(otpctl_json("show", "alice")["locked"], "the pause was ended")


@scenario
def a_bypass(g):
    """A bypass lets in without a prompt while it lasts; it is listed, recorded, and ends when it is revoked."""
    g.password_and_code("alice", fake_time=True)
    g.user("carol")
    done = otpctl("bypass", "carol", "--for", "1h", "--reason", "lost phone", "--uses", "2")
    check("carol may log in without a code until" in done.out and "2 times" in done.out, f"said {done.out!r}")
    granted = otpctl_json("bypass", "alice", "--for", "2d", "--reason", "travel", "--from", "127.0.0.0/8")
    listed = {one["user"]: one for one in otpctl_json("bypass", "--list")}
    equal(listed["alice"], granted, "the bypass as it is listed")
    equal((listed["carol"]["uses_left"], listed["carol"]["reason"]), (2, "lost phone"), "the other one")
    for nth in range(2):
        person = g.ssh_to_code("carol", rounds=1)
        person.granted()
        check("Code:" not in person.transcript, "a code was asked for")
        used = g.wait_audit("login-bypassed", "carol", nth + 1)
        equal((used["reason"], used["uses_left"], used["granted_by"]), ("lost phone", 1 - nth, 0), "its record")
    g.otpd.wait_log("NO CODE ASKED because of a bypass")
    person = g.ssh_to_code("carol", rounds=1)
    person.denied()
    check("No phone number is registered for carol" in person.transcript, "carol is in a third time")

    g.ssh_to_code("alice").granted()
    equal(otpctl_json("show", "alice")["bypasses"][0]["used"], 1, "its uses")
    otpctl("disable", "alice")
    person = g.ssh_to_code("alice", rounds=1)
    person.denied()
    otpctl("enable", "alice")
    done = otpctl("bypass", "alice", "--revoke", granted["id"])
    equal(done.out, "1 bypass of alice ended; logins ask for a code again.\n", "what it says")
    otpctl("bypass", "alice", "--revoke", status=1)
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()

    otpctl("bypass", "carol", "--for", "1h", "--reason", "lost phone")
    g.otpd.advance(3601)
    person = g.ssh_to_code("carol", rounds=1)
    person.denied()
    equal(otpctl_json("bypass", "--list"), [], "bypasses when all are over")
    g.phone.expect_count(2)


@scenario
def a_lost_database_is_restored(g):
    """A backup that is made while otpd works brings people back into an empty database, as the guide says."""
    g.password_and_code("alice")
    waiting = g.ssh_to_code("alice")
    code = g.code_for("alice")
    refused = otpctl("backup", "/tmp/mine.backup", user="alice", status=1)
    check("only root" in refused.err, f"alice's own backup: {refused}")
    # What the guide puts into /etc/cron.daily, twice in a day.
    guide = open("/packaging/doc/guide.md").read()
    [script] = re.findall(r"^```sh\n(#!/bin/sh\n.*?)```", guide, re.DOTALL | re.MULTILINE)
    write("/etc/cron.daily/otpd-backup", script, 0o755)
    for _ in range(2):
        equal(run("/etc/cron.daily/otpd-backup").out, "", "what cron would send by mail")
    # One, unless a day has begun in between.
    *names, name = sorted(os.listdir("/var/backups/otpd"))
    check(len(names) < 2, f"backups of two days at most: {names}")
    check(re.fullmatch(r"\d{4}-\d\d-\d\d\.backup", name), f"the name of the backup: {name}")
    backup = f"/var/backups/otpd/{name}"
    waiting.code(code)
    waiting.granted()
    g.user("bob")
    g.enroll("bob")
    g.otpd.stop()
    for name in ("", "-wal", "-shm"):
        if os.path.exists(f"/var/lib/otpd/otpd.db{name}"):
            os.unlink(f"/var/lib/otpd/otpd.db{name}")
    g.otpd.start()
    equal(otpctl_json("list"), [], "who is enrolled")
    found = otpctl_json("restore", backup, "--dry-run")
    equal((found["enrolled"], found["dry_run"]), (["alice"], True), "what would come back")
    equal(otpctl_json("list"), [], "who is enrolled after a dry run")
    equal(otpctl_json("restore", backup, "--yes")["enrolled"], ["alice"], "what came back")
    equal([row["user"] for row in otpctl_json("list")], ["alice"], "who is enrolled")
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()
